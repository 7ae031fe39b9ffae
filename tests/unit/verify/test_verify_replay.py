"""V50 to V54: what a replay shows of half-faked and wholly faked trainings, and what it says."""

import os
from math import comb

import pytest

from kolm import canonical, digest
from kolm.bundle.cid import cid_of
from kolm.errors import Lacking, Refused
from kolm.records.verification import Evidence, Verdict
from kolm.verify.gaps import Gap, gaps
from kolm.verify.segments import chances, draw_segments, missed, ranges
from tests.support.audits import World
from tests.support.replaying import NOTHING, blobs_of, replaying, states_of
from tests.support.toy_base import floats
from tests.support.toy_documents import make_trace

SEGMENTS = 20
CONTENT, NONCE = digest.of_bytes(b"content"), digest.of_bytes(b"nonce")


def lengthen(parts):
    """A training of as many segments as steps."""
    parts.lock["train"] |= {"steps": SEGMENTS, "segments": SEGMENTS}
    for row in parts.modules:
        for part in row["adapter"]:
            part["gradient_steps"] = SEGMENTS
    parts.publish_checkpoints()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World.make(tmp_path_factory.mktemp("replay"))
    lengthen(world.parts)
    return world


@pytest.fixture(scope="module")
def kept(world):
    """The same bundle, whose publisher keeps the states."""
    parts = world.parts.copy()
    parts.lock["publish"]["checkpoints"] = "hashes"
    for name in [n for n in parts.overrides if n.startswith("checkpoint-")]:
        del parts.overrides[name]
    return parts


def audit(world, parts=None, *, states=None, **options):
    made = parts or world.parts
    if states is None:
        states = states_of(world.parts, world.folder / "states")
    request = replaying(made, states=states, **options)
    return world.audit(made, base=made.base, replay=request)


def test_an_honest_training_is_recomputed_and_says_how_far(world):
    answers = audit(world, segments=2)
    assert {answers[f"V5{n}"].verdict for n in range(5)} == {Verdict.OK}
    process = answers.report.conclusions.process
    assert (process.verdict, process.evidence) == (Verdict.OK, Evidence.RECOMPUTED)
    replay = answers.report.replay
    assert replay.drawn == (1, *draw_segments(SEGMENTS, 2, answers.report.bundle.digest, NONCE)[1:])
    assert replay.equal == replay.drawn
    assert not replay.differing
    assert replay.steps_equal == 3
    assert "segments" in replay.not_covered[0]
    assert dict(replay.missed)[1] == canonical.decimal(17 / 19, 4)
    assert dict(replay.missed)[19] == "0"
    assert "attested" in process.detail
    assert f"nonce {cid_of(replay.nonce)}" in answers["V53"].detail


def test_all_of_it_leaves_nothing_to_anybodys_word(world, kept):
    answers = audit(world, kept, segments=None, states=NOTHING)
    assert answers.report.conclusions.process.verdict is Verdict.OK
    assert answers.report.replay.equal == tuple(range(1, SEGMENTS + 1))
    assert all(not told.startswith("segments") for told in answers.report.replay.not_covered)
    assert "attested" not in answers.report.conclusions.process.detail


def test_without_states_only_the_first_segment_runs_and_the_rest_could_not_be_looked_at(
    world, kept
):
    answers = audit(world, kept, segments=2, states=NOTHING)
    assert answers["V50"].verdict is answers["V52"].verdict is Verdict.OK
    assert answers["V51"].verdict is answers["V53"].verdict is Verdict.COULD_NOT_LOOK
    assert answers["V53"].findings[0].code == "E_STATE_NOT_HANDED_OVER"
    assert answers.report.replay.equal == (1,)


def test_states_come_from_the_bundle_a_folder_or_a_registry(world, kept, tmp_path):
    for states in (
        states_of(world.parts, tmp_path / "folder"),
        blobs_of(world.parts, tmp_path / "blobs"),
    ):
        answers = audit(world, kept, segments=2, states=states)
        assert answers.report.conclusions.process.verdict is Verdict.OK
        assert answers.report.replay.states == states.named


def test_the_first_segment_alone_is_no_process(world):
    answers = audit(world, segments=0)
    assert answers["V52"].verdict is Verdict.OK
    assert answers["V53"].verdict is Verdict.NOT_CHECKED
    process = answers.report.conclusions.process
    assert (process.verdict, process.evidence) == (Verdict.NOT_CHECKED, Evidence.ATTESTED)
    assert "segments 1 of 20" in process.detail


