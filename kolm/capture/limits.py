"""Capture: every limit on one capture, each with its reason.

The schema of a capture repeats those that it can say; a test holds the two equal.
"""

from __future__ import annotations

MAX_IMAGE_PIXELS = 64 * 1024 * 1024  # of a 64-megapixel camera; the largest base reads 13 M
# Decoders hold a picture several times: 10 bytes a pixel for progressive JPEG, 16 for WebP. With
# these limits taking a picture in needs at most 8 bytes a pixel and 128 MiB.
MAX_FORMAT_PIXELS = {"JPEG": 48 * 1024 * 1024, "MPO": 48 * 1024 * 1024, "WEBP": 10 * 1024 * 1024}
MAX_IMAGE_BYTES = 193 * 1024 * 1024  # an uncompressed RGB PNG of so many pixels; JPEG has a tenth
MAX_IMAGE_SIDE = 16384  # the limit of WebP is 16383
MAX_IMAGES = 64  # of one capture: keeps a snapshot line below 12 KiB
MAX_MESSAGES = 256  # of one capture
MAX_PARTS = 2 * MAX_IMAGES + 1  # of one message: images with text between them
MAX_TAGS = 32
MAX_TAG_CHARACTERS = 64
MAX_CORRECTIONS = 256
MAX_NAME_CHARACTERS = 128  # of a source
MAX_CAPTURE_BYTES = 64 * 1024  # a capture is a line of evalcases.jsonl, whose limit this is
