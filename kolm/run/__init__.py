"""Run: everything about a run folder: its files' names, who reads and writes them, what is done.

A run folder is what a child process works in. It holds its inputs (lock, snapshot or cases, and
where this machine keeps base and pictures) and what the child leaves. Nothing of a place on this
machine reaches a bundle.
"""
