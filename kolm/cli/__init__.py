"""The command line: one file a command; it parses, calls `kolm.actions`, renders."""

import gc

# Importing and parsing make tens of thousands of objects that live to the end: at the default
# threshold of 700 the collector walks them a hundred times and finds nothing. At this one, some
# 30 MB at the most wait for a collection.
gc.set_threshold(100_000)
