"""The command line: one file a command; it parses, calls `kolm.actions`, renders."""
