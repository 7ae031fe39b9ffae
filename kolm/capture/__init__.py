"""The first stage of the line: keeping captures, and taking immutable, split snapshots of them.

`importers` turn files into drafts, `intake` turns drafts into captures in the `store`, `snapshot`
freezes and splits them, `exporters` write them out again. Everything after this stage reads a
snapshot and the store, and never a user's file.
"""
