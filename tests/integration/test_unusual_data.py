"""Data as people have it, through check, compile, verify and rescore: thin and tiny pictures, long
prompts and answers, pictures of very different sizes; and what cannot be asked, told by name."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kolm import canonical
from kolm.models.resolve import find_folder
from tests.support.commands import Ran, invoke
from tests.support.lines import Line

pytest.importorskip("torch")

POLICY = {
    "schema": "urn:kolm:policy:v1",
    "name": "few-cases",
    "claims": [{"predicate": "urn:kolm:kscore:v1", "role": "evaluator", "threshold": 1}],
    "gate": "any",
}
FLOORS = (
    "{accuracy_lower_bound: 0, worst_slice: 0, better_than_base_p: 1, above_blind: -1,"
    " above_majority: -1, k: 0}"
)


def picture(number: int, width: int = 64, height: int = 64) -> bytes:
    """A PNG file of one colour with another pixel in a corner; each number is another picture."""
    image = Image.new("RGB", (width, height), (number * 37 % 256, number * 91 % 256, 200))
    image.putpixel((0, 0), (number, 0, 0))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def row(images: Sequence[bytes], side: str, **texts: str) -> dict[str, Any]:
    prompt = {"prompt": "what color is the shape?", "response": "red", **texts}
    return {"image": list(images), "split": side, **prompt}


def ordinary(count: int = 12) -> list[dict[str, Any]]:
    """Rows with nothing unusual, a third of them to be scored."""
    return [
        row([picture(number)], "train" if number % 3 else "eval", response=f"color {number % 2}")
        for number in range(count)
    ]


def make(folder: Path, rows: Sequence[dict[str, Any]], **settings: Any) -> Path:
    """A project with these rows; returns the spec."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, one in enumerate(rows):
        names = []
        for place, data in enumerate(one["image"]):
            names.append(f"p{number}-{place}.png")
            (folder / names[-1]).write_bytes(data)
        lines.append({**one, "image": names})
    (folder / "rows.jsonl").write_bytes(canonical.dump_lines(lines))
    train = {"steps": 2, "batch_size": 4, "learning_rate": 0.001, **settings.pop("train", {})}
    evaluation = {"max_new_tokens": 8, "batch_size": 8, **settings.pop("evaluation", {})}
    spec = folder / "kolm.yaml"
    spec.write_text(
        "kolm: 1\nname: t\nbase: kolm/nano-1\n"
        "data: {captures: captures, split: official, validation: 0, near_duplicates: report}\n"
        f"train: {json.dumps({'method': {'kind': 'lora', 'rank': 4, 'alpha': 8}, **train})}\n"
        f"evaluation: {{floors: {FLOORS}, {json.dumps(evaluation)[1:]}\ncost: local\n"
    )
    store = str(folder / "captures")
    ran = invoke("capture", "import", folder / "rows.jsonl", "--store", store)
    assert ran.code == 0, ran.stderr
    return spec


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert invoke("keys", "new").code == 0


def told(ran: Ran, verdict: str) -> dict[str, dict[str, Any]]:
    """Findings about the data of a verdict, by their message up to its first bracket."""
    findings = [f for f in ran.document()["findings"] if f["name"] != "audit"]  # so few cases
    return {f["message"].split(" (")[0]: f for f in findings if f["verdict"] == verdict}


THIN = [(1, 201), (601, 3)]
TINY = [(1, 1), (7, 7), (8, 8), (15, 16), (17, 16), (1, 27), (200, 1), (1, 200), (2000, 10)]


@pytest.mark.parametrize("side", ["train", "eval"])
def test_thin_pictures_are_named_with_their_rows_and_kept(tmp_path: Path, side: str) -> None:
    rows = ordinary() + [row([picture(50 + n, *size)], side) for n, size in enumerate(THIN)]
    ran = invoke("check", make(tmp_path / "p", rows), "--json")
    assert ran.code == 0, ran.stdout
    found = told(ran, "warning")["2 pictures are too thin for the family"]
    for line in ("rows.jsonl:13 ", "rows.jsonl:14 ", "1x201", "601x3", f"({side})"):
        assert line in found["found"]
    captures = next(f for f in ran.document()["findings"] if f["name"] == "captures")
    expected = "10 to train on" if side == "train" else "6 to score"
    assert expected in captures["message"]


