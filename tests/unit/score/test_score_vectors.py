"""The vectors that any implementation can be held against, checked a second way here."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from kolm import digest, schema
from kolm.score.cases import build_cases
from kolm.score.evaluation import RUNS, evaluate, find_mismatches

FOLDER = Path(__file__).parents[2] / "vectors" / "evaluation"
WHOLE = ("exact", "relaxed", "questions", "pictures")


def _load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return document


@pytest.mark.parametrize("name", WHOLE)
def test_whole_evaluations(name: str) -> None:
    vector = _load(name)
    for item in vector["evalcases"]:
        schema.check("capture", item, where=name)
    cases = build_cases((digest.of_value(item), item) for item in vector["evalcases"])
    assert evaluate(vector["predictions"], cases, vector["settings"]) == vector["evaluation"]
    assert not list(find_mismatches(vector["predictions"], cases, vector["settings"]))


@pytest.mark.parametrize("name", WHOLE)
def test_the_vectors_hold_by_plain_floating_point_too(name: str) -> None:
    vector = _load(name)
    stated, rows = vector["evaluation"], vector["predictions"]
    z = 1.959963984540054
    for run in RUNS:
        n, k = len(rows), sum(float(row[run]["score"]) for row in rows)
        reach = z * math.sqrt(z * z + 4 * k * (n - k) / n)
        low, high = ((2 * k + z * z + sign * reach) / (2 * (n + z * z)) for sign in (-1, 1))
        assert float(stated[run]["accuracy"]) == pytest.approx(k / n, abs=1e-6)
        assert float(stated[run]["interval"]["low"]) == pytest.approx(low, abs=1e-6)
        assert float(stated[run]["interval"]["high"]) == pytest.approx(high, abs=1e-6)
    shown = {digest.of_value(i): i["images"][0]["pixels"] for i in vector["evalcases"]}
    clusters = [[row for row in rows if shown[row["case"]] == one] for one in set(shown.values())]
    assert stated["clustered"]["clusters"] == len(clusters)
    for run in RUNS:
        low, high = _clustered(clusters, run, z)
        assert float(stated["clustered"][run]["low"]) == pytest.approx(low, abs=1e-6)
        assert float(stated["clustered"][run]["high"]) == pytest.approx(high, abs=1e-6)
    pairs = [(float(row["adapter"]["score"]), float(row["base"]["score"])) for row in rows]
    b, c = sum(a > d for a, d in pairs), sum(d > a for a, d in pairs)
    tail = sum(math.comb(b + c, i) for i in range(min(b, c) + 1)) / 2 ** (b + c)
    assert (stated["paired"]["adapter_only"], stated["paired"]["base_only"]) == (b, c)
    assert float(stated["paired"]["p"]) == pytest.approx(min(1, 2 * tail), abs=1e-6)


def _clustered(clusters: list[list[dict[str, Any]]], run: str, z: float) -> tuple[float, float]:
    """E14 as it is written there."""
    told = [[float(row[run]["score"]) for row in rows] for rows in clusters]
    n, k = sum(map(len, told)), len(told)
    scores = [score for own in told for score in own]
    m, size = sum(scores) / n, sum(len(own) ** 2 for own in told) / n
    c = n / size
    if 0 < m < 1:
        v = sum((x - m) ** 2 for x in scores) / n
        within = sum((x - sum(own) / len(own)) ** 2 for own in told for x in own)
        w = within / (n - k) if k < n else 0
        variance = c / (c - 1) * (w + size * (v - w)) / n
        student = (1 + (z * z + 1) / (4 * (c - 1))) ** 2
        effect = min(max(variance * n / (m * (1 - m)) * student, 1), n)
    else:
        effect = size
    worth = n / effect
    reach = z * math.sqrt(z * z + 4 * m * worth * (1 - m))
    ends = ((2 * m * worth + z * z + sign * reach) / (2 * (worth + z * z)) for sign in (-1, 1))
    return tuple(ends)


def test_swapped_goes_round_each_question_and_round_those_of_one_reference_together() -> None:
    """E12 as it is written there, for `contains` and ASCII."""
    vector = _load("questions")
    said = {row["case"]: row["adapter"]["output"].lower() for row in vector["predictions"]}
    cases = sorted((digest.of_value(item), item["messages"]) for item in vector["evalcases"])
    asked = {case: " ".join(m[0]["content"][1]["text"].lower().split()) for case, m in cases}
    right = {case: m[1]["content"][0]["text"].lower().rstrip(".") for case, m in cases}
    references: dict[str, set[str]] = {}
    for case, question in asked.items():
        references.setdefault(question.rstrip("?"), set()).add(right[case])
    rounds: dict[str, list[str]] = {}
    for case, question in asked.items():
        group = question.rstrip("?")
        rounds.setdefault(group if len(references[group]) > 1 else "", []).append(case)
    assert sorted(map(len, rounds.values())) == [4, 4, 9]
    pairs = [
        (case, cases[(place + 1) % len(cases)])
        for cases in rounds.values()
        for place, case in enumerate(cases)
    ]
    fitting = sum(right[other] in said[case].split() for case, other in pairs)
    swapped = vector["evaluation"]["swapped"]["accuracy"]
    assert float(swapped) == pytest.approx(fitting / len(said), abs=1e-6)
