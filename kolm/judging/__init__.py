"""Judging: a model says how good an answer is: what it is asked, how its words are read, by whom.

Stands beside evaluation and apart from it: a metric is exact arithmetic that the verifier repeats,
and a judge is somebody's opinion, which is kept with the words in which it was given.
"""
