"""V01–V09: one negative case each; the container rules themselves are tested with the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, digest
from kolm.bundle import tar
from kolm.errors import Unreadable
from kolm.format.seeds import derive_seeds
from kolm.records.verification import Verdict
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
    assert world.audit(going_on).failed == {"V08"}
    link = earlier["chain"]
    for row in going_on.trace:
        if row["kind"] == "checkpoint":
            row["chain"] = link = digest.chain(link, row["state"])
    assert not world.audit(going_on).failed


def test_v08_training_on_an_eval_row_is_refused(world: World) -> None:
    forged = world.parts.copy()
    row = next(n for n, r in enumerate(forged.snapshot_rows) if r["split"] == "eval")
    next(r for r in forged.trace if r["kind"] == "step")["positions"] = [row]
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
    forged.lock["train"][field] += 1
    assert "V08" in world.audit(forged).failed


@pytest.mark.parametrize(("steps", "segments"), [(2, 2), (4, 1)])
def test_v08_early_stopping_is_no_way_to_train_longer(
    world: World, steps: int, segments: int
) -> None:
    forged = world.parts.copy()
    stopping = {"every_steps": 1, "patience": 1}
    forged.lock["train"].update(early_stopping=stopping, steps=steps, segments=segments)
    assert "V08" in world.audit(forged).failed


def test_a_run_that_stopped_early_is_accepted(world: World) -> None:
    stopped = world.parts.copy()
    stopping = {"every_steps": 1, "patience": 1}
    stopped.lock["train"].update(early_stopping=stopping, steps=9, segments=3)
    assert world.audit(stopped).overall is Verdict.OK


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
    train = [n for n, row in enumerate(forged.snapshot_rows) if row["split"] == "train"]
    _first_step(forged)["positions"] = train[:3]
    assert world.audit(forged).failed == {"V08"}


def test_a_capture_in_two_batches_of_one_window_is_accepted(world: World) -> None:
    """An epoch may end inside a window."""
    honest = world.parts.copy()
    honest.lock["train"]["accumulation"] = 2
    step = _first_step(honest)
    step["positions"] = step["positions"] * 2
    assert world.audit(honest).overall is Verdict.OK


def test_v08_a_projector_that_learns_at_no_rate_is_refused(world: World) -> None:
    forged = world.parts.copy()
    _first_step(forged)["projector_learning_rate"] = None
    assert world.audit(forged).failed == {"V08"}


def test_v08_a_projector_that_learns_after_its_time_is_refused(world: World) -> None:
    forged = world.parts.copy()
    forged.lock["train"]["freeze"]["projector_after_steps"] = 2
    assert "V08" in world.audit(forged).failed
    for row in forged.trace:
        if row["kind"] == "step" and row["step"] > 2:
            row["projector_learning_rate"] = None
    assert "V08" not in world.audit(forged).failed


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
    assert len(answers.report.checks) == 61


def test_the_report_carries_the_time_that_was_passed_in(world: World, tmp_path: Path) -> None:
    assert world.audit().report.checked_at == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
