"""A tiny base of every family through the command line: compiled, sealed, verified, run."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm import digest, roles
from kolm.bundle.reader import Bundle
from kolm.format.names import LOCK
from tests.support import families
from tests.support.lines import Line, same_answer

pytest.importorskip("torch")
pytestmark = pytest.mark.heavy

# That the bundle is good is not asked: a random base has learnt nothing in 8 steps.
POLICY = "V62"
LOOKED_AT = {f"V{number}" for number in (*range(20, 30), 40, 41, 42, 43, 46, 47, 48)}


# The others run in `make acceptance`: each takes a minute. This one's forward pass is wholly the
# library's own, which no other compile of `make test` covers.
QUICK = "llava"
EVERY = [
    name if name == QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in sorted(roles.FAMILIES)
]


@pytest.mark.parametrize("model_type", EVERY)
def test_a_base_of_the_family_is_compiled_verified_and_run(model_type: str, tmp_path: Path) -> None:
    base = families.save(model_type, tmp_path / "base")
    line = Line.make(tmp_path / "line", rows=same_answer(24), base=base, steps=8)
    line.compile("--allow-below-gate")
    template = Bundle.open(line.bundle).document(LOCK)["base"]["template"]
    own = families.processor(model_type).chat_template
    of = {"base": [own], "family": roles.family(model_type).training_templates}
    assert template["digest"] in [digest.of_bytes(t.encode()) for t in of[template["source"]]]
    ran = line.kolm(
        "verify", line.bundle, "--base", base, "--captures", "captures", "--rescore", "4", "--json"
    )
    verdicts = {check["id"]: check["verdict"] for check in ran.document()["checks"]}
    assert [name for name, verdict in verdicts.items() if verdict == "failed"] == [POLICY]
    assert {name for name in LOOKED_AT if verdicts[name] != "ok"} == set()
    answer = line.demand(
        "run", line.bundle, "--base", base, "--image", "0000.png",
        "--prompt", "what is picture 0?", "--allow-below-gate", "--json",
    )  # fmt: skip
    assert answer.document()["tokens"] > 0
