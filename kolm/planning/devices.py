"""Planning: how much memory some devices have, as their makers state it."""

from __future__ import annotations

from typing import Final, NamedTuple

from kolm.planning.memory import GIB


class Device(NamedTuple):
    """A device, its memory in bytes, and where its maker states that."""

    name: str
    memory_bytes: int
    source: str


# In the order of their memory. Makers write GB and mean 2^30 bytes, but for the H200 and newer.
DEVICES: Final = (
    Device("Tesla T4, 16 GB", 16 * GIB, "https://www.nvidia.com/en-us/data-center/tesla-t4/"),
    Device(
        "GeForce RTX 4090, 24 GB",
        24 * GIB,
        "https://www.nvidia.com/en-us/geforce/graphics-cards/40-series/rtx-4090/",
    ),
    Device("L4, 24 GB", 24 * GIB, "https://www.nvidia.com/en-us/data-center/l4/"),
    Device("A100, 40 GB", 40 * GIB, "https://www.nvidia.com/en-us/data-center/a100/"),
    Device("L40S, 48 GB", 48 * GIB, "https://www.nvidia.com/en-us/data-center/l40s/"),
    Device("A100, 80 GB", 80 * GIB, "https://www.nvidia.com/en-us/data-center/a100/"),
    Device("H100, 80 GB", 80 * GIB, "https://www.nvidia.com/en-us/data-center/h100/"),
    Device("H200, 141 GB", 141 * 10**9, "https://www.nvidia.com/en-us/data-center/h200/"),
    Device(
        "MI300X, 192 GB",
        192 * 10**9,
        "https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html",
    ),
)


def smallest(need_bytes: int) -> Device | None:
    """The smallest of them that holds so much; None where none does."""
    return next((device for device in DEVICES if device.memory_bytes >= need_bytes), None)
