"""The compositions: where a publisher hands over the states of a training.

A source is a bundle that has them, a folder of checkpoints, or a registry that keeps them as blobs.
What is found is not believed: the verifier holds it against the trace. A stranger made it, so no
link is followed, no pipe is waited for, and a file that is too large is not read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from kolm import system
from kolm.bundle import limits
from kolm.bundle.container import Container, open_container
from kolm.bundle.documents import Documents
from kolm.bundle.held import Held, changed, copied, open_regular, pieces_of
from kolm.bundle.states import StateForm, demand_tensors, named_in, read_document
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, Unreadable
from kolm.format import names
from kolm.format.checkpoint import document_name

_WHERE_STATES_ARE: Final = (
    "kolm compile ends with the folder of the states, and kolm clean lists those of a project"
)
_LISTED_FILES: Final = 100_000  # of a folder in which a state is looked for by its digest


class Source(Protocol):
    """One place where states may be."""

    def document(self, state: Digest, step: int | None) -> bytes | None:
        """As of `kolm.verify.ports.StateSource`."""

    def tensors(self, tensors: Digest, step: int, most_bytes: int) -> Held | None:
        """As of `kolm.verify.ports.StateSource`."""


class BundleStates:
    """The members of a bundle that publishes its checkpoints."""

    def __init__(self, container: Container) -> None:
        self._documents = Documents.of(container)
        self._path = container.path

    def document(self, state: Digest, step: int | None) -> bytes | None:
        """A member; its name says the step."""
        for name in self._names(step):
            if name in self._documents and self._documents.digest_of(name) == state:
                return bytes(self._documents.raw(name))
        return None

    def tensors(self, tensors: Digest, step: int, most_bytes: int) -> Held | None:
        """The member beside it."""
        name = _tensors_name(step)
        if name not in self._documents or len(self._documents.raw(name)) > most_bytes:
            return None
        return Held(Path(name), self._documents.raw(name), self._documents.digest_of(name))

    def _names(self, step: int | None) -> list[str]:
        if step is not None:
            return [document_name(step)]
        return [n for n in self._documents.names if n.startswith("checkpoint-") and _is_json(n)]


class FolderStates:
    """A folder with the two files of each checkpoint, as a training leaves it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def document(self, state: Digest, step: int | None) -> bytes | None:
        """A file; its name says the step.

        Raises:
            Unreadable: ``E_STATE_ANOTHER``, the file of the step is another state's.
        """
        for path in self._paths(step):
            held = _hold(path, limits.JSON_BYTES.value)
            if held is not None and held.digest == state:
                return bytes(held.view)
            if held is not None and step is not None:
                raise Unreadable(
                    "E_STATE_ANOTHER",
                    "this is another state than the one that the trace names",
                    where=str(path)[:400],
                    expected=state,
                    found=held.digest,
                    hint="ask for the states of this very training",
                )
        return None

    def tensors(self, tensors: Digest, step: int, most_bytes: int) -> Held | None:
        """The file beside it."""
        return _hold(self._folder / _tensors_name(step), most_bytes)

    def _paths(self, step: int | None) -> Iterator[Path]:
        if step is not None:
            yield self._folder / document_name(step)
            return
        with system.naming(self._folder):
            for number, entry in enumerate(os.scandir(self._folder)):
                if number >= _LISTED_FILES:
                    return
                if entry.name.startswith("checkpoint-") and _is_json(entry.name):
                    yield self._folder / entry.name


class BlobStates:
    """A registry, which keeps files under their digests and needs no name for them."""

    def __init__(self, path_of: Callable[[Digest], Path]) -> None:
        self._path_of = path_of

    def document(self, state: Digest, step: int | None) -> bytes | None:
        """A blob."""
        held = _hold(self._path_of(state), limits.JSON_BYTES.value)
        return None if held is None or held.digest != state else bytes(held.view)

    def tensors(self, tensors: Digest, step: int, most_bytes: int) -> Held | None:
        """A blob."""
        return _hold(self._path_of(tensors), most_bytes)


class States:
    """Several sources, asked one after the other.

    Args:
        sources: each with how it is called.
    """

    def __init__(self, sources: Sequence[tuple[str, Source]]) -> None:
        self._sources = sources
        self._last: Source | None = None

    @property
    def named(self) -> str:
        """The sources in words; empty where there are none."""
        return ", ".join(name for name, _ in self._sources)

    def document(self, state: Digest, step: int | None) -> bytes | None:
        """The document of a state, from the first source that has it.

        Raises:
            KolmError: no source has it, and one has something else in its place.
        """
        wrong: KolmError | None = None
        for _, source in self._sources:
            try:
                found = source.document(state, step)
            except KolmError as error:
                wrong = wrong or error
                continue
            if found is not None:
                self._last = source
                return found
        if wrong is not None:
            raise wrong
        return None

    def tensors(self, tensors: Digest, step: int, most_bytes: int) -> Held | None:
        """The file that the last document names, from the same source."""
        return None if self._last is None else self._last.tensors(tensors, step, most_bytes)


