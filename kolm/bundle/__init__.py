"""The bundle: one `.kolm` file, written deterministically and read strictly.

Stands between the records and everything that seals, signs, verifies or fetches a bundle. The
rules have numbers in docs/format/; nothing here imports a model library.
"""
