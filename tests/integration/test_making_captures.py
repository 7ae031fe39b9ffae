"""Captures made by a model and judged by one: whole runs on the embedded base."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, schema
from kolm.actions import asking, children, judges, judging, pairing, ranking
from kolm.actions.asking import How
from kolm.actions.judges import JudgeOptions
from kolm.capture import intake
from kolm.capture.rows import from_python
from kolm.capture.store import CaptureStore
from kolm.errors import KolmError, Network, Refused, Usage
from kolm.evaluate.answering import key_of
from tests.support.commands import invoke
from tests.support.endpoints import endpoint, said, scored, text_of
from tests.support.lines import Line, coloured
from tests.support.pictures import capture, filled

HOW = How(samples=4, temperature=Decimal("1.5"), seed=7, max_new_tokens=6, batch_size=3,
          device="cpu")  # fmt: skip
BASE = "kolm/nano-1"
ENVIRONMENT = {"class": "sha256:" + "0" * 64, "threads": 1, "device": "cpu"}
JUDGE = JudgeOptions(endpoint="set by a test", endpoint_model="judge")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KOLM_OFFLINE", raising=False)
    monkeypatch.delenv("KOLM_JUDGE_KEY", raising=False)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of the child is done in this process."""
    pytest.importorskip("torch")
    from kolm.evaluate import answering

    def run(task: str, folder: Path, *, reporter: Any, **_: Any) -> None:
        assert task == "answer"
        answering.answer_folder(folder, reporter)

    monkeypatch.setattr(children, "run", run)
    monkeypatch.setattr(asking, "environment", lambda *_: ENVIRONMENT)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    values = [
        capture(0, prompt="what shape is it?", response="circle", split="train", tags=("a",)),
        capture(1, prompt="is it red?", response="yes", split="eval"),
        capture(prompt="what is it?", response="nothing"),
    ]
    filled(tmp_path / "captures", *values).close()
    return tmp_path / "captures"


def ids(folder: Path) -> list[str]:
    with CaptureStore.open_to_read(folder) as opened:
        return [row.id for row in opened.rows()]