def test_pictures_of_any_size_need_no_word(tmp_path: Path) -> None:
    rows = ordinary()
    rows += [
        row([picture(60 + n, *size)], "eval" if n % 2 else "train") for n, size in enumerate(TINY)
    ]
    ran = invoke("check", make(tmp_path / "p", rows), "--json")
    assert (ran.code, told(ran, "warning")) == (0, {})


def test_answers_that_can_never_be_given_are_counted_and_named(tmp_path: Path) -> None:
    sentence = "The picture shows a single disc on a plain white background, away from the middle."
    rows = [{**one, "response": f"{sentence} {n}"} for n, one in enumerate(ordinary())]
    ran = invoke("check", make(tmp_path / "p", rows), "--json")
    assert ran.code == 0
    (message,) = [text for text in told(ran, "warning") if "longer than evaluation" in text]
    assert message.startswith("4 reference answers are longer than evaluation.max_new_tokens")
    assert "rows.jsonl:1 " in told(ran, "warning")[message]["found"]


def test_a_floor_that_long_answers_put_out_of_reach_stops_check_and_compile(
    tmp_path: Path,
) -> None:
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    rows = ordinary(60)
    rows = [{**one, "response": long} if n % 2 else one for n, one in enumerate(rows)]
    spec = make(tmp_path / "p", rows)
    spec.write_text(
        spec.read_text().replace("accuracy_lower_bound: 0", "accuracy_lower_bound: 0.6")
    )
    failed = told(invoke("check", spec, "--json"), "failed")
    (finding,) = failed.values()
    assert finding["code"] == "E_FLOOR_OUT_OF_REACH"
    assert "10 references too long" in finding["found"]
    ran = invoke("compile", spec)
    assert (ran.code, "E_FLOOR_OUT_OF_REACH" in ran.stderr) == (1, True)
    assert not (tmp_path / "p" / ".kolm" / "runs").exists()
    spec.write_text(spec.read_text().replace('"max_new_tokens": 8', '"max_new_tokens": 90'))
    assert invoke("check", spec).code == 0


def test_cut_prompts_are_told_for_each_side_and_the_library_says_nothing(tmp_path: Path) -> None:
    context = "Context: " + "lorem ipsum dolor " * 900 + "what color is the shape?"
    rows = ordinary() + [
        row([picture(70 + n)], "train" if n % 3 else "eval", prompt=context) for n in range(6)
    ]
    ran = invoke("-q", "check", make(tmp_path / "p", rows), "--json")
    assert ran.code == 0
    assert ran.stderr == ""
    warnings = told(ran, "warning")
    cut = {text: finding for text, finding in warnings.items() if text.endswith("cut")}
    assert [(f["name"], text[:9]) for text, f in cut.items()] == [
        ("train side", "4 prompts"),
        ("eval side", "2 prompts"),
    ]


def test_every_case_that_cannot_be_asked_is_named_at_once(tmp_path: Path) -> None:
    rows = [
        *ordinary(),
        row([picture(80 + n) for n in range(5)], "eval", prompt="how many pictures?"),
        row([picture(90 + n) for n in range(6)], "eval", prompt="how many pictures are there?"),
        row([picture(99, 224, 224)], "eval", prompt="what is big?"),
    ]
    spec = make(tmp_path / "p", rows, train={"max_seq_length": 100})
    ran = invoke("check", spec, "--json")
    assert ran.code == 1
    failed = {f["code"]: f for f in told(ran, "failed").values()}
    assert failed.keys() == {"E_ENCODE_TOO_MANY_IMAGES", "E_ENCODE_PROMPT_TOO_LONG"}
    many = failed["E_ENCODE_TOO_MANY_IMAGES"]
    assert "rows.jsonl:13 " in many["found"]
    assert "rows.jsonl:14 " in many["found"]
    long = failed["E_ENCODE_PROMPT_TOO_LONG"]
    assert long["where"].startswith("rows.jsonl:15 ")
    assert '"what is big?"' in long["where"]
    stopped = invoke("compile", spec)
    assert stopped.code == 1
    for word in ("E_COMPILE_PRECHECKS", "E_ENCODE_TOO_MANY_IMAGES", "E_ENCODE_PROMPT_TOO_LONG"):
        assert word in stopped.stderr
    assert not (tmp_path / "p" / ".kolm" / "runs").exists()


