"""The bundle: every limit of the strict reader, each with its reason.

A limit belongs here when a hostile file could otherwise cost memory or time; docs/format/
container.md prints this table, and the reader compares before it allocates or parses.
"""

from typing import Final, NamedTuple

from kolm import canonical
from kolm.errors import Refused

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB


class Limit(NamedTuple):
    """One limit: its largest allowed value and why it is that large."""

    name: str
    value: int
    unit: str
    reason: str

    def hold(self, found: int, *, where: str) -> None:
        """Refuse a value above the limit.

        Raises:
            Refused: ``E_CONTAINER_LIMIT``.
        """
        if found > self.value:
            raise Refused(
                "E_CONTAINER_LIMIT",
                f"{self.name} is above its limit",
                where=where,
                expected=f"at most {self.value} {self.unit}",
                found=f"{found} {self.unit}",
            )


ENTRY_BYTES: Final = Limit(
    name="size of one blob",
    value=8 * GIB - 1,
    unit="bytes",
    reason="eleven octal digits are what a ustar size field holds",
)
BUNDLE_BYTES: Final = Limit(
    name="size of the bundle",
    value=64 * GIB,
    unit="bytes",
    reason="eight of the largest blobs; compared before a byte is read or copied",
)
ENTRIES: Final = Limit(
    name="number of entries",
    value=8192,
    unit="entries",
    reason="4,096 optional members and as much again for claims; each costs one 512-byte header",
)
MEMBERS: Final = Limit(
    name="number of members",
    value=4108,
    unit="members",
    reason="4,096 eval images and checkpoints; the manifest stays below the limit of a document",
)
CLAIMS: Final = Limit(
    name="number of claims",
    value=256,
    unit="claims",
    reason="fifty signers with five predicates each; every claim is parsed when a bundle is opened",
)
JSON_BYTES: Final = Limit(
    name="size of a JSON document",
    value=canonical.MAX_DOCUMENT_BYTES,
    unit="bytes",
    reason="below the 4 MiB that every OCI registry takes; parsing stays under 64 MiB of memory",
)
JSON_DEPTH: Final = Limit(
    name="nesting of a JSON document",
    value=canonical.MAX_DEPTH,
    unit="levels",
    reason="our deepest document nests nine levels; Python's parser recurses",
)
LINE_BYTES: Final = Limit(
    name="length of a JSON line",
    value=canonical.MAX_LINE_BYTES,
    unit="bytes",
    reason="one capture, module or step; each row is parsed by itself",
)
SNAPSHOT_BYTES: Final = Limit(
    name="size of snapshot.jsonl",
    value=192 * MIB,
    unit="bytes",
    reason="700,000 captures with one picture; above 16 MiB read line by line",
)
CASES_BYTES: Final = Limit(
    name="size of evalcases.jsonl",
    value=48 * MIB,
    unit="bytes",
    reason="80,000 cases of 600 bytes; held at up to 3 times its size: 144 MiB",
)
PREDICTIONS_BYTES: Final = Limit(
    name="size of predictions.jsonl",
    value=48 * MIB,
    unit="bytes",
    reason="120,000 rows of 400 bytes; read row by row",
)
MODULES_BYTES: Final = Limit(
    name="size of modules.jsonl",
    value=8 * MIB,
    unit="bytes",
    reason="8,000 modules of 1,000 bytes; held at up to 15 times their size: 120 MiB",
)
EXAMPLES_BYTES: Final = Limit(
    name="size of examples.jsonl",
    value=48 * MIB,
    unit="bytes",
    reason="700,000 captures of 60 bytes; held at up to 3 times its size: 144 MiB",
)
TRACE_BYTES: Final = Limit(
    name="size of trace.jsonl",
    value=24 * MIB,
    unit="bytes",
    reason="80,000 steps of 300 bytes; read row by row",
)
CARD_BYTES: Final = Limit(
    name="size of README.md",
    value=256 * KIB,
    unit="bytes",
    reason="the card is made from records of bounded size; ours are below 16 KiB",
)
IMAGE_BYTES: Final = Limit(
    name="size of an eval image",
    value=64 * MIB,
    unit="bytes",
    reason="what the capture store takes as one picture",
)
TENSOR_HEADER_BYTES: Final = Limit(
    name="size of a safetensors header",
    value=4 * MIB,
    unit="bytes",
    reason="20,000 tensors with names of 100 characters; held at 36 times its size: 144 MiB",
)
TENSOR_RANK: Final = Limit(
    name="number of dimensions of a tensor",
    value=8,
    unit="dimensions",
    reason="no layer of any supported family needs more than five",
)
TENSOR_NAME_BYTES: Final = Limit(
    name="length of a tensor name",
    value=512,
    unit="bytes",
    reason="the deepest names of supported families stay below 160",
)
