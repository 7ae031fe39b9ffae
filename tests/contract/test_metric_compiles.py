"""Every metric through the command line: one training, evaluated, sealed and verified with each."""

from __future__ import annotations

from typing import Any

import pytest

from kolm import canonical
from kolm.bundle.reader import Bundle
from kolm.format.names import EVALUATION
from kolm.metrics import METRICS
from kolm.score.evaluation import RUNS
from tests.support.lines import Line, same_answer

pytest.importorskip("torch")
pytestmark = [pytest.mark.heavy, pytest.mark.slow]

# That the bundle is good is not asked: of a training of two steps nothing was learnt.
POLICY = "V62"

# A box, a yes and a field at once, so that one training serves every metric; not all the same, so
# that some words are rare.
ANSWERS = [f'{{"yes": [1, 2, 3, {4 + number}]}}' for number in range(16)]
SPECIFIED: dict[str, Any] = {
    "regex": {"kind": "regex", "pattern": "([0-9]+)"},
    "choice": {"kind": "choice", "choices": ANSWERS},
}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    rows = [
        {**row, "response": answer, "references": [answer] * 3}
        for row, answer in zip(same_answer(16), ANSWERS, strict=True)
    ]
    return Line.make(tmp_path_factory.mktemp("metrics"), rows=rows, steps=2)


@pytest.mark.parametrize("kind", METRICS)
def test_a_training_is_evaluated_sealed_and_verified_with_the_metric(line: Line, kind: str) -> None:
    before = len(line.stage_folders("evaluate"))
    line.write_spec(steps=2, metric=canonical.dumps(SPECIFIED.get(kind, kind)).decode())
    line.compile("--allow-below-gate", "--force")
    evaluation = Bundle.open(line.bundle).document(EVALUATION)
    assert evaluation["metric"]["kind"] == kind
    assert all("accuracy" in evaluation[run] for run in RUNS)
    ran = line.kolm("verify", line.bundle, "--json")
    checks = {check["id"]: check for check in ran.document()["checks"]}
    assert [name for name, check in checks.items() if check["verdict"] == "failed"] == [POLICY]
    for number in ("V30", "V31", "V32", "V33", "V35", "V36", "V37"):
        assert checks[number]["verdict"] == "ok", number
    assert len(line.stage_folders("train")) == 1
    assert len(line.stage_folders("evaluate")) == before + 1