def test_missing_and_damaged_pictures_are_all_named_with_their_rows(tmp_path: Path) -> None:
    spec = make(tmp_path / "p", ordinary())
    blobs = sorted(p for p in (tmp_path / "p/captures/blobs/sha256").rglob("*") if p.is_file())
    blobs[0].chmod(0o644)
    blobs[0].write_bytes(b"x")
    blobs[1].unlink()
    blobs[2].unlink()
    ran = invoke("check", spec, "--json")
    findings = [f for f in ran.document()["findings"] if f["verdict"] == "failed"]
    assert len(findings) == 2
    for finding, blob in ((findings[0], blobs[0]), (findings[1], blobs[2])):
        said = str(finding)
        assert "rows.jsonl:" in said, blob
    assert any("(2 pictures)" in finding["message"] for finding in findings)


def test_very_different_sizes_in_one_row_fit_by_shrinking(tmp_path: Path) -> None:
    rows = [
        row([picture(n), picture(100 + n, 16, 16), picture(150 + n, 200, 200)],
            "eval" if n % 3 == 0 else "train")
        for n in range(12)
    ]  # fmt: skip
    settings = {"max_seq_length": 256, "shrink_images": True}
    ran = invoke("check", make(tmp_path / "p", rows, train=settings), "--json")
    assert (ran.code, told(ran, "warning")) == (0, {})


def test_settings_far_from_the_bases_own_and_an_unfrozen_tower_are_warned_of(
    tmp_path: Path,
) -> None:
    settings = {"learning_rate": 0.00001, "freeze": {"vision": False}}
    ran = invoke("check", make(tmp_path / "p", ordinary(), train=settings), "--json")
    messages = " ".join(told(ran, "warning"))
    assert ran.code == 0
    assert "the vision tower is adapted too" in messages
    assert "train.learning_rate 0.00001 is far from what works for kolm/nano-1" in messages


def test_a_target_that_is_taken_and_an_encrypted_key_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make(tmp_path / "p", ordinary())
    (tmp_path / "p" / "t.kolm").write_text("my thesis")
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "secret")
    assert invoke("keys", "new").code == 0
    monkeypatch.delenv("KOLM_KEY_PASSPHRASE")
    ran = invoke("check", spec, "--json")
    assert [f["code"] for f in told(ran, "failed").values()] == ["E_TARGET_EXISTS"]
    assert ran.code == 1  # looked and no: it is not the check that was called wrongly
    assert any("the signing key is encrypted" in text for text in told(ran, "warning"))
    assert (tmp_path / "p" / "t.kolm").read_text() == "my thesis"


def test_a_base_that_is_not_here_does_not_hide_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make(tmp_path / "p", ordinary())
    spec.write_text(spec.read_text().replace("kolm/nano-1", "kolm/nano1"))
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "empty"))
    ran = invoke("check", spec, "--json")
    failed = {f["code"]: f for f in ran.document()["findings"] if f["verdict"] == "failed"}
    assert ran.code == 3  # neither could be looked at
    assert failed["E_BASE_NOT_FOUND"]["hint"] == "did you mean kolm/nano-1?"
    assert len(failed) == 2