def test_where_all_of_it_goes_another_way_the_rest_is_not_reached(world):
    answers = audit(world, segments=None, truth=half_faked(world))
    assert answers.failed == {"V53"}
    assert answers.report.replay.equal == tuple(range(1, SEGMENTS // 2 + 1))
    assert answers.report.replay.differing == (SEGMENTS // 2 + 1,)


def test_nobody_asked(world):
    answers = world.audit(base=world.parts.base)
    assert {answers[f"V5{n}"].verdict for n in range(5)} == {Verdict.NOT_CHECKED}
    assert answers.report.replay is None


def test_v54_another_environment_class_is_not_comparable_and_never_a_no(world):
    here = {**world.parts.lock["environment"], "cpu": "another", "class": digest.of_bytes(b"x")}
    jobs = []
    answers = audit(world, environment=here, truth=half_faked(world), jobs=jobs)
    assert answers["V54"].verdict is Verdict.COULD_NOT_LOOK
    assert "not comparable" in answers["V54"].detail
    assert "cpu toy, here another" in answers["V54"].detail
    assert not answers.failed
    assert not jobs
    assert {answers[n].verdict for n in ("V50", "V51", "V52", "V53")} == {Verdict.NOT_CHECKED}


def test_a_child_that_measures_another_class_is_no_answer_either(world):
    def run(_job):
        raise Refused("E_TRAIN_ENVIRONMENT", "another class")

    request = replaying(world.parts, states=NOTHING)._replace(run=run)
    answers = world.audit(base=world.parts.base, replay=request)
    assert answers["V50"].verdict is Verdict.COULD_NOT_LOOK
    assert not answers.failed


def test_a_device_that_is_not_here_could_not_look(world):
    def missing(_lock):
        raise Lacking("E_MODEL_DEVICE", "no cuda here")

    request = replaying(world.parts)._replace(environment=missing)
    answers = world.audit(base=world.parts.base, replay=request)
    assert answers["V54"].verdict is Verdict.COULD_NOT_LOOK


def test_captures_that_the_store_lacks_are_listed_and_nothing_runs(world):
    jobs = []
    wanted = digest.Digest(
        next(r["capture"] for r in world.parts.snapshot_rows if r["split"] == "train")
    )
    answers = audit(world, segments=None, lacking=[wanted], jobs=jobs)
    assert answers["V50"].verdict is Verdict.COULD_NOT_LOOK
    assert answers.report.replay.lacking == (wanted,)
    assert not jobs


def test_only_the_captures_of_the_drawn_segments_are_asked_for(world):
    jobs = []
    audit(world, segments=0, jobs=jobs)
    (job,) = jobs
    train = [r["capture"] for r in world.parts.snapshot_rows if r["split"] == "train"]
    first = next(row for row in world.parts.trace if row["kind"] == "step")
    assert job.captures == tuple(sorted(train[place] for place in set(first["positions"])))


# What an attacker can do who holds a trusted key


def half_faked(world):
    """What honest training makes, of a bundle whose second half is of another run.

    The bundle is the world's own: after the state in the middle `truth` knows none of its states.
    """
    truth = world.parts.copy()
    checkpoints = [row for row in truth.trace if row["kind"] == "checkpoint"]
    for row in checkpoints[SEGMENTS // 2 + 1 :]:
        row["state"] = digest.derive("honest", digest.Digest(row["state"]))
    return truth


def test_v53_a_half_faked_training_is_caught_as_often_as_predicted(world):
    """Each segment runs once; 200 draws at 10 % are then counted."""
    truth = half_faked(world)
    answers = audit(world, segments=SEGMENTS - 1, truth=truth)
    bad = set(answers.report.replay.differing)
    assert bad == set(range(SEGMENTS // 2 + 1, SEGMENTS + 1))
    drawn, draws = SEGMENTS // 10, 200
    caught = sum(
        not bad.isdisjoint(
            draw_segments(SEGMENTS, drawn, CONTENT, digest.of_bytes(bytes([number])))
        )
        for number in range(draws)
    )
    others, m = SEGMENTS - 1, len(bad)
    predicted = 1 - comb(others - m, drawn) / comb(others, drawn)
    deviation = (predicted * (1 - predicted) / draws) ** 0.5
    assert abs(caught / draws - predicted) < 3 * deviation
    assert canonical.decimal(1 - predicted, 4) == missed(others, m, drawn)


def test_one_swapped_adapter_is_one_bad_segment(world):
    """Honest before and after: that is what a draw can miss, and the report says how likely."""
    truth = world.parts.copy()
    rows = [row for row in truth.trace if row["kind"] == "checkpoint"]
    request = replaying(world.parts, truth=truth, segments=SEGMENTS - 1,
                        states=states_of(world.parts, world.folder / "states"))  # fmt: skip

    def run(job):
        answer = request.run(job)
        answer["segments"][9]["state"] = digest.of_bytes(b"what the tenth really ends in")
        return answer

    answers = world.audit(base=world.parts.base, replay=request._replace(run=run))
    assert answers.report.replay.differing == (10,)
    assert answers.failed == {"V53"}
    finding = answers["V53"].findings[0]
    assert finding.found == rows[10]["state"]
    assert dict(answers.report.replay.missed)[1] == "0"


def test_v50_a_training_from_a_foreign_adapter_is_always_caught(world):
    truth = world.parts.copy()
    next(r for r in truth.trace if r["kind"] == "checkpoint")["state"] = digest.of_bytes(b"honest")
    for segments in (0, 3):
        answers = audit(world, segments=segments, truth=truth)
        assert "V50" in answers.failed
        assert answers.report.conclusions.process.verdict is Verdict.FAILED


def test_v52_a_first_segment_that_goes_another_way_is_a_no(world):
    forged = world.parts.copy()
    next(row for row in forged.trace if row["kind"] == "step")["grad_norm"] = "0.5"
    answers = audit(world, forged, truth=world.parts, segments=1)
    assert answers.failed == {"V52"}
    assert answers.report.replay.differing == (1,)


def test_an_edited_loss_is_found_where_its_segment_is_drawn(world):
    forged = world.parts.copy()
    step = next(row for row in forged.trace if row["kind"] == "step" and row["step"] == 7)
    step["loss"] = "0.125"
    answers = audit(world, forged, truth=world.parts, segments=SEGMENTS - 1)
    assert answers.report.replay.differing == (7,)
    assert "loss" in answers["V53"].findings[0].found


@pytest.mark.parametrize("states", ["handed over", "kept"])
def test_v51_an_adapter_that_is_not_the_last_state_is_refused(world, kept, states):
    forged = kept.copy()
    name = min(forged.tensors)
    forged.tensors[name] = floats("another", forged.tensors[name][1])
    forged.retouch()
    source = None if states == "handed over" else NOTHING
    answers = audit(
        world, forged, truth=kept, segments=2 if source is None else None, states=source
    )
    assert answers.failed == {"V51"}


def test_a_training_that_goes_on_names_the_state_that_it_needs(world, kept, tmp_path):
    state, chain = digest.of_bytes(b"state"), digest.of_bytes(b"chain")
    parts = kept.copy()
    parts.lock["train"]["continues"] = {"state": state, "chain": chain}
    parts.reseed()
    parts.trace = make_trace(parts.lock, parts.examples)
    answers = audit(world, parts, states=NOTHING)
    assert answers["V50"].verdict is Verdict.COULD_NOT_LOOK
    assert state[:60] in answers["V50"].detail
    assert any(state in told for told in answers.report.replay.not_covered)


# States that a stranger hands over


def write(folder, step, document=None, tensors=None):
    name = folder / f"checkpoint-{step:08d}"
    if document is not None:
        name.with_suffix(".json").write_bytes(document)
    if tensors is not None:
        name.with_suffix(".safetensors").write_bytes(tensors)


def other_run(folder):
    for path in folder.glob("*.json"):
        document = canonical.loads(path.read_bytes(), where="d")
        path.write_bytes(canonical.dumps({**document, "step": document["step"] + 1}))


def no_json(folder):
    for path in folder.glob("*.json"):
        path.write_bytes(b"[" * 100_000)


def huge(folder):
    for path in folder.glob("*.safetensors"):
        os.truncate(path, 1 << 40)


def hostile_header(folder):
    for path in folder.glob("*.safetensors"):
        path.write_bytes((1 << 62).to_bytes(8, "little") + b"{")


def pipes(folder):
    for path in folder.glob("*.safetensors"):
        path.unlink()
        os.mkfifo(path)


def links(folder):
    for path in list(folder.glob("*.json")):
        path.rename(path.with_suffix(".real"))
        path.symlink_to(path.with_suffix(".real"))


@pytest.mark.parametrize("damage", [other_run, no_json, huge, hostile_header, pipes, links])
def test_a_state_that_is_none_is_never_used_and_never_a_crash(world, kept, tmp_path, damage):
    states = states_of(world.parts, tmp_path / "states")
    damage(tmp_path / "states")
    jobs = []
    answers = audit(world, kept, states=states, segments=3, jobs=jobs)
    assert not jobs[0].handed
    assert answers["V52"].verdict is Verdict.OK
    assert answers["V53"].verdict in (Verdict.COULD_NOT_LOOK, Verdict.FAILED)
    assert answers["V53"].findings


@pytest.mark.parametrize(
    "edit",
    [
        lambda state: state.pop("random"),
        lambda state: state.update(random=("F32", (1,), bytes(4))),
        lambda state: state.update(random=("U8", (1 << 20,), bytes(1 << 20))),
        lambda state: state.update(payload=floats("any", (9,))),
        lambda state: state.update({min(state): floats("any", (1,))}),
    ],
    ids=["no generator", "a generator of floats", "a large one", "a payload", "another shape"],
)
def test_a_state_whose_digests_are_right_and_whose_tensors_are_wrong_is_a_no(world, edit):
    parts = world.parts.copy()
    parts.publish_checkpoints(lambda step, _, state: edit(state) if step == 3 else None)
    source = states_of(parts, world.folder / f"edited-{id(edit)}")
    parts.lock["publish"]["checkpoints"] = "hashes"
    for name in [n for n in parts.overrides if n.startswith("checkpoint-")]:
        del parts.overrides[name]
    jobs = []
    answers = audit(world, parts, states=source, segments=SEGMENTS - 1, jobs=jobs)
    assert 3 not in jobs[0].handed
    assert 4 in jobs[0].handed
    assert answers.failed <= {"V53"}


# The draw


def test_a_draw_is_repeated_from_content_and_nonce_alone():
    first = draw_segments(50, 5, CONTENT, NONCE)
    assert first == draw_segments(50, 5, CONTENT, NONCE)
    assert first != draw_segments(50, 5, CONTENT, digest.of_bytes(b"other"))
    assert first != draw_segments(50, 5, NONCE, NONCE)
    assert first[0] == 1
    assert first == sorted(set(first))
    assert len(first) == 6
    assert draw_segments(3, 99, CONTENT, NONCE) == [1, 2, 3]
    assert draw_segments(3, None, CONTENT, NONCE) == [1, 2, 3]
    assert draw_segments(1, 2, CONTENT, NONCE) == [1]
    assert draw_segments(9, 0, CONTENT, NONCE) == [1]


@pytest.mark.parametrize(
    ("total", "drawn", "bad", "caught"),
    # Percentages of a hypergeometric distribution at 0, as published tables round them.
    [(20, 1, 2, "0.1"), (20, 2, 2, "0.1947"), (50, 5, 5, "0.4234"), (100, 10, 10, "0.6695")],
)
def test_the_chances_are_those_of_the_hypergeometric_distribution(total, drawn, bad, caught):
    assert canonical.decimal(1 - float(missed(total, bad, drawn)), 4) == caught


def test_chances_end_at_certainty():
    assert dict(chances(20, 19)) == {1: "0", 9: "0", 19: "0"}
    assert dict(chances(20, 0))[1] == "1"
    assert chances(1, 0) == ()


def test_numbers_in_words():
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges([]) == ""


def test_the_summary_of_a_replay_fits_the_screen(world):
    from kolm.cli.verification_summary import WIDTH, summarise

    report = audit(world, segments=2).report
    text = summarise(report, paint=lambda text, _: text)
    assert "of 20 run again, bit for bit" in " ".join(text.split())
    assert "a bad one is missed with 0.8947" in text
    assert "training ran as the trace says" not in text
    assert len(text.splitlines()) <= 25
    assert max(map(len, text.splitlines())) <= WIDTH


def test_what_a_draw_left_out_is_said_with_what_it_may_miss(world):
    drawn = audit(world, segments=2).report
    left = Gap("17 of 20 segments: a bad one is missed with 0.8947", "--replay all")
    assert left in gaps(drawn)
    assert missed(19, 1, 2) == "0.8947"
    whole = audit(world, segments=None).report
    assert {gap.option for gap in gaps(drawn)} - {gap.option for gap in gaps(whole)} == {
        "--replay all"
    }
