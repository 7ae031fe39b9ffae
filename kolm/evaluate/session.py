"""Evaluate: everything that is loaded once for a child process: model, adapter, cases, batches.

A run folder holds `spec.lock.json`, `evalcases.jsonl` and `inputs.json`, which says where this
machine keeps the base, the pictures and the adapter; without a place of its own the adapter lies
in the folder too. Nothing of `inputs.json` reaches a bundle.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical, digest, schema
from kolm.adapters.config import put_on, read_config, restore_tensors, saved_tensors
from kolm.capture.store import BLOBS
from kolm.digest import Digest
from kolm.encode.answers import Answer, Shown, answer_batch
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Example
from kolm.encode.pictures import PictureReader
from kolm.errors import Refused
from kolm.evaluate.pictures import RecordedPictures, Size, picture_sizes
from kolm.evaluate.plan import CaptureRow, Prompt, encode_prompts
from kolm.extras import missing_extra
from kolm.format import names
from kolm.methods.quantisation import quantisation_of
from kolm.models.base import LoadedBase, load_base
from kolm.models.device import CPU
from kolm.models.library import quiet_library
from kolm.records import kinds
from kolm.run import folder as files
from kolm.run.stages import evaluate_key
from kolm.score.evaluation import Run, runs_of
from kolm.store.blobs import BlobStore

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from kolm.records.documents import Lock, LockEvaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where this machine keeps what the run reads, and what the run is of."""

    lock: Lock
    captures: tuple[CaptureRow, ...]
    adapter_folder: Path
    base_folder: Path
    blobs: BlobStore
    identity: Digest  # the key of this evaluation: what a finished run may be reused for


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSession:
    """A loaded model with its adapter, ready to answer."""

    sources: Sources
    adapted: PeftModel  # PEFT's wrapper
    base: LoadedBase  # with the adapter's layers in place
    encoder: Encoder

    @property
    def settings(self) -> LockEvaluation:
        """The lock's ``evaluation`` object."""
        return self.sources.lock["evaluation"]

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that answer each case."""
        return runs_of(pictures=self.base.pictures.table.takes_pictures)

    def prompts(self) -> list[Prompt]:
        """Every declared case as a prompt."""
        return encode_prompts(self.encoder, self.sources.captures)

    def pictures(self, *, blind: bool = False) -> RecordedPictures:
        """The pictures of all cases, real or blind, with nothing computed yet."""
        captures = (capture for _, capture in self.sources.captures)
        return self._pictures(self.sources.blobs.read, picture_sizes(captures) if blind else None)

    def pictures_in(self, read: Callable[[Digest], bytes]) -> RecordedPictures:
        """Pictures that are read from elsewhere, with nothing computed yet."""
        return self._pictures(read, None)

    def answer(self, examples: Sequence[Example], pictures: Shown) -> list[Answer]:
        """Answer the prompts of one batch in the model's present state, in order."""
        limit = self.settings["max_new_tokens"]
        return answer_batch(self.base, examples, pictures, max_new_tokens=limit)

    def _pictures(
        self, read: Callable[[Digest], bytes], blind: Mapping[str, Size] | None
    ) -> RecordedPictures:
        reader = PictureReader(
            processor=self.base.pictures,
            read=read,
            blind=blind,
        )
        return RecordedPictures(self.base.forward.tower, reader)

    @contextlib.contextmanager
    def run(self, name: str) -> Iterator[None]:
        """The state of the model in one of the runs: the base answers without the adapter."""
        if name == "base":
            with self.adapted.disable_adapter():
                yield
        else:
            yield


def read_sources(folder: Path) -> Sources:
    """Read a run folder.

    Raises:
        Unreadable: a file is missing.
        Refused: the lock or a case does not fit its schema, or the cases are not the lock's.
    """
    lock = files.read_lock(folder)
    places = files.read_places(folder)
    cases = files.read(folder, names.CASES)
    adapter = places.adapter or folder
    files.read(adapter, names.CONFIG)
    weights = digest.of_bytes(files.read(adapter, names.WEIGHTS))
    return Sources(
        lock=lock,
        captures=read_captures(cases),
        adapter_folder=adapter,
        base_folder=places.base,
        blobs=BlobStore(places.captures / BLOBS),
        identity=evaluate_key(lock, weights=weights, cases=digest.of_bytes(cases)),
    )


def read_captures(data: bytes) -> tuple[CaptureRow, ...]:
    """The captures of an `evalcases.jsonl`, each with its id.

    Raises:
        Refused: a line is not a canonical capture.
    """
    rows = []
    for number, line, row in canonical.read_lines(data, where=names.CASES):
        capture = schema.check(kinds.CAPTURE, row, where=f"{names.CASES}:{number}")
        rows.append((digest.of_bytes(line), capture))
    return tuple(rows)


def open_session(
    sources: Sources, device: str = CPU, *, spread: bool = False, copied: bool = False
) -> EvaluationSession:
    """Load the base with the adapter on it.

    Args:
        sources: of the run.
        device: that computes.
        spread: over all devices of that kind.
        copied: with the base's files read into memory, not mapped: for the user's own process.

    Raises:
        Lacking: the train extra is not installed.
        Refused: the base or the adapter is not what it should be.
    """
    train = sources.lock["train"]
    base = load_base(
        sources.base_folder,
        dtype=train["precision"],
        quantisation=quantisation_of(train["quantisation"]),
        attention=train["attention"],
        device=device,
        spread=spread,
        copied=copied,
    )
    return EvaluationSession(
        sources=sources,
        adapted=load_adapter(base.model, sources.adapter_folder),
        base=base,
        encoder=Encoder.of(sources.lock, base.pictures),
    )


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Put a saved adapter on a base, once its tensors are exactly those that its config makes.

    The check comes before any tensor is copied: PEFT would put a tensor named like one of the
    base's own weights straight into the base.

    Raises:
        Lacking: peft is not installed.
        Refused: ``E_ADAPTER_KEYS``, a tensor is missing, has no place or has another shape.
    """
    try:
        import peft  # noqa: F401 - what follows needs it
        from safetensors.torch import load_file
    except ImportError as error:
        raise missing_extra("train", "a model needs an optional part of kolm") from error
    with quiet_library():
        config = read_config(folder)
        config.inference_mode = True
        adapted = put_on(model, config)
    adapted.eval()
    saved = load_file(folder / names.WEIGHTS)
    wanted = {name: tuple(t.shape) for name, t in saved_tensors(adapted).items()}
    found = {name: tuple(t.shape) for name, t in saved.items()}
    if wanted != found:
        raise Refused(
            "E_ADAPTER_KEYS",
            "the adapter's tensors are not those of its config on this base",
            where=names.WEIGHTS,
            expected=_first(wanted.items() - found.items()) or "no other tensor",
            found=_first(found.items() - wanted.items()) or "fewer tensors",
        )
    with quiet_library():
        restore_tensors(adapted, saved)
    return adapted


def _first(tensors: AbstractSet[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in sorted(tensors)[:3])
