"""V01–V09: one negative case each; the container rules themselves are tested with the bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, digest, whole_schema
from kolm.bundle import container as containers
from kolm.bundle import container_rules, tar
from kolm.bundle.container import open_container
from kolm.errors import Unreadable
from kolm.format.seeds import derive_seeds
from kolm.records import kinds
from kolm.records.verification import Verdict
from kolm.run.example_rows import dropped_row
from kolm.verify.checks import ALL_CHECKS
from kolm.verify.checks.container import RECEIPT_RULES
from kolm.verify.subject import Auditor
from kolm.verify.verifier import verify
from tests.support.audits import NOW, World
from tests.support.bundles import BundleParts, read_entries, write_tar


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("container"))


def test_an_honest_bundle_is_accepted(world: World) -> None:
    answers = world.audit()
    assert answers.overall is Verdict.OK
    assert not answers.failed | answers.blind


def test_v01_trailing_bytes_are_refused(world: World) -> None:
    path = world.seal()
    path.write_bytes(path.read_bytes() + b"\0" * 512)
    assert "V01" in world.look(path).failed


def test_v02_a_size_beyond_the_limit_is_refused(world: World) -> None:
    entries = read_entries(world.seal())
    entries[1] = (entries[1][0], b" " * (2 * 1024 * 1024 + 1))
    assert "V02" in world.look(write_tar(world.path(), entries)).failed


def test_v03_a_changed_byte_is_refused(world: World) -> None:
    entries = read_entries(world.seal())
    name, data = entries[-1]
    entries[-1] = (name, data[:-1] + bytes([data[-1] ^ 1]))
    assert "V03" in world.look(write_tar(world.path(), entries)).failed


def test_v03_hashes_large_bundles_on_all_cores_to_the_same_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = read_entries(world.seal())
    changed = [(name, data + b"\0" * (n % 3 == 2)) for n, (name, data) in enumerate(entries)]
    container = open_container(write_tar(world.path(), changed))
    alone = [str(error) for error in container_rules.blobs_match_names(container)]
    monkeypatch.setattr(container_rules, "_THREADS_PAY_BYTES", 0)
    assert alone == [str(error) for error in container_rules.blobs_match_names(container)] != []


def test_an_audit_hashes_the_bytes_of_a_large_blob_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hashed = world.seal(), []

    def counting(place: Any, name: str) -> None:
        hash_of = getattr(place, name)

        def seen(data: bytes | memoryview) -> digest.Digest:
            hashed.append(len(data))
            found: digest.Digest = hash_of(data)
            return found

        monkeypatch.setattr(place, name, seen)

    counting(digest, "of_bytes")
    counting(containers, "digest_of")
    assert world.look(path).overall is Verdict.OK
    largest = max(len(data) for _, data in read_entries(path))
    assert (max(hashed), hashed.count(largest)) == (largest, 1)


def test_the_report_names_the_index(world: World) -> None:
    path = world.seal()
    report = verify(path, Auditor(world.trust, NOW))
    assert report.bundle.index_digest == digest.of_bytes(read_entries(path)[1][1])


def test_v04_a_removed_member_is_refused(world: World) -> None:
    entries = read_entries(world.seal())[:-1]
    answers = world.look(write_tar(world.path(), entries))
    assert "V04" in answers.failed
    assert answers.overall is Verdict.FAILED


def test_v05_free_text_in_the_index_is_refused(world: World) -> None:
    entries = read_entries(world.seal())
    index = canonical.loads(entries[1][1], where="index")
    index["annotations"] = {"note": "best model ever"}
    entries[1] = ("index.json", canonical.dumps(index))
    assert world.look(write_tar(world.path(), entries)).failed == {"V05"}


@pytest.mark.parametrize(
    "document",
    [
        b'{"schema":"a","schema":"b"}',
        b'{"schema":NaN}',
        b'{"schema":0.5}',
        b"[" * 10_000 + b"]" * 10_000,
        b"\xff\xfe",
        b'{"schema":"urn:kolm:evaluation:v1","surprise":1}',
    ],
    ids=["duplicate", "nan", "fraction", "deep", "encoding", "unknown-key"],
)
def test_v06_a_document_that_is_not_strict_json_is_refused(world: World, document: bytes) -> None:
    forged = world.parts.copy()
    forged.overrides["evaluation.json"] = document
    answers = world.audit(forged)
    assert "V06" in answers.failed
    assert "V33" in answers.skipped


def test_v07_a_second_spelling_is_refused(world: World) -> None:
    forged = world.parts.copy()
    spaced = canonical.dumps(forged.evaluation).replace(b",", b", ", 1)
    forged.overrides["evaluation.json"] = spaced
    answers = world.audit(forged)
    assert "V07" in answers.failed
    assert "V06" not in answers.failed


def test_v08_a_trace_whose_chain_does_not_follow_is_refused(world: World) -> None:
    forged = world.parts.copy()
    forged.trace[-1]["state"] = digest.of_bytes(b"a state of another run")
    assert world.audit(forged).failed == {"V08"}


def test_v08_a_chosen_seed_is_refused(world: World) -> None:
    forged = world.parts.copy()
    forged.members()
    lock = dict(forged.lock, seeds={**forged.lock["seeds"], "order": digest.of_bytes(b"lucky")})
    forged.overrides["spec.lock.json"] = canonical.dumps(lock)
    assert "V08" in world.audit(forged).failed


@pytest.mark.parametrize("taken", [True, False])
def test_v08_the_recommended_rate_was_taken_where_the_lock_says_so(
    world: World, taken: bool
) -> None:
    parts = world.parts.copy()
    rate = parts.lock["train"]["learning_rate"] if taken else "0.123"
    parts.lock["rates"] = {"source": "recommended", "recommended": rate, "reason": "usual"}
    assert world.audit(parts).failed == (set() if taken else {"V08"})


def test_v08_a_training_root_of_other_lines_is_refused(world: World) -> None:
    forged = world.parts.copy()
    forged.members()
    lock = {**forged.lock, "data": {**forged.lock["data"], "training": forged.snapshot["root"]}}
    lock["seeds"] = derive_seeds(lock)
    forged.overrides["spec.lock.json"] = canonical.dumps(lock)
    assert world.audit(forged).failed == {"V08"}


def test_v08_a_trace_goes_on_from_the_chain_that_the_lock_names(world: World) -> None:
    earlier = {"chain": digest.of_bytes(b"a chain"), "state": digest.of_bytes(b"a state")}
    going_on = world.parts.copy()
    going_on.lock["train"]["continues"] = earlier
    assert not world.audit(going_on).failed
    link = None
    for row in going_on.trace:
        if row["kind"] == "checkpoint":
            link = digest.chain(link, row["state"]) if link else row["state"]
            row["chain"] = link
    assert world.audit(going_on).failed == {"V08"}


def test_v08_training_on_an_eval_row_is_refused(world: World) -> None:
    forged = world.parts.copy()
    train = sum(row["split"] == "train" for row in forged.snapshot_rows)
    _first_step(forged)["positions"][0] = train  # beyond the last train line
    assert world.audit(forged).failed == {"V08"}


def test_v08_a_card_that_says_something_else_is_refused(world: World) -> None:
    forged = world.parts.copy()
    forged.overrides["README.md"] = b"# the best model\n"
    assert world.audit(forged).failed == {"V08"}


@pytest.mark.parametrize("field", ["steps", "segments"])
def test_v08_fewer_steps_or_segments_than_the_lock_demands_are_refused(
    world: World, field: str
) -> None:
    forged = world.parts.copy()
    forged.keep_trace()
    forged.lock["train"][field] += 1
    assert "V08" in world.audit(forged).failed


@pytest.mark.parametrize(("steps", "segments"), [(2, 2), (4, 1)])
def test_v08_early_stopping_is_no_way_to_train_longer(
    world: World, steps: int, segments: int
) -> None:
    forged = world.parts.copy()
    forged.keep_trace()
    stopping = {"patience": 1, "on": "loss"}
    looks = {"every_steps": 1, "answers": None}
    forged.lock["train"].update(
        validation=looks, early_stopping=stopping, steps=steps, segments=segments
    )
    assert "V08" in world.audit(forged).failed


ASKED = {"cases": 64, "max_new_tokens": 4, "metric": {"kind": "exact"}}


def _stopping_early(world: World, on: str = "loss") -> BundleParts:
    """A run whose validation loss rises, or whose score falls, at its second look."""
    stopped = world.parts.copy()
    stopping = {"patience": 1, "on": on}
    looks = {"every_steps": 1, "answers": ASKED if on == "metric" else None}
    stopped.lock["train"].update(validation=looks, early_stopping=stopping, steps=9, segments=3)
    stopped.follow()
    second = [row for row in stopped.trace if row["kind"] == "validation"][1]
    if on == "metric":
        second["answers"]["score"] = "0.1"
    else:
        second["loss"] = "9"
    last = stopped.trace.index(second)
    link = stopped.trace[0]["chain"]
    state = digest.of_bytes(b"state 2")
    ended = {"chain": digest.chain(link, state), "kind": "checkpoint", "state": state, "step": 2}
    stopped.trace[last + 1 :] = [ended]
    for row in stopped.modules:
        for tensor in row["adapter"]:
            tensor["gradient_steps"] = 2
    return stopped


def test_a_run_that_stopped_early_is_accepted(world: World) -> None:
    assert world.audit(_stopping_early(world)).overall is Verdict.OK


def test_v08_stopping_early_without_its_reason_is_refused(world: World) -> None:
    forged = _stopping_early(world)
    next(row for row in reversed(forged.trace) if row["kind"] == "validation")["loss"] = "0.5"
    assert world.audit(forged).failed == {"V08"}


def test_v08_a_run_that_stopped_on_its_scores_is_recomputed(world: World) -> None:
    assert world.audit(_stopping_early(world, "metric")).failed == set()


@pytest.mark.parametrize(
    "forge",
    [
        lambda looks: looks[1].update(answers={"cases": 1, "score": "1"}),  # no reason to stop
        lambda looks: looks[1].pop("answers"),
        lambda looks: looks[1].update(answers={"cases": 2, "score": "0"}),
    ],
)
def test_v08_answers_that_the_lock_does_not_make_are_refused(world: World, forge: Any) -> None:
    forged = _stopping_early(world, "metric")
    forge([row for row in forged.trace if row["kind"] == "validation"])
    assert world.audit(forged).failed == {"V08"}


def test_v08_answers_that_nobody_asked_for_are_refused(world: World) -> None:
    forged = _stopping_early(world)
    look = next(row for row in forged.trace if row["kind"] == "validation")
    look["answers"] = {"cases": 1, "score": "0.5"}
    assert world.audit(forged).failed == {"V08"}


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("step", "learning_rate", "1000"),
        ("step", "projector_learning_rate", "0.1"),
        ("step", "label_tokens", 1),
        ("validation", "label_tokens", 99),
    ],
)
def test_v08_what_follows_from_lock_and_examples_is_recomputed(
    world: World, kind: str, field: str, value: object
) -> None:
    forged = world.parts.copy()
    forged.lock["train"]["validation"] = {"every_steps": 2, "answers": None}
    forged.lock["train"]["early_stopping"] = {"patience": 3, "on": "loss"}
    forged.follow()
    next(row for row in forged.trace if row["kind"] == kind)[field] = value
    answers = world.audit(forged)
    assert answers.failed == {"V08"}
    assert f"#/{field}" in (answers["V08"].findings[0].where or "")


def test_v08_one_capture_at_every_step_is_refused(world: World) -> None:
    forged = world.parts.copy()
    for row in forged.trace:
        if row["kind"] == "step":
            row["positions"] = [0, 0]
    assert world.audit(forged).failed == {"V08"}


def test_v08_a_checkpoint_elsewhere_than_at_a_boundary_is_refused(world: World) -> None:
    forged = world.parts.copy()
    place = next(n for n, r in enumerate(forged.trace) if r["kind"] == "checkpoint" and r["step"])
    before = forged.trace[place - 1]
    forged.trace[place - 1 : place + 1] = [{**forged.trace[place], "step": 1}, before]
    assert world.audit(forged).failed == {"V08"}


def _edit_example(**fields: Any) -> Callable[[BundleParts], None]:
    return lambda parts: parts.examples[0].update(fields)


def _one_less(parts: BundleParts) -> None:
    del parts.examples[-1]


def _all_dropped(parts: BundleParts) -> None:
    train = sum(row["side"] == "train" for row in parts.examples)
    parts.examples[:train] = [dropped_row("train", "over_budget")] * train


@pytest.mark.parametrize(
    "forge",
    [
        _edit_example(tokens=513),
        _edit_example(labels=20, tokens=20),
        _edit_example(side="validation"),
        _edit_example(image_tokens=19),
        lambda parts: parts.examples[0].pop("image_tokens"),
        _one_less,
        _all_dropped,
        lambda parts: parts.examples.__setitem__(0, dropped_row("train", "too_many_images")),
    ],
)
def test_v08_examples_that_cannot_be_are_refused(
    world: World, forge: Callable[[BundleParts], None]
) -> None:
    forged = world.parts.copy()
    forged.keep_trace()
    forge(forged)
    assert "V08" in world.audit(forged).failed


def test_v06_an_example_without_a_label_is_refused(world: World) -> None:
    forged = world.parts.copy()
    forged.examples[0]["labels"] = 0
    assert "V06" in world.audit(forged).failed


def test_dropped_captures_are_counted_and_not_trained_on(world: World) -> None:
    honest = world.parts.copy()
    honest.examples[1] = dropped_row("train", "over_budget")
    answers = world.audit(honest)
    assert answers.overall is Verdict.OK
    assert all(1 not in row["positions"] for row in honest.trace if row["kind"] == "step")
    assert canonical.loads(honest.receipt(), where="r")["vlm_train"]["dropped_examples"] == 1


def test_an_epoch_may_end_inside_a_window(world: World) -> None:
    honest = world.parts.copy()
    honest.lock["train"]["accumulation"] = 4
    assert world.audit(honest).overall is Verdict.OK
    places = _first_step(honest)["positions"]
    assert len(set(places)) < len(places)


def test_pictures_count_among_the_members_that_could_be_read(world: World) -> None:
    published = world.parts.copy()
    published.publish_images()
    answers = world.audit(published)
    assert answers.overall is Verdict.OK
    assert "could not be read" not in answers["V07"].detail


def _first_step(parts: BundleParts) -> dict[str, Any]:
    return next(row for row in parts.trace if row["kind"] == "step")


def test_v08_a_capture_twice_in_one_batch_is_refused(world: World) -> None:
    forged = world.parts.copy()
    step = _first_step(forged)
    step["positions"] = step["positions"][:1] * 2
    assert world.audit(forged).failed == {"V08"}


def test_v08_more_captures_than_a_step_reads_are_refused(world: World) -> None:
    forged = world.parts.copy()
    _first_step(forged)["positions"] = [0, 1, 2]
    assert world.audit(forged).failed == {"V08"}


def test_v08_a_projector_that_learns_at_no_rate_is_refused(world: World) -> None:
    forged = world.parts.copy()
    _first_step(forged)["projector_learning_rate"] = None
    assert world.audit(forged).failed == {"V08"}


def test_v08_a_projector_that_learns_after_its_time_is_refused(world: World) -> None:
    forged = world.parts.copy()
    forged.lock["train"]["freeze"]["projector_after_steps"] = 2
    assert "V08" not in world.audit(forged).failed
    late = next(row for row in forged.trace if row["kind"] == "step" and row["step"] == 3)
    assert late["projector_learning_rate"] is None
    late["projector_learning_rate"] = "0.0001"
    assert "V08" in world.audit(forged).failed


def test_v06_a_negative_loss_is_refused(world: World) -> None:
    forged = world.parts.copy()
    _first_step(forged)["loss"] = "-0.5"
    assert "V06" in world.audit(forged).failed


def test_v09_another_bundle_than_asked_for_is_refused(world: World) -> None:
    other = digest.of_bytes(b"another")
    assert world.look(world.seal(), expected_id=other).failed == {"V09"}


def test_the_content_id_that_was_asked_for_is_accepted(world: World) -> None:
    answers = world.look(world.seal(), expected_id=world.parts.content_id())
    assert answers.overall is Verdict.OK


def test_a_missing_file_could_not_be_looked_at(world: World) -> None:
    with pytest.raises(Unreadable):
        world.look(world.folder / "missing.kolm")


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"not a tar"])
def test_another_kind_of_file_could_not_be_looked_at(world: World, start: bytes) -> None:
    path = world.path()
    path.write_bytes(start)
    with pytest.raises(Unreadable) as refusal:
        world.look(path)
    assert refusal.value.code == "E_NOT_A_BUNDLE"


def test_an_unknown_format_version_could_not_be_looked_at(world: World) -> None:
    from tests.support.bundles import write_raw

    entries = read_entries(world.seal())
    manifest = entries[2][1].replace(b"vnd.kolm.bundle.v1", b"vnd.kolm.bundle.v2")
    members = {"receipt.json": entries[3][1]}
    with pytest.raises(Unreadable) as refusal:
        world.look(write_raw(world.path(), manifest, members))
    assert refusal.value.code == "E_BUNDLE_VERSION"


def test_every_question_is_answered_even_for_a_torn_file(world: World) -> None:
    path = world.seal()
    path.write_bytes(path.read_bytes()[: tar.BLOCK * 5])
    answers = world.look(path)
    assert "V01" in answers.failed
    assert len(answers.report.checks) == len(ALL_CHECKS)


def test_the_report_carries_the_time_that_was_passed_in(world: World, tmp_path: Path) -> None:
    assert world.audit().report.checked_at == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("number", "path", "value", "rule"),
    [
        ("V08", ("name",), "another", "R1"),
        ("V08", ("trace", "steps"), 4711, "R3"),
        ("V28", ("vlm_train", "label_tokens"), 4711, "R5 to R7"),
        ("V29", ("counts", "head", "trained"), 4711, "R4"),
    ],
)
def test_a_field_of_the_receipt_is_told_by_one_check_with_its_rule(
    world: World, number: str, path: tuple[str, ...], value: object, rule: str
) -> None:
    forged = world.parts.copy()
    receipt: Any = canonical.loads(forged.receipt(), where="receipt")
    *steps, last = path
    target = receipt
    for step in steps:
        target = target[step]
    target[last] = value
    forged.overrides["receipt.json"] = canonical.dumps(receipt)
    answers = world.audit(forged)
    where = f"receipt.json#/{'/'.join(path)}"
    told = {
        check.id: finding.rule
        for check in answers.report.checks
        for finding in check.findings
        if finding.where == where
    }
    assert told == {number: rule}


def test_each_field_of_the_receipt_has_its_rule() -> None:
    assert {"schema", *RECEIPT_RULES} == set(whole_schema.load(kinds.RECEIPT)["properties"])
