"""Scoring: from answers to an evaluation, and from an evaluation and measurements to a K-score.

Evaluation writes what stands here and verification recomputes it: the same functions, once. No
torch, no clock, no randomness that is not fixed by the format; all arithmetic is exact or done in
decimals of fixed precision, so that any machine gets the same digits.
"""