@pytest.mark.usefixtures("here")
def test_pairs_of_a_base_follow_from_their_settings_and_a_killed_run_goes_on(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "pairs"
    put = pairing._put

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(pairing, "_put", killed)
    with pytest.raises(KeyboardInterrupt):
        pairing.make_pairs(store, model=BASE, into=into, how=HOW)
    [run] = (into / judges.RUNS).iterdir()
    assert not (into / "captures.db").exists()
    monkeypatch.setattr(pairing, "_put", put)
    # As if the child had been killed after its first batches: they are not answered again.
    (run / "answers" / "all.jsonl").unlink()
    kept = sorted((run / "answers").iterdir())
    assert len(kept) == 4
    for path in kept[2:]:
        path.unlink()
    stamps = [path.stat().st_mtime_ns for path in kept[:2]]
    copy = tmp_path / "copy"
    shutil.copytree(into, copy)
    made = pairing.make_pairs(store, model=BASE, into=into, how=HOW)
    assert made.captures == made.total > 0
    assert not (into / judges.RUNS).exists()
    [after] = (copy / judges.RUNS).iterdir()
    assert [path.stat().st_mtime_ns for path in sorted((after / "answers").iterdir())] == stamps
    # Elsewhere, from nothing: the same pairs.
    again = pairing.make_pairs(store, model=BASE, into=tmp_path / "again", how=HOW)
    assert again.record == made.record
    assert ids(tmp_path / "again") == ids(into)
    _demand_whole(into, made)


def _demand_whole(into: Path, made: pairing.Made) -> None:
    schema.check("pairs", canonical.loads_canonical(made.file.read_bytes(), where="x"), where="x")
    counts = made.record["counts"]
    assert counts["samples"] == 12
    assert counts["pairs"] + counts["no_candidates"] + counts["none_worse"] == 3
    model = made.record["model"]
    with CaptureStore.open_to_read(into) as opened:
        for row in opened.rows():
            source = row.capture.source
            assert source.kind == "pairs"
            assert source.name == (
                f"{model['digest'].removeprefix('sha256:')} n=4 t=1.5 m=6 seed=7 by=exact"
            )
            assert row.capture.rejected is not None
            answer = row.capture.messages[-1].content[0].text  # type: ignore[union-attr]
            assert answer in ("circle", "yes", "nothing")
            assert row.capture.rejected.strip().lower() != answer


@pytest.mark.usefixtures("here")
def test_noise_over_the_pictures_changes_the_answers_and_is_stated(
    store: Path, tmp_path: Path
) -> None:
    told: list[str] = []

    class Told:
        def __getattr__(self, name: str) -> Any:
            return (lambda text: told.append(text)) if name == "warned" else lambda *_, **__: None

    how = How(samples=3, temperature=Decimal(1), noise=900, max_new_tokens=6, device="cpu")
    made = pairing.make_pairs(
        store,
        model=BASE,
        into=tmp_path / "pairs",
        how=how,
        reporter=Told(),  # type: ignore[arg-type]
    )
    assert told == ["1 capture without a picture left out"]
    assert made.record["settings"]["noise"] == 900
    with CaptureStore.open_to_read(tmp_path / "pairs") as opened:
        for row in opened.rows():
            assert " noise=900 " in row.capture.source.name
            assert row.capture.images  # as they are stored, without noise
            assert opened.read_image(row.capture.images[0].file)


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What a model says to each question, in place of a child with a model."""
    sayings: dict[str, list[str]] = {}

    def run(task: str, folder: Path, **_: Any) -> None:
        from kolm.encode.answers import Answer
        from kolm.evaluate.answering import ALL, identity_of
        from kolm.evaluate.partial import save_partial
        from kolm.evaluate.session import read_captures
        from kolm.run import folder as files
        from kolm.run.names import ASKED

        assert task == "answer"
        asked, cases = files.read_document(folder, ASKED), files.read(folder, "evalcases.jsonl")
        answers = {}
        for case, document in read_captures(cases):
            question = document["messages"][-2]["content"][-1]["text"]  # type: ignore[typeddict-item]
            said = next(v for k, v in sayings.items() if k in question)
            for number in range(asked["samples"]):
                text = said[number]
                answers[key_of(case, number)] = Answer(
                    output=text.removesuffix("…"), tokens=1,
                    finish="length" if text.endswith("…") else "stop",
                )  # fmt: skip
        save_partial(folder, ALL, identity_of(asked, cases), answers)

    monkeypatch.setattr(children, "run", run)
    monkeypatch.setattr(asking, "environment", lambda *_: ENVIRONMENT)
    return sayings


def test_a_judge_ranks_samples_and_its_words_are_kept(
    store: Path, tmp_path: Path, answered: dict[str, list[str]]
) -> None:
    answered |= {"shape": ["a box", "a ball", "a disc", "a ball"], "red": ["no", "?", "no", "x…"],
                 "what is": ["nothing"] * 4}  # fmt: skip
    marks = {'"a box"': scored(2), '"a ball"': said("I like it"), '"a disc"': scored(5),
             '"no"': scored(1), '"?"': scored(1), '"nothing"': scored(5)}  # fmt: skip

    def judge(body: dict[str, Any]) -> Any:
        line = next(x for x in text_of(body).splitlines() if x.startswith("Answer to judge"))
        return next(answer for mark, answer in marks.items() if line.endswith(mark))

    into = tmp_path / "pairs"
    with endpoint(judge) as fake:
        options = JudgeOptions(endpoint=fake.url, endpoint_model="judge")
        made = pairing.make_pairs(store, model=BASE, into=into, how=HOW, by="judge", judge=options)
    assert len(fake.asked) == 5
    [(_, _, body)] = fake.asked[:1]
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith(
        "data:image/png;base64,"
    )
    counts = made.record["counts"]
    assert (counts["pairs"], counts["unscored"], counts["equal"], counts["cut"]) == (1, 1, 6, 1)
    [row] = _rows(into)
    assert (row.rejected, row.messages[-1].content[0].text) == ("a box", "a disc")
    assert " by=judge:" in row.source.name
    judgements = _judgements(into)
    assert len(judgements) == 5
    assert {judgement["said_by"] for judgement in judgements} == {"fake-2026"}
    assert [j["reply"] for j in judgements if j["scores"] is None] == ["I like it"]


def _rows(folder: Path) -> list[Any]:
    with CaptureStore.open_to_read(folder) as opened:
        return [row.capture for row in opened.rows()]


def _judgements(folder: Path) -> list[dict[str, Any]]:
    [path] = (folder / "judgements").glob("*.jsonl")
    found = [canonical.loads_canonical(line, where="x") for line in path.read_bytes().splitlines()]
    for row in found:
        schema.check("judgement_row", row, where="row")
    return found


def test_no_pair_is_an_error_and_writes_nothing(
    store: Path, tmp_path: Path, answered: dict[str, list[str]]
) -> None:
    answered |= {"shape": ["circle"] * 4, "red": ["yes"] * 4, "what is": ["…"] * 4}
    with pytest.raises(Refused) as caught:
        pairing.make_pairs(store, model=BASE, into=tmp_path / "pairs", how=HOW)
    assert caught.value.code == "E_PAIRS_NONE"
    assert "8 equal" in caught.value.found
    assert not (tmp_path / "pairs" / "captures.db").exists()


def test_only_captures_of_a_side_and_with_tags_are_answered(
    store: Path, tmp_path: Path, answered: dict[str, list[str]]
) -> None:
    answered |= {"shape": ["a box"] * 4}
    made = pairing.make_pairs(
        store, model=BASE, into=tmp_path / "pairs", how=HOW, split="train", tags=("a",)
    )
    assert (made.captures, made.record["counts"]["captures"]) == (1, 1)
    with pytest.raises(Refused) as caught:
        pairing.make_pairs(store, model=BASE, into=tmp_path / "x", how=HOW, tags=("b",))
    assert caught.value.code == "E_SNAPSHOT_EMPTY"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"into": "captures"}, "E_JUDGE_OPTION"),
        ({"by": "judge"}, "E_JUDGE_OPTION"),
        ({"judge": JUDGE}, "E_JUDGE_OPTION"),
        ({"how": How(noise=1), "better": "sample"}, "E_SAMPLE_OPTION"),
        ({"model": "no/such-base"}, "E_BASE_NOT_FOUND"),
    ],
)
def test_what_makes_no_sense_is_told_before_any_work(
    change: dict[str, Any], code: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KolmError) as caught:
        pairing.make_pairs(store, **{"model": BASE, "into": "pairs", "how": HOW, **change})
    assert caught.value.code == code
    assert not (tmp_path / "pairs" / "captures.db").exists()


@pytest.mark.parametrize(
    "options",
    [{"samples": 2}, {"samples": 65, "temperature": Decimal(1)}, {"temperature": Decimal("0.0001")},
     {"temperature": Decimal(-1)}, {"noise": 1001}, {"seed": 2**32}, {"max_new_tokens": 0}],
)  # fmt: skip
def test_settings_are_held_within_limits(options: dict[str, Any]) -> None:
    with pytest.raises(Usage) as caught:
        How(**options)
    assert caught.value.code == "E_SAMPLE_OPTION"


def test_the_longest_source_fits() -> None:
    how = How(samples=64, temperature=Decimal("1.999"), seed=2**32 - 1, max_new_tokens=4096,
              noise=1000)  # fmt: skip
    model = asking.Model(kind="base", name="x", digest="sha256:" + "f" * 64,  # type: ignore[arg-type]
                         base=Path(), stamp="sha256:" + "0" * 64)  # type: ignore[arg-type]  # fmt: skip
    zero: Any = "sha256:" + "0" * 64
    by = ranking.by_metric("relaxed", ())
    record = pairing._record(model, how, "reference", by, {zero: b"x"}, zero, {})  # type: ignore[typeddict-item]
    assert len(pairing.source_name(record, "judge:0123456")) <= 128


def test_a_store_is_judged_filtered_and_gone_on_with(store: Path, tmp_path: Path) -> None:
    count = 0

    def judge(body: dict[str, Any]) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            return 400, {}, b"enough for today"
        return scored(5) if "circle" in text_of(body) else scored(2)

    labels = tmp_path / "labels.jsonl"
    first = next(name for name in ids(store))
    labels.write_text(json.dumps({"capture": first, "accuracy": 5}) + "\n\n")
    with endpoint(judge) as fake:
        options = JudgeOptions(endpoint=fake.url, endpoint_model="judge")
        with pytest.raises(Network) as caught:
            judging.judge_captures(store, judge=options)
        assert caught.value.code == "E_JUDGE_REFUSED"
        [part] = (store / "judgements").glob("*.part")
        with part.open("ab") as stream:  # as a kill in the middle of a line leaves it
            stream.write(b'{"answer":"resp')
        done = judging.judge_captures(
            store, judge=options, floor=3, into=tmp_path / "good", labels=labels
        )
        assert (done.answers, done.found.new, done.below, done.kept) == (3, 1, 2, 1)
        again = judging.judge_captures(store, judge=options)
        assert again.found.new == 0
    assert count == 4
    assert len(_judgements(store)) == 3
    assert not part.exists()
    [kept] = _rows(tmp_path / "good")
    assert kept.messages[-1].content[0].text == "circle"
    assert done.means == {"accuracy": "3", "completeness": "3", "relevance": "3"}
    assert done.agreement is not None
    assert done.agreement["accuracy"]["cases"] == 1


def test_scores_that_a_reply_does_not_say_are_not_believed(store: Path) -> None:
    with endpoint(lambda _: scored(2)) as fake:
        options = JudgeOptions(endpoint=fake.url, endpoint_model="judge")
        judging.judge_captures(store, judge=options)
        [path] = (store / "judgements").glob("*.jsonl")
        data = path.read_bytes()
        better = data.replace(b'"scores":{"accuracy":2', b'"scores":{"accuracy":5')
        assert better != data
        path.write_bytes(better)
        done = judging.judge_captures(store, judge=options, floor=3)
    assert (done.found.new, done.below) == (0, 3)
    assert done.means is not None
    assert done.means["accuracy"] == "2"


def test_pairs_measure_a_judge(tmp_path: Path) -> None:
    values = [capture(0, prompt=f"{n}?", response="good", rejected="bad") for n in range(3)]
    filled(tmp_path / "s", *values).close()

    def judge(body: dict[str, Any]) -> Any:
        text = text_of(body)
        if '"bad"' in text:
            return scored(3 if '"2?"' in text else 1)
        return scored(3 if '"2?"' in text else 5)

    with endpoint(judge) as fake:
        options = JudgeOptions(endpoint=fake.url, endpoint_model="judge")
        done = judging.judge_captures(tmp_path / "s", judge=options, rejected=True)
    assert done.preferred is not None
    assert (done.preferred["right"], done.preferred["ties"], done.preferred["pairs"]) == (2, 1, 3)


@pytest.mark.parametrize(
    "line",
    ["[]", '{"capture": "x", "accuracy": 3}', '{"capture": ID}', '{"capture": ID, "accuracy": 6}',
     '{"capture": ID, "accuracy": true}', '{"capture": ID, "style": 3}', "{",
     '{"capture": ID, "answer": "best", "accuracy": 3}'],
)  # fmt: skip
def test_labels_that_mean_nothing_are_named(line: str, store: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("\n" + line.replace("ID", json.dumps(ids(store)[0])) + "\n")
    with endpoint(lambda _: scored(3)) as fake, pytest.raises(Refused) as caught:
        options = JudgeOptions(endpoint=fake.url, endpoint_model="judge")
        judging.judge_captures(store, judge=options, labels=path)
    assert caught.value.where == "labels.jsonl:2"
    assert not fake.asked  # nothing was paid for


@pytest.mark.usefixtures("here")
def test_a_judge_here_that_says_something_else_is_counted(store: Path, tmp_path: Path) -> None:
    options = JudgeOptions(model=BASE, max_new_tokens=4, device="cpu")
    done = judging.judge_captures(store, judge=options, floor=1, into=tmp_path / "good")
    assert (done.answers, done.unread, done.below, done.kept) == (3, 3, 3, 0)
    assert done.means is None
    rows = _judgements(store)
    assert {row["judge"]["kind"] for row in rows} == {"base"}
    assert all(row["judge"]["digest"].startswith("sha256:") for row in rows)
    assert not (store / judges.RUNS).exists()


@pytest.mark.heavy
def test_the_command_makes_pairs_with_a_verified_bundle(compiled: Line, tmp_path: Path) -> None:
    store, into = tmp_path / "captures", tmp_path / "pairs"
    rows = [{**row, "response": "no such thing"} for row in coloured(2)]
    with CaptureStore.open(store, create=True) as opened:
        intake.take_in(opened, from_python(rows))
    words = ("capture", "pairs", "--json", "--store", store, "--into", into, "--seed", "3")
    answer = compiled.demand(
        *words, "--model", compiled.bundle, "--max-new-tokens", "12"
    ).document()
    record = answer["record"]
    assert (record["model"]["kind"], record["settings"]["max_seq_length"]) == ("bundle", None)
    assert answer["captures"] == record["counts"]["pairs"] > 0
    cid = compiled.demand("inspect", "--json", compiled.bundle).document()["content_id"]
    assert record["model"]["digest"] == cid
    (tmp_path / "bad.kolm").write_bytes(compiled.bundle.read_bytes()[:-4096])
    ran = compiled.kolm(*words, "--model", tmp_path / "bad.kolm")
    assert ran.code in (1, 3)


def test_exit_codes_say_whose_the_failure_is(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("capture", "judge", "--store", store, "--endpoint-model", "judge", "--json")
    with endpoint(lambda _: (401, {}, b"who?")) as fake:
        ran = invoke(*words, "--endpoint", fake.url)
        assert (ran.code, ran.error()["code"]) == (4, "E_JUDGE_KEY")
        ran = invoke(*words, "--endpoint", fake.url, "--offline")
        assert (ran.code, ran.error()["code"]) == (5, "E_JUDGE_OFFLINE")
        fake.answer = lambda _: (500, {}, b"oh")
        monkeypatch.setattr("kolm.judging.endpoint.TRIES", 1)
        monkeypatch.setattr("kolm.judging.endpoint.PAUSES_SECONDS", (0.0,))
        ran = invoke(*words, "--endpoint", fake.url)
        assert (ran.code, ran.error()["code"]) == (5, "E_JUDGE_REFUSED")
        fake.answer = lambda _: scored(4, 5, 3)
        answer = invoke(*words, "--endpoint", fake.url, "--floor", "4").document()
    assert (answer["below"], answer["kept"], answer["means"]["relevance"]) == (3, None, "3")
    assert invoke(*words).code == 2


def test_offline_forbids_an_endpoint(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLM_OFFLINE", "1")
    with endpoint(lambda _: scored(3)) as fake, pytest.raises(Network) as caught:
        options = JudgeOptions(endpoint=fake.url, endpoint_model="judge")
        judging.judge_captures(store, judge=options)
    assert (caught.value.code, fake.asked) == ("E_JUDGE_OFFLINE", [])
