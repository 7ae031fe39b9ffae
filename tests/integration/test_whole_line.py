"""The whole line on the embedded base: compile, verify, publish, pull, run, load elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolm import actions
from kolm.bundle.reader import Bundle
from kolm.models.resolve import resolve_base
from kolm.sign import predicates
from tests.support.commands import invoke
from tests.support.lines import QUESTION, STEPS, Line, coloured, predicates_of

pytestmark = pytest.mark.heavy


@pytest.fixture
def home(compiled: Line, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of whoever compiled."""
    monkeypatch.setenv("KOLM_HOME", str(compiled.home))
    monkeypatch.chdir(compiled.folder)
    return compiled.home


@pytest.mark.usefixtures("home")
def test_the_bundle_is_accepted_with_its_captures_and_base(compiled: Line) -> None:
    ran = invoke("verify", compiled.bundle, "--captures", "captures", "--json")
    assert ran.code == 0, ran.stdout
    base = resolve_base("kolm/nano-1").folder
    ran = invoke("verify", compiled.bundle, "--base", base, "--json")
    assert ran.code == 0, ran.stdout
    assert ran.document()["conclusions"]["base_identity"]["verdict"] == "ok"


def test_what_was_measured_is_in_the_claims_and_not_in_the_content(compiled: Line) -> None:
    said = predicates_of(compiled.bundle)
    assert set(said) == {
        predicates.PROVENANCE, predicates.MODULES, predicates.COMPUTE, predicates.KSCORE,
        predicates.TEST_RESULT,
    }  # fmt: skip
    assert said[predicates.KSCORE]["gate"]["verdict"] == "passed"
    (measured,) = said[predicates.PROVENANCE]["runDetails"]["byproducts"]
    peaks, compute = measured["annotations"], said[predicates.COMPUTE]
    assert peaks["train_predicted_peak_bytes"] == compute["predicted_peak_bytes"] > 0
    assert peaks["train_observed_peak_bytes"] == compute["measured"]["observed_peak_bytes"] > 0
    bundle = Bundle.open(compiled.bundle)
    names = ("/home", str(compiled.folder), str(compiled.home))
    for name in bundle.names:
        data = bytes(bundle.member(name))
        assert not any(place.encode() in data for place in names), name


def test_pictures_and_checkpoints_travel_when_the_spec_publishes_them(tmp_path: Path) -> None:
    publish = "{images: true, checkpoints: bundle}"
    line = Line.make(tmp_path, rows=coloured(200), steps=STEPS, publish=publish)
    line.demand("compile")
    line.demand("verify", line.bundle, "--captures", "captures")
    names = Bundle.open(line.bundle).names
    assert sum(name.startswith("evalimage-") for name in names) == 50
    assert sum(name.startswith("checkpoint-") for name in names) == 2 * 5


@pytest.mark.slow
def test_withheld_text_is_scored_again_from_the_capture_store(tmp_path: Path) -> None:
    line = Line.make(tmp_path, rows=coloured(200), steps=STEPS, publish="{text: false}")
    line.demand("compile")
    alone = line.kolm("verify", line.bundle, "--json")
    assert alone.code == 3
    scores = alone.document()["conclusions"]["scores"]
    assert (scores["verdict"], scores["evidence"]) == ("not_checked", "attested")
    words = ("--captures", "captures", "--rescore", "2", "--json")
    looked = line.demand("verify", line.bundle, *words).document()
    assert looked["conclusions"]["scores"]["evidence"] == "recomputed"
    answers = {check["id"]: check["verdict"] for check in looked["checks"]}
    assert {answers[number] for number in ("V30", "V32", "V33", "V46")} == {"ok"}


@pytest.mark.usefixtures("home")
def test_it_is_published_pulled_and_answers(compiled: Line, tmp_path: Path) -> None:
    registry, pulled = tmp_path / "registry", tmp_path / "pulled.kolm"
    where = ("--registry", registry)
    assert invoke("registry", "init", registry).code == 0
    assert invoke("registry", "publish", compiled.bundle, "demo/line@1.0.0", *where).code == 0
    assert invoke("registry", "pull", "demo/line", *where, "-o", pulled).code == 0
    ran = invoke("run", pulled, "--image", "0000.png", "--prompt", QUESTION)
    assert (ran.code, ran.stdout) == (0, "black square\n"), ran.stderr


@pytest.mark.usefixtures("home")
def test_plain_peft_loads_it_and_gives_the_same_logits(compiled: Line, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import Qwen2_5_VLForConditionalGeneration

    unpacked = tmp_path / "unpacked"
    assert invoke("inspect", compiled.bundle, "--unpack", unpacked).code == 0
    base = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        resolve_base("kolm/nano-1").folder, dtype=torch.float32
    ).eval()
    inputs = _inputs(compiled.folder / "0000.png")
    with torch.no_grad():
        before = base(**inputs).logits
        theirs = PeftModel.from_pretrained(base, unpacked).eval()(**inputs).logits
        ours = actions.load(compiled.bundle).model(**inputs).logits
    assert torch.equal(theirs, ours)
    assert not torch.allclose(before, ours, atol=1e-2)


def _inputs(picture: Path) -> dict[str, Any]:
    """One question about one picture, by the base's own processor."""
    from PIL import Image

    from kolm.models.processor import load_processor

    processor = load_processor(resolve_base("kolm/nano-1").folder)
    talk = [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": QUESTION}],
        }
    ]
    text = processor.apply_chat_template(talk, add_generation_prompt=True)
    with Image.open(picture) as image:
        return dict(processor(text=[text], images=[image.convert("RGB")], return_tensors="pt"))
