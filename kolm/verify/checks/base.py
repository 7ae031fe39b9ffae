"""V40–V45: is the base in the auditor's hands the pinned one, and does the adapter fit it?

Reads the folder given by ``--base``; needs no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest
from kolm.bundle.base_files import own_template
from kolm.counting import counted
from kolm.digest import Digest
from kolm.elements import WIDENED
from kolm.format.base import BaseTensor
from kolm.format.names import LOCK, MODULES, WEIGHTS
from kolm.methods import DeltaTensor, WholeTensor, delta_shapes, has_experts
from kolm.records.verification import Finding
from kolm.roles.checkpoints import is_left_out, may_be_swapped
from kolm.verify.base_table import own_parameters, pinned_files
from kolm.verify.check import Answers
from kolm.verify.findings import failed, passed, unless_equal
from kolm.verify.loading import Loaded, digests_as_loaded, swapped_shape
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ModulesRowBuffer, ModulesRowParameter


class _Pair(NamedTuple):
    """A listed parameter or buffer beside the checkpoint's tensors of its keys.

    Attributes:
        name: of it.
        parameter: as it is listed.
        tensors: at least one.
        swapped: loading swaps the last two axes of the one.
    """

    name: str
    parameter: ModulesRowParameter | ModulesRowBuffer
    tensors: tuple[BaseTensor, ...]
    swapped: bool

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape that loading makes of the tensors; None where they do not fit together."""
        first, *more = (tensor.shape for tensor in self.tensors)
        if not more:
            return swapped_shape(first) if self.swapped else first
        if not first or any(shape[1:] != first[1:] for shape in more):
            return None
        count, rows = self.parameter["shape"][:1], sum(t.shape[0] for t in self.tensors)
        if not count or not count[0] or rows % count[0]:  # a stranger's numbers
            return None
        return (*count, rows // count[0], *first[1:])


# What `train.precision` makes of the checkpoint's floating-point tensors.
MEMORY_DTYPES = {"float32": "F32", "bfloat16": "BF16"}


def files_are_pinned(subject: Subject) -> Iterator[Finding]:
    """Config, generation config, tokenizer, chat template, processor: each by name."""
    facts = subject.base_facts
    pinned = {file.name: file.digest for file in pinned_files(subject)}
    found = {file.name: file.digest for file in facts.files}
    for name in sorted(pinned.keys() | found.keys()):
        yield from unless_equal(
            pinned.get(name, "no such file"),
            found.get(name, "no such file"),
            "a file that affects the outputs is not the pinned one",
            where=name,
            rule="B23",
        )
    yield from _template_is_the_bases(subject)
    yield passed(counted(len(found), "file"))


def _template_is_the_bases(subject: Subject) -> Iterator[Finding]:
    stated = subject.lock["base"]["template"]
    if stated["source"] != "base":
        return  # V28 holds it against kolm's own
    own = own_template(subject.auditor.base_folder())
    expected = "a template in the base" if own is None else digest.of_bytes(own.encode())
    another = "the chat template is not the base's own"
    yield from unless_equal(
        expected, stated["digest"], another, where=f"{LOCK}#/base/template", rule="L13"
    )


def tensors_are_pinned(subject: Subject) -> Iterator[Finding]:
    """The root over these tensors and the pinned files, so that V40 speaks for itself."""
    facts = subject.base_facts
    base = subject.lock["base"]
    root = subject.rules.root_of(facts.tensors, pinned_files(subject))
    for field, stated, found in (
        ("root", base["root"], root),
        ("tensors", base["tensors"], len(facts.tensors)),
        ("parameters", base["parameters"], facts.parameters),
        ("dtype", base["dtype"], facts.dtype),
    ):
        place = f"{LOCK}#/base/{field}"
        yield from unless_equal(
            stated,
            found,
            "this is another base than the pinned one",
            where=place,
            rule="B24" if field == "root" else "B25",
        )
    told = f"{counted(len(facts.tensors), 'tensor')}, {facts.parameters:,} parameters"
    if facts.remembered:
        files = counted(facts.remembered, "weight file")
        told += f"; {files} not read again: unchanged since last hashed here"
    yield passed(told)


def modules_are_complete(subject: Subject) -> Iterator[Finding]:
    """Every tensor once, with its shape, and its digest where loading keeps or widens values."""
    facts = subject.base_facts
    family = subject.known_family()
    stored = {tensor.key: tensor for tensor in facts.tensors}
    listed: dict[str, int] = {}
    pairs: list[_Pair] = []
    for name, parameter, keys in _listed(subject, stored):
        for key in keys:
            listed[key] = listed.get(key, 0) + 1
        tensors = tuple(stored[key] for key in keys if key in stored)
        if tensors and len(tensors) == len(keys):
            # The library swaps where the stored shape is not the model's, and only there.
            other = len(tensors) == 1 and tuple(parameter["shape"]) != tensors[0].shape
            swapped = other and len(tensors[0].shape) > 1 and may_be_swapped(family, name)
            pairs.append(_Pair(name, parameter, tensors, swapped))
    digests = _digests_in_memory(subject, pairs)
    loaded = MEMORY_DTYPES[subject.lock["train"]["precision"]]
    for pair in pairs:
        yield from _same_tensor(pair, digests.get(pair.name), loaded)
    left_out = {key for key in stored.keys() - listed.keys() if is_left_out(family, key)}
    for key in sorted(stored.keys() - listed.keys() - left_out):
        yield failed(
            "a tensor of the checkpoint is not listed", where=MODULES, expected=key, rule="N5"
        )
    for key in sorted(listed.keys() - stored.keys()):
        yield failed(
            "a listed tensor is not in the checkpoint", where=MODULES, found=key, rule="N5"
        )
    for key in sorted(key for key, count in listed.items() if count > 1):
        yield failed(
            "a tensor of the checkpoint is listed twice", where=MODULES, found=key, rule="N5"
        )
    unread = f", {len(left_out)} that are no parameters" if left_out else ""
    yield passed(
        f"{counted(len(stored), 'tensor')}, {len(digests)} compared by their digests in memory"
        + unread
    )


def _listed(
    subject: Subject, stored: Collection[str]
) -> Iterator[tuple[str, ModulesRowParameter | ModulesRowBuffer, Sequence[str]]]:
    """Each parameter and each buffer that is stored, by its whole name, with its keys."""
    for name, parameter in own_parameters(subject):
        yield name, parameter, parameter["checkpoint"]
    family = subject.known_family()
    for row in subject.modules:
        for buffer in row["buffers"]:
            name = f"{row['module']}.{buffer['name']}"
            for key in family.checkpoint_keys(name):
                if key in stored:
                    yield name, buffer, (key,)


def _digests_in_memory(subject: Subject, pairs: list[_Pair]) -> dict[str, Digest]:
    """What each parameter digests to as it was trained on, where that follows exactly."""
    known: dict[str, Digest] = {}
    changed: dict[str, Loaded] = {}
    for pair in pairs:
        name, parameter, tensors, swapped = pair
        stored = {tensor.dtype for tensor in tensors}
        kept = stored == {parameter["dtype"]}
        if kept and not swapped and len(tensors) == 1:
            known[name] = tensors[0].digest
        elif pair.shape is not None and all(
            dtype == parameter["dtype"] or WIDENED.get(dtype) == parameter["dtype"]
            for dtype in stored
        ):
            changed[name] = Loaded(parameter["dtype"], pair.shape, tensors, swapped)
    return known | digests_as_loaded(subject.auditor.base_folder(), changed, subject.derived)


def _same_tensor(pair: _Pair, found: Digest | None, loaded: str) -> Iterator[Finding]:
    """One listed parameter; without a digest to compare, loading must have narrowed its dtype."""
    parameter = pair.parameter
    place = f"{MODULES}: {pair.tensors[0].key}"
    if tuple(parameter["shape"]) != pair.shape:
        yield failed(
            "the listed shape is not the checkpoint's",
            where=place,
            expected=list(pair.shape or ()),
            found=parameter["shape"],
            rule="N4",
        )
    elif found is None and parameter["dtype"] != loaded:
        yield failed(
            "the listed dtype is not one that loading makes of the checkpoint's",
            where=place,
            expected=" or ".join(sorted({pair.tensors[0].dtype, loaded})),
            found=parameter["dtype"],
            rule="N4",
        )
    elif found is not None and parameter["before"] != found:
        yield failed(
            "the base that was trained on had another tensor here",
            where=place,
            expected=found,
            found=parameter["before"],
            rule="N4",
        )


def adapter_fits(subject: Subject) -> Iterator[Finding]:
    """Sides of every factor against the checkpoint's own shapes; the config's family."""
    facts = subject.base_facts
    family = subject.lock["base"]["family"]
    another = "the base's config names another family"
    yield from unless_equal(family, facts.model_type, another, where="config.json", rule="L1")
    shapes = {tensor.key: tensor.shape for tensor in facts.tensors}
    for entry, name in subject.adapter_names:
        if isinstance(name, DeltaTensor):
            shape, wanted = _of_delta(subject, shapes, name.module)
            fits = wanted.get(name.part) == entry.shape
        elif isinstance(name, WholeTensor):
            shape = _stored_shape(subject, shapes, f"{name.module}.{name.parameter}")
            fits = shape == entry.shape
        else:
            continue  # V22 and V24 name it
        if not fits:
            yield failed(
                "the tensor does not fit the checkpoint",
                where=f"{WEIGHTS}: {entry.name}",
                expected=list(shape) if shape else "a tensor of the checkpoint",
                found=list(entry.shape),
                rule="N8",
            )
    yield passed(f"{counted(len(subject.adapter), 'tensor')} fit")


def _of_delta(
    subject: Subject, shapes: dict[str, tuple[int, ...]], module: str
) -> tuple[tuple[int, ...] | None, dict[str, tuple[int, ...]]]:
    """The checkpoint's shape of a linear layer, and the shapes of its delta's parts.

    Experts, which a checkpoint may hold otherwise, have the shapes of the list: V42 has compared.
    """
    if has_experts(subject.method, module):
        listed = subject.modules_by_name[module]["parameters"]
        own = {parameter["name"]: parameter["shape"] for parameter in listed}
        return None, delta_shapes(subject.method, module, own)
    shape = _stored_shape(subject, shapes, f"{module}.weight")
    return shape, delta_shapes(subject.method, module, {} if shape is None else {"weight": shape})


def _stored_shape(
    subject: Subject, shapes: dict[str, tuple[int, ...]], parameter: str
) -> tuple[int, ...] | None:
    for key in subject.known_family().checkpoint_keys(parameter):
        if key in shapes:
            return shapes[key]
    return None


ANSWERS: Answers = {
    "V40": files_are_pinned,
    "V41": tensors_are_pinned,
    "V42": modules_are_complete,
    "V43": adapter_fits,
}