def states_in(places: Sequence[Path], bundle: Container) -> States:
    """The sources that an auditor names, after the bundle itself where it has states.

    Args:
        places: folders of checkpoints, runs or registries, and bundles.
        bundle: the audited one.

    Raises:
        KolmError: a place is none of these, or cannot be read.
    """
    given = [(str(place), _source(place)) for place in places]
    for place, source in given:
        _demand_one_of(bundle, place, source)
    named: list[tuple[str, Source]] = []
    try:
        if any(name.startswith("checkpoint-") for name in Documents.of(bundle).names):
            named.append(("the bundle", BundleStates(bundle)))
    except KolmError:
        pass  # the checks say what is wrong with it
    return States([*named, *given])


def _demand_one_of(bundle: Container, place: str, source: Source) -> None:
    """Demand that a place holds a state that the bundle's training names, before a step is run.

    Raises:
        Unreadable: ``E_STATES_MISSING``.
    """
    try:
        documents = Documents.of(bundle)
        wanted: list[tuple[int | None, Digest]] = [*named_in(documents)]
        earlier = documents.document(names.LOCK)["train"]["continues"]
    except KolmError:
        return  # the checks say what is wrong with it
    another = ""
    for step, state in [*wanted, *([(None, Digest(earlier["state"]))] if earlier else [])]:
        try:
            if source.document(state, step) is not None:
                return
        except KolmError as error:
            if error.code != "E_STATE_ANOTHER":
                return  # of this one the checks say what is wrong
            another = another or f"{Path(error.where).name}, {error.found}"
    step, state = wanted[-1]
    raise Unreadable(
        "E_STATES_MISSING",
        "none of the states of this bundle's training is there",
        where=place[:400],
        expected=f"some of {counted(len(wanted), 'state')}, such as step {step}: {state}",
        found=another or "no such state",
        hint=_WHERE_STATES_ARE,
    )


def all_states(documents: Documents, place: Path) -> Iterator[Held]:
    """Both files of every state that a bundle's trace names, each checked.

    Raises:
        Unreadable: ``E_STATES_MISSING``, one is not there; ``E_STATE_ANOTHER``, or it is another.
        Refused: a file is no state of this training.
    """
    source, form = _source(place), StateForm.of(documents)
    for step, state in named_in(documents):
        where = document_name(step)
        data = source.document(state, step)
        document = None if data is None else read_document(state, data, where=where)
        held = document and source.tensors(Digest(document["tensors"]), step, form.most_bytes)
        if data is None or document is None or held is None:
            raise Unreadable(
                "E_STATES_MISSING",
                "a state that the trace names is not there",
                where=str(place)[:400],
                expected=f"{where}, {state}",
                hint=_WHERE_STATES_ARE,
            )
        demand_tensors(document, held.view, held.digest, form, where=held.path.name)
        yield Held(Path(where), memoryview(data), state)
        yield held


def _source(place: Path) -> Source:
    if place.is_file():
        return BundleStates(open_container(place))
    if not place.is_dir():
        raise Unreadable(
            "E_STATES_MISSING",
            "there is nothing that could hold states",
            where=str(place)[:400],
            expected="a folder with checkpoint-00000000.json, a registry, or a bundle",
            hint=_WHERE_STATES_ARE,
        )
    if (place / "registry.json").exists():
        from kolm.registry.backends.directory import Directory

        return BlobStates(Directory.open(place).path_of)
    inside = place / "checkpoints"  # the folder of a training, which its publisher has
    return FolderStates(inside if inside.is_dir() and not inside.is_symlink() else place)


def _hold(path: Path, most_bytes: int) -> Held | None:
    """A private copy of a file; None where there is none of at most so many bytes."""
    try:
        handle = open_regular(path, follow=False)
    except KolmError:
        if path.is_symlink() or path.exists():
            raise
        return None
    try:
        size = os.fstat(handle).st_size
        if size > most_bytes:
            raise Refused(
                "E_STATE_SIZE",
                "a file is larger than any state of this training",
                where=str(path)[:400],
                expected=f"at most {most_bytes:,} bytes",
                found=f"{size:,} bytes",
            )
        whole = pieces_of(lambda most: os.read(handle, most), size, path, changed)
        return copied(path, whole, size)
    finally:
        os.close(handle)


def _tensors_name(step: int) -> str:
    return document_name(step).removesuffix(".json") + ".safetensors"


def _is_json(name: str) -> bool:
    return name.endswith(".json")
