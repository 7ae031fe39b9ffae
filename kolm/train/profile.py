"""Train: the strict profile and the environment class. Torch-free: the parent process sets both.

The strict profile fixes, before torch is imported, what else would change the bits of a run:
threads, the branch of the matrix library, the hash seed, the locale. Which of them matter was
measured; docs/adr/0021-strict-profile.md has the table. What still differs between two processes
shows in the class, which holds the arithmetic that a child under the profile measures.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

from kolm import canonical, digest, settings
from kolm.errors import Lacking, Refused
from kolm.extras import missing_extra
from kolm.models.device import missing, processor
from kolm.version import VERSION

if TYPE_CHECKING:
    from kolm.records.documents import LockEnvironment


_PACKAGES = (
    "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "pillow",
)  # fmt: skip
_ERROR_CHARACTERS = 2000  # the end of what a failed child said


def strict_environment(threads: int) -> dict[str, str]:
    """The variables that the parent sets for a child that trains or evaluates."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_DYNAMIC": "FALSE",
        "MKL_DYNAMIC": "FALSE",
        "MKL_CBWR": "AUTO,STRICT",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def child_environment(threads: int) -> dict[str, str]:
    """The whole environment of a child that trains or evaluates: ours by a closed list, and the
    strict profile."""
    return {**settings.inherited(), **strict_environment(threads)}


def environment_class(
    threads: int,
    wanted: tuple[str, ...] = ("cpu",),
    *,
    bitsandbytes: bool = False,
    processes: int = 1,
    arithmetic: Mapping[str, Any] | None = None,
) -> LockEnvironment:
    """The lock's ``environment``: what two runs must share to be compared bit for bit.

    Args:
        threads: of the runs.
        wanted: kinds of devices; the first that is here is meant.
        bitsandbytes: it computes a part of them.
        processes: that train together.
        arithmetic: as `kolm.train.arithmetic` measures it; without it a child under the strict
            profile is asked, which takes a second.

    Raises:
        Lacking: a package of the train extra is not installed, torch does not work here, or none
            of the devices is here (``E_MODEL_DEVICE``).
    """
    model, isa = processor()
    packages = (*_PACKAGES, "bitsandbytes") if bitsandbytes else _PACKAGES
    versions = {name: _version(name) for name in packages}
    measured = arithmetic or measure_in_child(threads, wanted)
    facts: dict[str, object] = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        **versions,
        "kolm": VERSION,
        "device": measured["device"],
        "cpu": model,
        "isa": isa,
        "capability": measured["capability"],
        "arithmetic": measured["results"],
        "threads": threads,
        "profile": "strict",
        # On the CPU several give the bits of one (docs/adr/0085-several-processes.md).
        "world_size": 1 if measured["accelerator"] is None else processes,
    }
    if measured["accelerator"] is not None:
        facts["accelerator"] = measured["accelerator"]
    return cast("LockEnvironment", {"class": digest.of_value(facts), **facts})


def demand_precision(precision: str, threads: int, wanted: tuple[str, ...]) -> None:
    """Demand that a number format can be trained in on the device that will be used.

    Raises:
        Lacking: ``E_TRAIN_BFLOAT16``, or as `environment_class`.
    """
    if precision == "float32":
        return
    measured = measure_in_child(threads, wanted)
    if not measured["bfloat16"]:
        raise Lacking(
            "E_TRAIN_BFLOAT16",
            "the accelerator does not compute in bfloat16",
            where="train.precision",
            found=str(measured["accelerator"]["name"]),
            hint="precision: float32, or device: cpu",
        )


@lru_cache(maxsize=4)
def measure_in_child(threads: int, wanted: tuple[str, ...]) -> Mapping[str, Any]:
    """What a child under the strict profile measures on the first of these devices that is here.

    Raises:
        Lacking: torch does not work here, or none of the devices is here.
    """
    command = [sys.executable, "-P", "-m", "kolm.train.arithmetic", *wanted]
    done = subprocess.run(
        command, env=child_environment(threads), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Lacking(
            "E_TRAIN_ARITHMETIC",
            "torch does not work on this machine",
            where="python -m kolm.train.arithmetic",
            found=done.stderr.strip()[-_ERROR_CHARACTERS:],
            hint="install a torch that fits this machine, then run the command again",
        )
    measured: Mapping[str, Any] = canonical.loads(done.stdout.encode(), where="arithmetic")
    if "here" in measured:
        raise missing(wanted, measured["here"])
    return measured


def check_environment(
    stated: LockEnvironment,
    variables: Mapping[str, str],
    *,
    processes: int = 1,
    arithmetic: Mapping[str, Any] | None = None,
) -> None:
    """Refuse to train in another environment than the lock's.

    Args:
        stated: the lock's ``environment``.
        variables: of this process.
        processes: that train together.
        arithmetic: as for `environment_class`; a process that will compute gives its own.

    Raises:
        Refused: another class (``E_TRAIN_ENVIRONMENT``), or the parent did not set the strict
            profile (``E_TRAIN_PROFILE``).
    """
    here = environment_class(
        stated["threads"],
        (stated["device"],),
        bitsandbytes="bitsandbytes" in stated,
        processes=processes,
        arithmetic=arithmetic,
    )
    differing = [
        (name, value, stated.get(name))
        for name, value in here.items()
        if value != stated.get(name) and name != "class"
    ]
    if here["class"] != stated["class"]:
        first, found, expected = (
            differing[0] if differing else ("class", here["class"], stated["class"])
        )
        raise Refused(
            "E_TRAIN_ENVIRONMENT",
            "the environment class of this machine is not the lock's",
            where=f"environment.{first}",
            expected=str(expected),
            found=str(found),
            hint="compile the spec here; its lock will name this environment",
        )
    for name, value in strict_environment(stated["threads"]).items():
        if variables.get(name) != value:
            raise Refused(
                "E_TRAIN_PROFILE",
                "the strict profile was not set before this process began",
                where=name,
                expected=value,
                found=variables.get(name, "unset"),
                hint="training is started by kolm compile, not by hand",
            )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise missing_extra("train", f"{package} is not installed") from error
