"""Capture: every limit on the files that are taken in, each with its reason."""

from __future__ import annotations

MAX_ROW_BYTES = 48 * 1024 * 1024  # of an import: an image in base64; reading holds it 4 times
MAX_PATH_CHARACTERS = 4096  # PATH_MAX of Linux: anything longer cannot be a path
MAX_ROW_VALUES = 256 * 1024  # of one row, keys too: parsed they take some 100 bytes each
MAX_NAMED_PROBLEMS = 20  # rows that one error message names
MAX_BAD_ROWS = 100_000  # of one import: kept with their reasons they take some 50 MiB
# What a file that is Parquet, Arrow or gzip may unpack to, by its own size. Pictures do not shrink,
# and the texts of real data sets to a tenth or less; a file that was made to do so shrinks to a
# hundred thousandth. A row costs some 0.02 ms, however little it takes in the file: 2 bytes where
# few questions are asked of few pictures (easy-VQA's 38,575), 15 and more in sets of hundreds of
# thousands; a row of a table that nobody packed is as long. A value in a list or structure costs
# some 0.003 ms: the 38,575 have 300,000 as messages, and 500,000 with a list of parts in each.
MAX_UNPACKED_BYTES = 64 * 1024 * 1024  # in all, and beside it
MAX_UNPACKED_TIMES = 64  # the file's size
MAX_UNPACKED_ROWS = 40 * 1024  # in all, and beside it
MIN_ROW_BYTES = 15  # one row for as many bytes of the file
MAX_UNPACKED_VALUES = 448 * 1024  # in all, and beside it
MIN_VALUE_BYTES = 2  # one value for as many bytes of the file
# At once, beside twice the file's size: pyarrow holds a dictionary twice, and all images of a row
# group may be in one, though no more than 1,024. The others keep two processes, which take 135 MiB
# for themselves, within the file's size and 256 MiB, and within what a small machine has.
MAX_UNPACKING_BYTES = 64 * 1024 * 1024
MAX_UNPACKING_BESIDE = 104 * 1024 * 1024
MAX_UNPACKING_AT_ONCE = 1024 * 1024 * 1024
UNPACKING_SECONDS = 5  # of the processor, and beside it
UNPACKING_SECONDS_A_MEBIBYTE = 2
