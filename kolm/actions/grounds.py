"""The compositions: what a training stands on: its base, and what this machine computes with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kolm import digest, roles
from kolm.bundle.base_files import own_template
from kolm.bundle.base_root import BaseFacts
from kolm.errors import KolmError
from kolm.format.optimizer import uses_bitsandbytes
from kolm.models import device as devices
from kolm.models import folder as folders
from kolm.models.resolve import BaseRef, find_folder, resolve_base
from kolm.records.spec import Spec
from kolm.train import profile

if TYPE_CHECKING:
    from kolm.records.documents import LockBase, LockBaseTemplate, LockEnvironment

_MOST_THREADS = 16  # more threads than this make small matrix products slower


def sound_base(name: str, problems: list[tuple[str, KolmError]]) -> BaseRef | None:
    """The base, or None when files of it are not as expected, which are then listed."""
    wrong = folders.findings(find_folder(name).folder)
    problems += [("base", error) for error in wrong]
    return None if wrong else resolve_base(name)


def describe_base(base: BaseRef, facts: BaseFacts) -> LockBase:
    """The lock's ``base`` object: who the base is, and the root over everything it consists of."""
    return {
        "id": base.id,
        "family": base.family,
        "revision": base.revision,
        "root": facts.root,
        "tensors": len(facts.tensors),
        "parameters": facts.parameters,
        "dtype": facts.dtype,
        "license": base.license,
        "papers": list(base.papers),
        "files": [{"digest": file.digest, "name": file.name} for file in facts.files],
        "template": _template(base),
    }


def _template(base: BaseRef) -> LockBaseTemplate:
    """The chat template to train and answer with; most families take the base's own unasked."""
    own = own_template(base.folder) or ""
    if not roles.family(base.family).training_templates:
        return {"digest": digest.of_bytes(own.encode()), "source": "base"}
    from kolm.encode.skeleton import choose_template, name_template
    from kolm.models.pictures import picture_processor  # loads transformers

    pictures = picture_processor(base.folder)
    return name_template(pictures, choose_template(pictures))


def environment_of(spec: Spec) -> LockEnvironment:
    """The environment that this machine offers a spec.

    Raises:
        Lacking: the device that it asks for is not here, or lacks its number format.
        Refused: its number format is not trained in.
    """
    processes = spec.train.processes
    threads = spec.train.threads or default_threads(processes)
    wanted = devices.wanted(spec.train.device)
    profile.demand_precision(spec.train.precision, threads, wanted)
    used = uses_bitsandbytes(spec.train.optimizer, spec.train.quantisation)
    return profile.environment_class(threads, wanted, bitsandbytes=used, processes=processes)


def default_threads(processes: int = 1) -> int:
    """Threads of a compile when the spec names none: the cores that this process may use.

    Of several that train together each has its share of them.
    """
    return min(max(1, len(os.sched_getaffinity(0)) // processes), _MOST_THREADS)
