"""The command line: one file a command; it parses, calls `kolm.api`, renders, and nothing else."""
