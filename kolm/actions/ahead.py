"""The compositions: a compile that was prepared and not begun, with what its prechecks share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical, digest
from kolm.actions.preparing import Prepared
from kolm.capture.naming import name_of
from kolm.capture.snapshot import Snapshot
from kolm.capture.store import CaptureStore
from kolm.events import Reporter
from kolm.verify.policy import Policy

if TYPE_CHECKING:
    from kolm.records.documents import Capture, Lock
    from kolm.train.preflight import Encoded, Named

SIDES = ("train", "validation", "eval")
_SHOWN_PROMPT_CHARACTERS = 40


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """A compile that was prepared, with what its prechecks share.

    Attributes:
        prepared: spec, data, base and lock.
        target: the file that would be written.
        force: whatever is at the target may be replaced.
        allow_below_gate: floors stop nothing.
        policy: what the bundle will have to pass, where its maker names something.
        known: sides that finished stages have read; they are not encoded again.
        reporter: hears progress.
    """

    prepared: Prepared
    target: Path
    force: bool
    allow_below_gate: bool
    policy: Policy | None = None
    known: frozenset[str] = frozenset()
    reporter: Reporter

    @property
    def lock(self) -> Lock:
        """The spec resolved."""
        return self.prepared.lock

    @cached_property
    def sides(self) -> dict[str, Encoded]:
        """The captures of each side that is not `known`, encoded.

        Raises:
            KolmError: the base's processor cannot be loaded.
        """
        from kolm.encode.encoder import Encoder
        from kolm.models.pictures import picture_processor
        from kolm.train.preflight import encode_to_answer, encode_to_learn

        wanted = [side for side in SIDES if side not in self.known]
        if not wanted:
            return {}
        encoder, found = Encoder.of(self.lock, picture_processor(self.prepared.base.folder)), {}
        count = sum(row.split in wanted for row in self.prepared.snapshot.rows)
        self.reporter.started("encode", count, "captures")
        with CaptureStore.open_to_read(self.prepared.store_folder) as store:
            for side in wanted:
                captures = captures_of(self.prepared.snapshot, store, side)
                if side == "eval":
                    evaluation = self.lock["evaluation"]
                    found[side] = encode_to_answer(captures, encoder, evaluation)
                else:
                    found[side] = encode_to_learn(captures, encoder)
        self.reporter.finished("encode")
        return found


def called(capture: Capture, name: str) -> str:
    """A capture in words by which a person finds it: its name and its first words."""
    texts = [
        part["text"]
        for message in capture["messages"]
        if message["role"] == "user"
        for part in message["content"]
        if part["type"] == "text"
    ]
    words = " ".join(" ".join(texts).split())
    if len(words) > _SHOWN_PROMPT_CHARACTERS:
        words = words[: _SHOWN_PROMPT_CHARACTERS - 1] + "…"
    return f'{name} "{words}"'


class Names:
    """The names of a store's captures."""

    def __init__(self, store: CaptureStore) -> None:
        self._store = store
        self.places = store.names()

    def __getitem__(self, capture: digest.Digest) -> str:
        document = canonical.loads_canonical(self._store.read(capture).data, where=capture)
        return called(document, name_of(capture, self.places))


def captures_of(snapshot: Snapshot, store: CaptureStore, side: str) -> Iterator[Named]:
    """The captures of one side, named, in the order of the snapshot."""
    from kolm.train.preflight import Named

    named = Names(store)
    for position, row in enumerate(row for row in snapshot.rows if row.split == side):
        capture = canonical.loads_canonical(store.read(row.capture).data, where=row.capture)
        yield Named(called(capture, name_of(row.capture, named.places)), position, capture)
