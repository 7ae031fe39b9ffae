"""The floor: the environment variables that kolm reads, all of them, and nothing else reads them.

Settings never change the bytes of a bundle; the spec does that.
"""

import os
from pathlib import Path
from typing import NamedTuple

from kolm.errors import Usage


class Variable(NamedTuple):
    """One environment variable: its name, what it does, and what holds without it."""

    name: str
    purpose: str
    default: str


VARIABLES = (
    Variable(
        name="KOLM_HOME",
        purpose="one folder for keys, trust, what was seen in registries, settings and cache",
        default="the platform's own config and cache folders",
    ),
    Variable(
        name="KOLM_OFFLINE",
        purpose="1 forbids every network access, as --offline does",
        default="0",
    ),
    Variable(
        name="KOLM_KEY_PASSPHRASE",
        purpose="passphrase of the signing key, for machines without a terminal",
        default="none; asked for on a terminal",
    ),
    Variable(
        name="KOLM_FEATURES_BYTES",
        purpose="the most bytes on disk that vision features kept for later compiles may take; "
        "0 keeps none",
        default=str(20 * 1024**3),
    ),
    Variable(
        name="KOLM_TRACK",
        purpose="where the course of a training goes beside metrics.jsonl in its run folder: "
        "tensorboard, wandb (offline), or both with a comma between",
        default="unset",
    ),
    Variable(
        name="KOLM_JUDGE_KEY",
        purpose="key of the endpoint that judges captures; sent to that address alone",
        default="none is sent",
    ),
    Variable(name="NO_COLOR", purpose="any value switches colours off", default="unset"),
)


# Places, which of several accelerators is this user's, and how threads wait for each other, which
# changes time alone. LD_LIBRARY_PATH is here because without it Python does not start on some
# clusters.
_INHERITED = frozenset(
    (
        "PATH", "HOME", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "KOLM_HOME", "KOLM_OFFLINE",
        "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
    )
)  # fmt: skip


def text(name: str) -> str | None:
    """The value of one of our variables, or None when it is unset or empty."""
    if name not in {variable.name for variable in VARIABLES}:
        raise KeyError(name)
    return os.environ.get(name) or None  # noqa: TID251 - this is the one reader


def flag(name: str) -> bool:
    """A variable that is a switch.

    Raises:
        Usage: neither a yes nor a no.
    """
    value = (text(name) or "0").lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    raise Usage(
        "E_ENVIRONMENT_VALUE", f"{name} must be a yes or a no", expected="1 or 0", found=value
    )


def features_bytes() -> int:
    """The disk budget of kept vision features.

    Raises:
        Usage: not a whole number.
    """
    default = next(v.default for v in VARIABLES if v.name == "KOLM_FEATURES_BYTES")
    value = text("KOLM_FEATURES_BYTES") or default
    if not (value.isascii() and value.isdecimal()):
        raise Usage(
            "E_ENVIRONMENT_VALUE",
            "KOLM_FEATURES_BYTES must be a number of bytes",
            expected="a whole number",
            found=value[:80],
        )
    return int(value)


def track() -> tuple[str, ...]:
    """The trackers that KOLM_TRACK names."""
    names = (text("KOLM_TRACK") or "").split(",")
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def home() -> Path | None:
    """The folder of KOLM_HOME, or None when the platform's own folders hold."""
    value = text("KOLM_HOME")
    return Path(value).expanduser() if value else None


_offline_by_flag = False


def set_offline(value: bool) -> None:
    """Set by the command line's --offline, for the whole process and its children."""
    global _offline_by_flag  # noqa: PLW0603 - one switch for the whole process
    _offline_by_flag = value


def offline() -> bool:
    """True when --offline or KOLM_OFFLINE forbids every network access.

    Raises:
        Usage: KOLM_OFFLINE is neither a yes nor a no.
    """
    return _offline_by_flag or flag("KOLM_OFFLINE")


def process() -> dict[str, str]:
    """Every variable of this process, for a child that holds them against what it should have."""
    return dict(os.environ)  # noqa: TID251 - this is the one reader


def inherited() -> dict[str, str]:
    """What a child process gets of this environment: where things are, never how to compute.

    A closed list, because nobody can name every variable that changes the result of a library.
    """
    own = {"KOLM_OFFLINE": "1"} if _offline_by_flag else {}
    return {name: value for name, value in process().items() if name in _INHERITED} | own
