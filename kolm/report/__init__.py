"""Report: a bundle and what an audit found of it, as one page that opens from disk.

The page holds no script and asks for nothing from outside; texts of the bundle are data in it.
Reading order: `page` (what stands on it), the sections (`verdict`, `scores`, `cases`, `training`,
`contents`), `figures` (the drawings), `markup` (how a text becomes an element).
"""
