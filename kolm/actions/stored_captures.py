"""The compositions: the captures of a store, listed, shown, counted, removed and read again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.capture.store import CaptureStore, StoredCapture
from kolm.digest import Digest
from kolm.records.capture import Capture, Image

if TYPE_CHECKING:
    from kolm.records.answers import (
        CaptureListCapture,
        CaptureRemove,
        CaptureShow,
        CaptureStats,
        CaptureVerify,
    )
    from kolm.records.documents import Capture as CaptureDocument


def list_captures(store: str | Path, *, tags: Collection[str] = ()) -> list[CaptureListCapture]:
    """The captures of a store that have all of `tags`, by file and row.

    Raises:
        KolmError: the store cannot be read.
    """
    with CaptureStore.open_to_read(Path(store)) as opened:
        names = opened.names()
        rows = [_row(stored, names) for stored in opened.rows(tags=tags)]
    return sorted(rows, key=lambda row: _place(row["name"]))


def show_capture(capture: str, *, store: str | Path) -> CaptureShow:
    """One capture whole.

    Args:
        capture: its file and row (``pairs.jsonl:7``), its id, or the first digits of the id.
        store: the folder of the store.

    Raises:
        Unreadable: no capture is called that.
        Usage: several are.
    """
    with CaptureStore.open_to_read(Path(store)) as opened:
        stored = opened.read(opened.find(capture))
        content: CaptureDocument = canonical.loads_canonical(stored.data, where=stored.id)
        return {
            "store": str(store),
            "id": stored.id,
            "name": opened.names().get(stored.id),
            "capture": content,
            "image_files": [str(opened.blobs.path(image["file"])) for image in content["images"]],
        }


def remove_captures(captures: Sequence[str], *, store: str | Path) -> CaptureRemove:
    """Remove captures, called as for `show_capture`, and images that no other shows; all or none.

    Raises:
        Unreadable: no capture is called that.
        Usage: several are.
    """
    with CaptureStore.open(Path(store)) as opened:
        removed = opened.remove([opened.find(capture) for capture in captures])
        return {
            "store": str(store),
            "captures": removed.captures,
            "images": removed.images,
            "total": len(opened),
        }


def verify_captures(store: str | Path) -> CaptureVerify:
    """Read everything again: captures hash to their ids, image files to their names.

    Raises:
        Refused: something is damaged or missing.
    """
    with CaptureStore.open_to_read(Path(store)) as opened:
        captures, files = opened.verify()
    return {"store": str(store), "captures": captures, "image_files": files}


def count_captures(store: str | Path) -> CaptureStats:
    """Count what a store holds: captures, pairs, images, sides, sources, licences, tags.

    Raises:
        KolmError: the store cannot be read.
    """
    tags, splits = Counter[str](), Counter[str]()
    sources, licenses = Counter[str](), Counter[str]()
    captures, several_turns, used = 0, 0, dict[Digest, Image]()
    pairs, corrected, longer = 0, 0, 0
    with CaptureStore.open_to_read(Path(store)) as opened:
        for stored in opened.rows():
            capture = stored.capture
            captures += 1
            several_turns += sum(m.role == "assistant" for m in capture.messages) > 1
            if capture.rejected is not None:
                pairs += 1
                corrected += capture.corrections is not None
                longer += len(answer_of(capture)) > len(capture.rejected)
            used.update((image.file, image) for image in capture.images)
            tags.update(capture.tags)
            splits[capture.split or "none"] += 1
            sources[f"{capture.source.kind}: {capture.source.name}"] += 1
            licenses[capture.license or "not stated"] += 1
    return {
        "store": str(store),
        "captures": captures,
        "several_turns": several_turns,
        "pairs": {"captures": pairs, "corrected": corrected, "longer": longer},
        "images": len(used),
        "pictures": len({image.pixels for image in used.values()}),
        "image_bytes": sum(image.bytes for image in used.values()),
        "media_types": dict(Counter(image.media_type for image in used.values())),
        "splits": dict(splits),
        "sources": dict(sources),
        "licenses": dict(licenses),
        "tags": dict(tags),
    }


def _row(stored: StoredCapture, names: Mapping[Digest, str]) -> CaptureListCapture:
    capture = stored.capture
    asked = capture.messages[-2]
    return {
        "id": stored.id,
        "name": names.get(stored.id),
        "split": capture.split,
        "tags": list(capture.tags),
        "images": len(capture.images),
        "prompt": "".join(getattr(part, "text", "") for part in asked.content),
        "response": answer_of(capture),
        "rejected": capture.rejected,
    }


def answer_of(capture: Capture) -> str:
    """The reference answer of a capture."""
    return "".join(getattr(part, "text", "") for part in capture.messages[-1].content)


def _place(name: str | None) -> tuple[bool, list[tuple[bool, int, str]]]:
    """By file and then by row, as a number; captures without a name are last."""
    parts = re.split(r"(\d+)", name or "", flags=re.ASCII)
    return name is None, [
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts
    ]
