"""What a command was asked it hands on: each of its parameters is an argument of its action."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import click
import pytest

from kolm.actions import capturing, keyring, registries
from kolm.actions.compiling import compile_bundle
from kolm.actions.evaluating import evaluate_bundle
from kolm.actions.running import run
from kolm.actions.verification import verify
from kolm.cli.main import root

ACTIONS = {
    ("capture", "add"): capturing.add_capture,
    ("capture", "import"): capturing.import_captures,
    ("capture", "export"): capturing.export_captures,
    ("capture", "snapshot"): capturing.take_snapshot,
    ("compile",): compile_bundle,
    ("eval",): evaluate_bundle,
    ("keys", "export"): keyring.export_key,
    ("registry", "list"): registries.list_registry,
    ("registry", "publish"): registries.publish,
    ("registry", "pull"): registries.pull,
    ("registry", "search"): registries.list_registry,
    ("registry", "show"): registries.show,
    ("registry", "verify"): registries.verify_registry,
    ("run",): run,
    ("verify",): verify,
}
OF_THE_COMMAND = {
    ("eval",): {"against_base", "endpoint", "model", "answers", "instruction"},  # of `rival`
    ("capture", "import"): {"annotations", "image_pattern", "prompt"},  # of formats: `options`
    ("verify",): {"wanted", "attest", "key", "output", "force"},  # of the summary
}


@pytest.mark.parametrize("path", ACTIONS, ids=" ".join)
def test_a_parameter_is_an_argument_of_the_action(path: tuple[str, ...]) -> None:
    command: Any = root
    for name in path:
        command = command.get_command(click.Context(command), name)
    action: Callable[..., object] = ACTIONS[path]
    asked = {p.name for p in command.params if p.expose_value} - OF_THE_COMMAND.get(path, set())
    assert asked <= inspect.signature(action).parameters.keys()