def test_a_base_of_pointers_and_missing_files_is_told_file_by_file(tmp_path: Path) -> None:
    spec = make(tmp_path / "p", ordinary())
    base = tmp_path / "p" / "base"
    shutil.copytree(find_folder("kolm/nano-1").folder, base)
    spec.write_text(spec.read_text().replace("kolm/nano-1", "base"))
    assert invoke("check", spec).code == 0
    (base / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    (base / "chat_template.jinja").unlink()
    ran = invoke("check", spec, "--json")
    findings = ran.document()["findings"]
    failed = [(f["code"], f["where"]) for f in findings if f["verdict"] == "failed"]
    assert ran.code == 1
    assert failed == [
        ("E_BASE_LFS_POINTER", "model.safetensors"),
        ("E_ENCODE_TEMPLATE", "chat template"),
    ]
    stopped = invoke("compile", spec)
    assert stopped.code == 1
    for word in ("E_COMPILE_PRECHECKS", "E_BASE_LFS_POINTER", "E_ENCODE_TEMPLATE"):
        assert word in stopped.stderr
    (base / "config.json").unlink()
    assert (invoke("check", spec).code, invoke("compile", spec).code) == (3, 3)


def test_a_base_with_fewer_positions_than_an_example_has_tokens(tmp_path: Path) -> None:
    spec = make(tmp_path / "p", ordinary())
    base = tmp_path / "p" / "base"
    shutil.copytree(find_folder("kolm/nano-1").folder, base)
    spec.write_text(spec.read_text().replace("kolm/nano-1", "base"))
    config = json.loads((base / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 32
    (base / "config.json").write_text(json.dumps(config))
    (finding,) = told(invoke("check", spec, "--json"), "failed").values()
    assert finding["code"] == "E_BASE_POSITIONS"
    assert finding["expected"].startswith("at most 32 tokens")
    assert "rows.jsonl:" in finding["found"]
    lora, prompt = '{"kind": "lora", "rank": 4, "alpha": 8}', "{kind: prompt, virtual_tokens: 5}"
    spec.write_text(spec.read_text().replace(lora, prompt))
    (finding,) = told(invoke("check", spec, "--json"), "failed").values()
    assert finding["expected"].startswith("at most 27 tokens")


@pytest.mark.slow
@pytest.mark.heavy
def test_all_of_it_is_compiled_verified_rescored_and_its_cut_prompts_are_counted(
    tmp_path: Path,
) -> None:
    context = "Context: " + "lorem ipsum dolor " * 900 + "what color is the shape?"
    sizes = [*THIN, *TINY]
    rows = ordinary()
    for side, start in (("train", 100), ("eval", 120)):
        rows += [row([picture(start + n, *size)], side) for n, size in enumerate(sizes)]
        rows.append(row([picture(start + 15)], side, prompt=context))
        rows.append(row([picture(start + 16)], side, response="a long answer that is cut " * 3))
    project = tmp_path / "p"
    make(project, rows)
    line = Line(folder=project, home=tmp_path / "home", name="t")
    compiled = line.kolm("compile", "--allow-below-gate", "--json")
    assert compiled.code == 0, compiled.stderr
    evaluation = compiled.document()["evaluation"]
    assert (evaluation["cut_prompts"], evaluation["cases"]) == (1, 4 + len(sizes) + 2)
    assert "1 prompt is longer than train.max_seq_length allows: cut" in compiled.stderr
    for leak in ("Token indices", "[transformers]", "indexing errors"):
        assert leak not in compiled.stderr
    (project / "policy.json").write_text(json.dumps(POLICY))
    ran = line.kolm(
        "verify", "t.kolm", "--policy", "policy.json", "--base", "kolm/nano-1",
        "--captures", "captures", "--rescore", "3", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.stdout
    asked = line.kolm("run", "t.kolm", "--policy", "policy.json", "--image", "p0-0.png",
                      "--prompt", context, "--json")  # fmt: skip
    assert asked.code == 0, asked.stderr
    assert asked.document()["cut_tokens"] > 500
    assert "tokens were cut out of its middle" in asked.stderr
    make(tmp_path / "long", [row([picture(180)], "eval", prompt=context)])
    scored = line.kolm("eval", "t.kolm", "--policy", "policy.json", "--captures",
                       tmp_path / "long" / "captures", "-o", "long.kolm")  # fmt: skip
    assert "1 eval prompt cut to fit train.max_seq_length" in scored.stderr
    assert "1 prompt cut to fit train.max_seq_length" in scored.stdout
    other = [*ordinary(3), row([picture(200 + n) for n in range(5)], "eval")]
    make(tmp_path / "other", other)
    scored = line.kolm("eval", "t.kolm", "--policy", "policy.json", "--captures",
                       tmp_path / "other" / "captures", "-o", "scored.kolm")  # fmt: skip
    assert scored.code == 1
    assert "E_ENCODE_TOO_MANY_IMAGES" in scored.stderr
    assert "rows.jsonl:4 " in scored.stderr
