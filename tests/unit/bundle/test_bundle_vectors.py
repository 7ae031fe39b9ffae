"""The published vectors: the good bundle opens, each bad one is refused by the check it is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kolm import canonical, schema
from kolm.bundle.reader import Bundle
from kolm.errors import KolmError
from kolm.sign.trust import TrustStore
from kolm.verify.subject import Auditor
from kolm.verify.verifier import verify
from tests.support.audits import NOW
from tests.support.bundles import container_failures

FOLDER = Path(__file__).parents[2] / "vectors" / "bundle"
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXPECTED["valid"])
def test_a_valid_vector_opens_under_its_content_id(name: str) -> None:
    path = FOLDER / "valid" / f"{name}.kolm"
    assert container_failures(path) == {}
    assert Bundle.open(path).content_id == EXPECTED["valid"][name]["content_id"]


@pytest.mark.parametrize("name", EXPECTED["valid"])
def test_a_valid_vector_has_documents_that_this_kolm_reads(name: str) -> None:
    """Its claim is signed by nobody; where this fails: python -m tests.vectors.bundle.make."""
    report = verify(FOLDER / "valid" / f"{name}.kolm", Auditor(TrustStore(()), NOW))
    assert {c.id: c.detail for c in report.checks if c.id < "V10" and c.verdict != "ok"} == {}


@pytest.mark.parametrize("name", EXPECTED["invalid"])
def test_an_invalid_vector_is_refused_by_its_check(name: str) -> None:
    path = FOLDER / "invalid" / f"{name}.kolm"
    found = container_failures(path)
    for check, codes in EXPECTED["invalid"][name].items():
        assert set(codes) <= found[check]
    with pytest.raises(KolmError):
        Bundle.open(path)


def test_every_vector_file_is_listed_and_every_listed_file_is_there() -> None:
    for kind in ("valid", "invalid"):
        assert {path.stem for path in (FOLDER / kind).iterdir()} == set(EXPECTED[kind])


@pytest.mark.parametrize(
    "name", ["checkpoint", "examples_row", "receipt", "modules_row", "trace_row"]
)
def test_document_vectors_are_judged_as_filed(name: str) -> None:
    problem_of = schema.checker(name)
    folder = FOLDER.parent / name
    good = [path.read_bytes() for path in sorted((folder / "valid").iterdir())]
    bad = [path.read_bytes() for path in sorted((folder / "invalid").iterdir())]
    assert good
    assert all(problem_of(canonical.loads_canonical(data, where=name)) is None for data in good)
    assert len(bad) >= 7
    assert all(problem_of(canonical.loads_canonical(data, where=name)) for data in bad)
