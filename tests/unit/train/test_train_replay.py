"""Segments run again give the recorded states, bit for bit; on a tiny base and a real store."""

import shutil
from pathlib import Path

import pytest

from kolm import canonical, digest
from kolm.errors import KolmError, Refused
from kolm.events import Silent
from kolm.records.codec import to_document
from kolm.roles import family
from kolm.spec.options import resolve_objective, resolve_quantisation
from tests.support.replaying import recorded, replay_run, segments_of, without_adapter
from tests.support.train_run import make_run, read_rows

torch = pytest.importorskip("torch")
from kolm.train import replay  # noqa: E402
from kolm.train.training import train_run  # noqa: E402

pytestmark = pytest.mark.heavy
SEGMENTS = 5
ANSWERS = {"cases": 5, "max_new_tokens": 4, "metric": {"kind": "exact"}}
DPO, KTO = (resolve_objective({"kind": kind}) for kind in ("dpo", "kto"))


def train(folder: Path, **options) -> Path:
    """A finished run, trained in this process."""
    make_run(folder, **options)
    train_run(folder, Silent())
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay") / "run"
    method = {"dropout": "0.1"}
    return train(folder, steps=10, segments=SEGMENTS, accumulation=2, method=method)


def test_every_segment_gives_the_recorded_state_and_rows_from_its_own_state(run, tmp_path):
    for number in range(1, SEGMENTS + 1):
        answer = replay_run(run, tmp_path / str(number), [number])
        told = recorded(run)
        assert without_adapter(answer)["segments"] == [told["segments"][number - 1]]
        assert answer["state"] == told["state"]


def test_everything_runs_from_state_0_without_any_state(run, tmp_path):
    answer = replay_run(run, tmp_path / "all", states=False)
    assert without_adapter(answer) == recorded(run)
    shipped = digest.of_bytes((run / "adapter_model.safetensors").read_bytes())
    assert answer["segments"][-1]["adapter"] == shipped
    assert answer["segments"][0]["adapter"] != shipped


def test_a_segment_whose_state_is_not_there_is_left_out(run, tmp_path):
    answer = replay_run(run, tmp_path / "gap", [1, 2, 4, 5], states=False)
    told = [segment is not None for segment in answer["segments"]]
    assert told == [True, True, False, False]


def test_only_the_captures_and_pictures_of_the_segments_are_read(run, tmp_path, monkeypatch):
    """The store is not written, and what no segment reads need not be in it."""
    from kolm.capture.store import CaptureStore
    from kolm.encode.pictures import PictureReader

    captures = [row["capture"] for row in read_rows(run / "snapshot.jsonl")]
    wanted = {
        captures[position]
        for row in read_rows(run / "trace.jsonl")
        if row["kind"] == "step" and row["step"] in (1, 2)
        for position in row["positions"]
    }
    assert len(wanted) < len(captures)
    read, shown = set(), set()
    honest, picture = CaptureStore.read, PictureReader.picture
    monkeypatch.setattr(CaptureStore, "read", lambda self, key: read.add(key) or honest(self, key))
    monkeypatch.setattr(
        PictureReader, "picture", lambda self, use: shown.add(use.file) or picture(self, use)
    )
    store = run.parent / "captures"
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    replay_run(run, tmp_path / "one", [1])
    assert read == wanted
    with CaptureStore.open_to_read(store) as opened:
        pictures = {
            image.file for row in opened.rows() if row.id in wanted for image in row.capture.images
        }
    assert shown == pictures
    assert before == {path: path.stat().st_mtime_ns for path in store.rglob("*")}


def test_another_state_gives_another_end(run, tmp_path):
    """One bit of one weight, with the digests made to match."""

    def nudge(folder):
        from kolm.train.checkpoints import CheckpointFolder

        states = CheckpointFolder(folder / "checkpoints")
        (step,) = states.complete_steps()
        checkpoint, _ = states.load(step)
        name = min(n for n in checkpoint.tensors if n.startswith("weights."))
        checkpoint.tensors[name].view(torch.int32).view(-1)[0] ^= 1
        states.save(checkpoint)

    answer = replay_run(run, tmp_path / "nudged", [3], change=nudge)
    assert answer["segments"][0]["state"] != recorded(run)["segments"][2]["state"]


def test_lengths_that_are_not_those_of_the_captures_are_refused(run, tmp_path):
    def lengthen(folder):
        rows = read_rows(folder / "examples.jsonl")
        for row in rows:
            row["labels"] += 1
        (folder / "examples.jsonl").write_bytes(canonical.dump_lines(rows))

    with pytest.raises(Refused) as caught:
        replay_run(run, tmp_path / "longer", [1], change=lengthen)
    assert caught.value.code == "E_REPLAY_LENGTH"


@pytest.mark.parametrize("size", [1, 4096, 6000])
def test_a_generators_state_that_is_none_is_a_typed_error(run, tmp_path, size):
    def damage(folder):
        from kolm.train.checkpoints import CheckpointFolder

        states = CheckpointFolder(folder / "checkpoints")
        (step,) = states.complete_steps()
        checkpoint, _ = states.load(step)
        checkpoint.tensors["random"] = torch.zeros(size, dtype=torch.uint8)
        states.save(checkpoint)

    try:
        answer = replay_run(run, tmp_path / "random", [2], change=damage)
    except KolmError as error:
        assert error.code == "E_REPLAY_STATE"
    else:
        assert answer["segments"][0]["state"] != recorded(run)["segments"][1]["state"]


