"""The evaluating child process, whole, on a tiny random base."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kolm import canonical, digest, events, schema  # noqa: E402
from kolm.errors import Refused, Unreadable  # noqa: E402
from kolm.evaluate import partial, rescore, worker  # noqa: E402
from kolm.evaluate.plan import plan_batches  # noqa: E402
from kolm.evaluate.session import load_adapter, open_session, read_sources  # noqa: E402
from kolm.run import folder as files  # noqa: E402
from kolm.run.names import REQUEST, ROWS  # noqa: E402
from kolm.score.cases import read_cases  # noqa: E402
from kolm.score.evaluation import RUNS, evaluate, find_mismatches  # noqa: E402
from kolm.spec.options import resolve_objective  # noqa: E402
from kolm.worker import FAILED  # noqa: E402
from tests.support.eval_run import make_run  # noqa: E402

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("evaluate"))
    worker.evaluate_folder(run, events.Silent())
    return run


@pytest.fixture
def fresh(finished: Path, tmp_path: Path) -> Path:
    """The same run folder before any work, beside the same base and captures."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for name in ("predictions.jsonl", "measurements.json"):
        (run / name).unlink()
    shutil.rmtree(run / "answers")
    return run


def _rows(run: Path) -> list[dict[str, Any]]:
    return [
        row
        for _, _, row in canonical.read_lines((run / "predictions.jsonl").read_bytes(), where="p")
    ]


def test_every_case_has_a_scored_row_that_the_verifier_agrees_with(finished: Path) -> None:
    rows = _rows(finished)
    cases = read_cases((finished / "evalcases.jsonl").read_bytes())
    settings = json.loads((finished / "spec.lock.json").read_text())["evaluation"]
    assert [row["case"] for row in rows] == sorted(case.case for case in cases)
    for row in rows:
        schema.check("predictions_row", row, where="row")
    assert list(find_mismatches(rows, cases, settings)) == []
    schema.check("evaluation", evaluate(rows, cases, settings), where="evaluation.json")


def test_the_three_runs_differ(finished: Path) -> None:
    rows = _rows(finished)
    said = {run: [row[run]["output"] for row in rows] for run in RUNS}
    assert said["adapter"] != said["base"]
    assert said["adapter"] != said["blind"]


def test_measurements_are_complete_and_plausible(finished: Path) -> None:
    facts = canonical.loads((finished / "measurements.json").read_bytes(), where="m")
    assert facts["latency_calls"] == 30
    assert 0 < facts["p50_latency_us"] <= facts["p95_latency_us"]
    assert facts["machine"]["memory_bytes"] > 0
    assert float(facts["tokens_per_call"]) > 10


def test_measurements_name_the_machine_that_they_were_made_on(finished: Path, fresh: Path) -> None:
    lock = json.loads((fresh / "spec.lock.json").read_bytes())
    lock["environment"] |= {"cpu": "the machine that trained", "device": "mps"}
    (fresh / "spec.lock.json").write_bytes(canonical.dumps(lock))
    files.write_places(fresh, files.read_places(fresh)._replace(devices=("cpu",)))
    worker.evaluate_folder(fresh, events.Silent())
    machine = canonical.loads((fresh / "measurements.json").read_bytes(), where="m")["machine"]
    expected = canonical.loads((finished / "measurements.json").read_bytes(), where="m")["machine"]
    assert machine == expected
    assert machine["device"] == "cpu"


def test_the_same_folder_gives_the_same_bytes_again(finished: Path, fresh: Path) -> None:
    worker.evaluate_folder(fresh, events.Silent())
    again = (fresh / "predictions.jsonl").read_bytes()
    assert again == (finished / "predictions.jsonl").read_bytes()


def test_a_killed_run_goes_on_after_its_finished_controls(finished: Path, fresh: Path) -> None:
    shutil.copytree(finished / "answers", fresh / "answers")
    (fresh / "answers" / "blind.jsonl").unlink()
    heard = io.StringIO()
    worker.evaluate_folder(fresh, events.JsonLines(heard))
    stages = [line for line in heard.getvalue().splitlines() if '"started"' in line]
    assert not any("evaluate adapter" in line or "evaluate base" in line for line in stages)
    assert any("evaluate blind" in line for line in stages)
    assert (fresh / "predictions.jsonl").read_bytes() == (
        finished / "predictions.jsonl"
    ).read_bytes()


