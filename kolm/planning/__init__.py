"""Planning: what a training will need, from shapes and settings alone. Pure and torch-free.

`kolm plan` shows it before a weight is loaded; `kolm check` and `kolm compile` ask the same
functions. What is counted exactly is in `kolm.format.flops`; what is predicted is here, with where
each constant comes from.
"""
