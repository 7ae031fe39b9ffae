"""The lengths that order a run, held against real captures and base: `kolm verify --rescore`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kolm import canonical
from kolm.models.resolve import resolve_base
from kolm.sign import private_keys
from kolm.sign.trust import TrustStore
from tests.support.audits import trusting
from tests.support.bundles import BundleParts, read_parts
from tests.support.lines import Line, Process
from tests.support.toy_documents import make_trace

pytestmark = pytest.mark.heavy


def audited(line: Line, parts: BundleParts, folder: Path) -> Process:
    """What an auditor with store and base sees of these documents, signed by a trusted key."""
    key, trust = private_keys.generate(), folder / "trust.json"
    trust.write_bytes(canonical.dumps(TrustStore((trusting(key),)).to_document()))
    bundle = parts.seal(folder / "signed.kolm", key=key)
    material = ("--captures", "captures", "--base", parts.base, "--rescore", "2")
    return line.kolm("verify", bundle, "--trust", trust, *material, "-v")


@pytest.fixture
def parts(compiled: Line) -> BundleParts:
    return read_parts(compiled.bundle, resolve_base("kolm/nano-1").folder)


def test_the_lengths_of_a_compile_are_those_of_its_captures(
    compiled: Line, parts: BundleParts, tmp_path: Path
) -> None:
    ran = audited(compiled, parts, tmp_path)
    assert ran.code == 0, ran.stdout
    assert re.search(r"V55 ok .*recomputed for 2 of 150 captures", " ".join(ran.stdout.split()))


def test_lengths_that_put_the_examples_in_another_order_are_refused(
    compiled: Line, parts: BundleParts, tmp_path: Path
) -> None:
    """Lengths, order, label counts and trace agree with one another, and with no capture."""
    honest = [row["positions"] for row in parts.trace if row["kind"] == "step"]
    for number, example in enumerate(parts.examples):
        example["tokens"] += 1 + 7 * number % 5
    parts.trace = make_trace(parts.lock, parts.examples)
    assert [row["positions"] for row in parts.trace if row["kind"] == "step"] != honest
    ran = audited(compiled, parts, tmp_path)
    assert ran.code == 1
    failed = set(re.findall(r"(V\d\d) FAILED", ran.stdout))
    assert failed == {"V55"}, ran.stdout
    assert re.search(r"examples.jsonl:\d+, snapshot.jsonl:\d+: pairs.jsonl:\d+ ", ran.stdout)
