"""``kolm env``: versions, folders and settings, and where each came from."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import click

from kolm.cli import output

if TYPE_CHECKING:
    from kolm.records.answers import Env, EnvVariable


# What decides whether a command can run, in the order in which people ask.
PACKAGES = (
    "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "pillow",
    "accelerate", "bitsandbytes", "easy-vqa", "click", "cryptography", "jsonschema", "rich",
)  # fmt: skip


@click.command(short_help="Show versions, folders and settings, and where each came from.")
def command() -> None:
    """Show versions, folders and settings, and where each came from.

    Names packages without importing them, and never shows the value of a secret.
    """
    out = output.current()
    out.reporter.noted("versions are read from the installed packages, which are not imported")
    found = describe()
    out.answer("cli-env", found, lambda: _for_people(found), brief=str(found["kolm"]))


def describe() -> Env:
    """The answer as a document."""
    from kolm import __version__, paths

    return {
        "kolm": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": [{"name": name, "version": _version(name)} for name in PACKAGES],
        "folders": [
            {"name": "keys and trust", "path": str(paths.config_folder()), "origin": _origin()},
            {"name": "cache", "path": str(paths.cache_folder()), "origin": _origin()},
        ],
        "variables": _variables(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _origin() -> str:
    from kolm import settings

    return "KOLM_HOME" if settings.home() is not None else "platform default"


def _variables() -> list[EnvVariable]:
    from kolm import settings

    rows: list[EnvVariable] = []
    for variable in settings.VARIABLES:
        value = settings.text(variable.name)
        secret = "PASSPHRASE" in variable.name
        shown = "(set, not shown)" if secret and value else value
        if variable.name == "KOLM_OFFLINE" and settings.offline() and not value:
            rows.append({"name": variable.name, "value": "1", "origin": "--offline"})
            continue
        origin = "environment" if value else f"default: {variable.default}"
        rows.append({"name": variable.name, "value": shown, "origin": origin})
    return rows


def _for_people(found: Env) -> str:
    lines = [
        f"kolm {found['kolm']}   Python {found['python']}   {found['platform']}",
        f"{found['executable']}",
        "",
        "packages",
        *(f"  {row['name']:14}{row['version'] or 'not installed'}" for row in found["packages"]),
        "",
        "folders",
        *(f"  {row['name']:16}{row['path']}   ({row['origin']})" for row in found["folders"]),
        "",
        "environment",
        *(
            f"  {row['name']:22}{row['value'] or 'unset'}   ({row['origin']})"
            for row in found["variables"]
        ),
    ]
    return "\n".join(lines)
