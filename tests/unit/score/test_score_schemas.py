"""Each bad document in the vectors is refused for its own defect, and the good ones are not."""

import json
from pathlib import Path

import jsonschema
import pytest

from kolm import schema, whole_schema

FOLDER = Path(__file__).parents[2] / "vectors"
NAMES = ("predictions_row", "evaluation", "kscore", "judgement_row", "pairs")
GOOD = [(name, path) for name in NAMES for path in sorted((FOLDER / name / "valid").iterdir())]
BAD = [(name, path) for name in NAMES for path in sorted((FOLDER / name / "invalid").iterdir())]


@pytest.mark.parametrize(("name", "path"), GOOD, ids=lambda part: getattr(part, "stem", part))
def test_good_documents_fit(name: str, path: Path) -> None:
    value = json.loads(path.read_text())
    assert schema.checker(name)(value) is None
    jsonschema.Draft202012Validator(whole_schema.load(name)).validate(value)


@pytest.mark.parametrize(("name", "path"), BAD, ids=lambda part: getattr(part, "stem", part))
def test_bad_documents_do_not(name: str, path: Path) -> None:
    value = json.loads(path.read_text())
    assert schema.checker(name)(value) is not None
    assert not jsonschema.Draft202012Validator(whole_schema.load(name)).is_valid(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(whole_schema.load(name))