def test_partial_answers_are_only_used_for_what_they_were_made_with(finished: Path) -> None:
    identity = read_sources(finished).identity
    assert partial.load_partial(finished, "base", identity) is not None
    other = "sha256:" + "1" * 64
    assert partial.load_partial(finished, "base", other) is None  # type: ignore[arg-type]
    path = partial.partial_path(finished, "base")
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-20])
        assert partial.load_partial(finished, "base", identity) is None
        path.write_bytes(whole.replace(b'"tokens":6', b'"tokens":5', 1))
        assert partial.load_partial(finished, "base", identity) is None
    finally:
        path.write_bytes(whole)


def test_batches_follow_form_then_length_then_tokens_then_id(finished: Path) -> None:
    session = open_session(read_sources(finished))
    prompts = session.prompts()
    batches = plan_batches(prompts, 4)
    assert plan_batches(prompts[::-1], 4) == batches
    orders = [prompt.order for batch in batches for prompt in batch.prompts]
    assert orders == sorted(orders)
    assert [batch.number for batch in batches] == [0, 1, 2]
    recorded = {row["case"]: row["batch"] for row in _rows(finished)}
    assert recorded == {p.case: batch.number for batch in batches for p in batch.prompts}


def test_equals_the_librarys_generate_with_the_adapter_on(finished: Path) -> None:
    session = open_session(read_sources(finished))
    batch = plan_batches(session.prompts(), 12)[0]
    pictures = session.pictures()
    answers = session.answer([p.example for p in batch.prompts], pictures)
    tokenizer = session.base.pictures.processor.tokenizer
    for prompt, answer in zip(batch.prompts, answers, strict=True):
        (use,) = prompt.example.images
        ids = torch.tensor([prompt.example.input_ids])
        out = session.adapted.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == session.base.pictures.image_token_id).long(),
            max_new_tokens=6,
            do_sample=False,
            **pictures.reader.shown(use).inputs,
        )
        assert answer.output == tokenizer.decode(
            out[0, ids.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def test_prompts_without_pictures_with_two_and_with_turns_equal_the_library(tmp_path: Path) -> None:
    run = make_run(tmp_path, mixed=True)
    session = open_session(read_sources(run))
    (batch,) = plan_batches(session.prompts(), 12)
    pictures = session.pictures()
    answers = session.answer([p.example for p in batch.prompts], pictures)
    assert {len(p.example.images) for p in batch.prompts} == {0, 1, 2}
    for prompt, answer in zip(batch.prompts, answers, strict=True):
        images = prompt.example.images
        ids = torch.tensor([prompt.example.input_ids])
        shown = pictures.reader.shown_together(images).inputs if images else {}
        out = session.adapted.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == session.base.pictures.image_token_id).long(),
            max_new_tokens=6,
            do_sample=False,
            **shown,
        )
        assert answer.output == session.base.pictures.processor.tokenizer.decode(
            out[0, ids.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
    worker.evaluate_folder(run, events.Silent())
    assert len(_rows(run)) == 5


def test_a_rescore_repeats_the_recorded_answers(finished: Path, tmp_path: Path) -> None:
    rows = _rows(finished)
    drawn = [rows[0]["case"], rows[7]["case"]]
    again = tmp_path / "again"
    shutil.copytree(finished, again)
    got = _rescored(again, drawn)
    assert len(got) == 6
    recorded = {row["case"]: row for row in rows}
    for row in got:
        before = recorded[row["case"]]
        assert row["batch"] == before["batch"]
        for field in ("output", "tokens", "finish"):
            assert row[field] == before[row["run"]][field]


def _rescored(run: Path, cases: list[str]) -> Any:
    files.write_document(run, REQUEST, {"cases": cases})
    rescore.rescore_folder(run, events.Silent())
    return files.read_document(run, ROWS)["rows"]


def test_a_rescore_measures_the_likelihoods_again(tmp_path: Path) -> None:
    """Of two of three batches, each with a case that has one answer, and nothing else drawn."""
    run = make_run(tmp_path, cases=10)
    lock = json.loads((run / "spec.lock.json").read_text())
    lock["train"]["objective"] = resolve_objective({"kind": "dpo"})
    (run / "spec.lock.json").write_bytes(canonical.dumps(lock))
    cases = canonical.read_lines((run / "evalcases.jsonl").read_bytes(), where="cases")
    paired = [{**case, "rejected": "none of these"} if n % 3 else case for n, _, case in cases]
    paired.sort(key=digest.of_value)
    (run / "evalcases.jsonl").write_bytes(canonical.dump_lines(paired))
    worker.evaluate_folder(run, events.Silent())
    rows = _rows(run)
    drawn = [row for row in rows if row["batch"] != 1][1:]
    _rescored(run, [row["case"] for row in drawn])
    recorded = {row["case"]: row["preference"] for row in drawn if "preference" in row}
    assert 2 <= len(recorded) < len(drawn)
    assert files.read_document(run, ROWS)["preferences"] == recorded


def test_a_batch_that_was_shopped_for_is_refused(finished: Path, fresh: Path) -> None:
    rows = _rows(finished)
    one, other = rows[0], next(row for row in rows if row["batch"] != rows[0]["batch"])
    one["batch"], other["batch"] = other["batch"], one["batch"]
    (fresh / "predictions.jsonl").write_bytes(canonical.dump_lines(rows))
    with pytest.raises(Refused) as caught:
        _rescored(fresh, [one["case"]])
    assert caught.value.code == "E_RESCORE_BATCH"


def test_a_case_without_a_prediction_is_refused(finished: Path) -> None:
    with pytest.raises(Refused) as caught:
        _rescored(finished, ["sha256:" + "2" * 64])
    assert caught.value.code == "E_RESCORE_CASE"


def test_an_exchanged_picture_is_refused(finished: Path) -> None:
    sources = read_sources(finished)
    session = open_session(sources)
    prompts = session.prompts()
    use = prompts[0].example.images[0]
    other = next(p.example.images[0] for p in prompts if p.example.images[0].pixels != use.pixels)
    exchanged = session.pictures_in(lambda _: sources.blobs.read(other.file))
    with pytest.raises(Refused) as caught:
        exchanged.gather([use])
    assert caught.value.code == "E_ENCODE_IMAGE_CHANGED"


def test_the_blind_picture_is_grey_and_of_the_same_size(finished: Path) -> None:
    session = open_session(read_sources(finished))
    for prompt in session.prompts():
        use = prompt.example.images[0]
        shown = session.pictures(blind=True).reader.picture(use)
        assert shown.size == session.pictures().reader.picture(use).size
        assert shown.getcolors() == [(shown.width * shown.height, (128, 128, 128))]


def test_an_adapter_with_another_tensor_is_refused(finished: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from tests.support import tiny_vlm

    shutil.copy(finished / "adapter_config.json", tmp_path)
    tensors = load_file(finished / "adapter_model.safetensors")
    name = next(iter(tensors))
    base = tiny_vlm.make_model()
    head = base.lm_head.weight.clone()
    for broken in (
        {key: value for key, value in tensors.items() if key != name},
        {**tensors, "base_model.model.lm_head.weight": torch.zeros_like(head)},
        {**tensors, name: torch.zeros(1, 1)},
    ):
        save_file(broken, tmp_path / "adapter_model.safetensors")
        model = tiny_vlm.make_model()
        with pytest.raises(Refused) as caught:
            load_adapter(model, tmp_path)
        assert caught.value.code == "E_ADAPTER_KEYS"
        assert torch.equal(model.lm_head.weight, head)


def test_every_tensor_of_a_loaded_adapter_is_the_saved_one(finished: Path) -> None:
    import peft
    from safetensors.torch import load_file

    session = open_session(read_sources(finished))
    saved = load_file(finished / "adapter_model.safetensors")
    loaded = peft.get_peft_model_state_dict(session.adapted)
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    assert not any(parameter.requires_grad for parameter in session.adapted.parameters())


def test_the_base_run_answers_as_if_there_were_no_adapter(finished: Path) -> None:
    from kolm.models.base import load_base

    session = open_session(read_sources(finished))
    prompts = plan_batches(session.prompts(), 12)[0].prompts
    examples = [prompt.example for prompt in prompts]
    with session.run("base"):
        switched_off = session.answer(examples, session.pictures())
    bare = replace(session, base=load_base(session.sources.base_folder, dtype="float32"))
    assert bare.answer(examples, bare.pictures()) == switched_off


def test_a_missing_file_is_unreadable_not_a_no(fresh: Path) -> None:
    (fresh / "adapter_config.json").unlink()
    with pytest.raises(Unreadable) as caught:
        read_sources(fresh)
    assert caught.value.code == "E_FILE_MISSING"


def test_the_child_reports_its_error_as_an_event(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kolm.worker", "evaluate", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == FAILED
    with pytest.raises(Unreadable):
        events.relay(done.stdout.splitlines()[-1], events.Silent())
