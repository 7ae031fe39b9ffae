"""The schemas of the answers, and the package's own lazy functions."""

from __future__ import annotations

import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

import kolm
from kolm import schema, whole_schema
from tests.support.commands import leaves

NAMES = sorted(path.name.split(".")[0] for path in (schema.folder() / "cli").glob("*.json"))
# `kolm verify` answers with the verification document; push and pull with the registry's.
ELSEWHERE = {"verify", "push", "pull"}


@pytest.mark.parametrize("name", NAMES)
def test_each_schema_is_one_and_names_its_document(name: str) -> None:
    document = whole_schema.load(f"cli/{name}")
    Draft202012Validator.check_schema(document)
    schema.checker(f"cli/{name}")
    assert document["$id"].endswith(f"cli-{name}:v1")


def test_every_command_has_a_schema_and_every_schema_a_command() -> None:
    commands = {"-".join(path) for path, _ in leaves()} - ELSEWHERE
    assert commands | {"error"} == set(NAMES)


def test_the_public_functions_are_loaded_when_first_used() -> None:
    code = (
        "import sys, kolm\n"
        "assert 'kolm.actions' not in sys.modules\n"
        "from kolm import actions\n"
        "vars(actions)['compile'] = stand_in = object()\n"
        "assert kolm.compile is stand_in\n"
        "import kolm.actions.verification as place\n"
        "place.verify = lambda path: ('asked', path)\n"
        "assert kolm.verify('x.kolm') == ('asked', 'x.kolm')\n"
        "import kolm.verify.verifier\n"
        "assert kolm.verify('x.kolm') == ('asked', 'x.kolm')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert set(kolm.__all__) == {"__version__", "compile", "load", "verify"}


def test_the_package_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        _ = kolm.complie