def test_a_run_that_stopped_early_is_run_again_with_its_validations(tmp_path):
    folder = train(
        tmp_path / "run",
        validation=6,
        steps=40,
        segments=8,
        learning_rate="0.5",
        projector_learning_rate="0.5",
        early_stopping={"patience": 1, "every_steps": 2},
    )
    told = recorded(folder)
    assert len(told["segments"]) < 8
    last = len(segments_of(folder))
    whole = replay_run(folder, tmp_path / "all", states=False)
    assert without_adapter(whole) == told
    end = replay_run(folder, tmp_path / "last", [last])
    assert without_adapter(end)["segments"] == told["segments"][-1:]


@pytest.mark.parametrize(
    "options",
    [
        {"freeze": {"vision": True, "projector_after_steps": 3}},
        {"projector": "lora"},
        {"freeze": {"vision": False, "projector_after_steps": None}},
        {"validation": 6, "looks": {"every_steps": 2, "answers": ANSWERS}},
    ],
    ids=[
        "a projector frozen on the way",
        "LoRA on the projector",
        "an adapted tower",
        "answers on the way",
    ],
)
def test_other_trainings_are_run_again_to_the_same_bits(tmp_path, options):
    if not options.get("freeze", {}).get("vision", True):
        table = family("qwen2_5_vl")
        expression = table.target_expression(table.lora_leaf_names, vision=True)
        options = {**options, "method": {"target_expression": expression}}
    folder = train(tmp_path / "run", steps=6, segments=3, **options)
    _same_whole_and_in_part(folder, tmp_path)


def test_a_base_in_4_bits_and_moments_in_8_are_run_again_to_the_same_bits(tmp_path):
    pytest.importorskip("bitsandbytes")
    chosen = to_document(resolve_quantisation({"kind": "nf4"}, family("qwen2_5_vl")))
    options = {"quantisation": chosen, "optimizer": "adamw_8bit", "precision": "bfloat16"}
    _same_whole_and_in_part(train(tmp_path / "run", steps=6, segments=3, **options), tmp_path)


@pytest.mark.parametrize("objective", [DPO, KTO], ids=["dpo", "kto"])
def test_a_training_on_pairs_needs_the_references_of_the_drawn_pairs_alone(
    tmp_path, monkeypatch, objective
):
    folder = train(
        tmp_path / "run", pairs=True, objective=objective, steps=6, segments=3, batch_size=2,
        validation=4, early_stopping={"patience": 9, "every_steps": 2},
    )  # fmt: skip
    referred = []
    honest = replay.with_reference

    def count(loss, pairs, *, reporter):
        found = honest(loss, pairs, reporter=reporter)
        referred.append(len(found))
        return found

    monkeypatch.setattr(replay, "with_reference", count)
    for number in (1, 2, 3):
        answer = replay_run(folder, tmp_path / str(number), [number])
        assert without_adapter(answer)["segments"] == [recorded(folder)["segments"][number - 1]]
    assert referred == [4, 4] * 3  # of 20 pairs: those of two steps, and the validation side
    assert without_adapter(replay_run(folder, tmp_path / "all", states=False)) == recorded(folder)


def _same_whole_and_in_part(folder, tmp_path):
    assert without_adapter(replay_run(folder, tmp_path / "all", states=False)) == recorded(folder)
    last = replay_run(folder, tmp_path / "last", [3])
    assert without_adapter(last)["segments"] == recorded(folder)["segments"][-1:]


@pytest.mark.parametrize("objective", [{"kind": "sft"}, DPO], ids=["answers", "pairs"])
def test_a_run_that_goes_on_from_another_begins_with_its_last_state(tmp_path, objective):
    learned = {"objective": objective, "pairs": objective is DPO, "batch_size": 2}
    first = train(tmp_path / "first", steps=4, segments=2, **learned)
    facts = canonical.loads((first / "train.json").read_bytes(), where="train.json")
    continues = {"state": facts["state_last"], "chain": facts["chain"]}
    folder = make_run(tmp_path / "run", steps=4, segments=2, continues=continues, **learned)
    from kolm.run.folder import read_places, write_places

    write_places(folder, read_places(folder)._replace(continued=Path("..") / "first"))
    train_run(folder, Silent())

    def hand_over(there):
        """The last state alone, as the parent of a replay lays it down."""
        earlier = there / "earlier" / "checkpoints"
        earlier.mkdir(parents=True)
        for path in (first / "checkpoints").glob("checkpoint-00000004.*"):
            shutil.copy(path, earlier)
        write_places(there, read_places(there)._replace(continued=Path("earlier")))

    answer = replay_run(folder, tmp_path / "all", states=False, change=hand_over)
    assert without_adapter(answer) == recorded(folder)

    def nothing(there):
        write_places(there, read_places(there)._replace(continued=None))

    alone = replay_run(folder, tmp_path / "alone", [1, 2], change=nothing)
    assert alone["state"] is None
    if objective is DPO:  # what answers were worth before is not known either
        assert alone["segments"] == [None, None]
    else:
        assert without_adapter(alone)["segments"] == recorded(folder)["segments"]
