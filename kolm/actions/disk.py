"""The compositions: is there room on the disk for what a compile writes?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from kolm import outputs, paths
from kolm.actions.findings import Found, ok, warning
from kolm.actions.room import OTHER_BYTES, Room, mebibytes
from kolm.errors import Lacking


def look_at_disk(folder: Path, room: Room | None = None) -> Iterator[Found]:
    """Can the project's folder be written, and is there room for what a compile writes?"""
    free = shutil.disk_usage(folder).free
    need = room.total_bytes if room else OTHER_BYTES
    if free < need:
        raise Lacking(
            "E_DISK_FULL",
            "there is less room than this compile will write",
            where=str(folder),
            expected=f"{mebibytes(need)}{f': {room}' if room else ''}",
            found=f"{free >> 20:,} MiB free",
            hint="make room (kolm clean shows what is kept), or lower train.segments: each keeps a "
            "state",
        )
    outputs.demand_writable(folder)
    written = f"{mebibytes(need)} will be written ({room})" if room else "it can be written"
    yield ok("disk", f"{written}; {free >> 20:,} MiB free")
    if room and room.features_bytes:
        yield from _room_for_features(folder, room)


def _room_for_features(folder: Path, room: Room) -> Iterator[Found]:
    """Kept features are given up first, so that too little room for them stops nothing."""
    cache = _there(paths.cache_folder())
    from kolm.encode.kept_features import SPARE_BYTES

    together = cache.stat().st_dev == folder.stat().st_dev
    need = room.features_bytes + SPARE_BYTES + (room.total_bytes if together else 0)
    free = shutil.disk_usage(cache).free
    if free < need:
        yield warning(
            "disk",
            f"the cache has no room for all vision features, {mebibytes(room.features_bytes)}: "
            f"what is not kept is computed again when it is needed; {free >> 20:,} MiB free",
        )


def _there(folder: Path) -> Path:
    """A folder, or the first above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())
