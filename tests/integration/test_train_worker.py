"""The training child: equal bits, kill -9, evidence, options; on a tiny base and a real store."""

import shutil
import signal
import time

import pytest

from kolm import canonical, digest, schema
from kolm.bundle import tensors as safetensors
from kolm.format.adapter_config import derive
from kolm.format.examples import examples_follow
from kolm.format.order import reading_of
from kolm.format.schedule import read_schedule
from kolm.format.trace import trace_follows
from kolm.methods import StoredTensor, method_of
from kolm.roles import family
from kolm.verify.base_norms import square_sum
from tests.support import tiny_vlm
from tests.support.train_run import make_run, read_rows, run_worker, start_worker

pytestmark = pytest.mark.heavy
torch = pytest.importorskip("torch")
DOCUMENTS = ("trace.jsonl", "modules.jsonl", "adapter_model.safetensors")


def contents(folder):
    return {name: (folder / name).read_bytes() for name in DOCUMENTS}


def facts_of(folder):
    facts = canonical.loads_canonical((folder / "train.json").read_bytes(), where="train.json")
    return {name: value for name, value in facts.items() if name != "measured"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run with dropout, accumulation and several segments."""
    folder = tmp_path_factory.mktemp("train") / "run"
    make_run(folder, steps=10, segments=5, accumulation=2, method={"dropout": "0.1"})
    run_worker(folder)
    return folder


def test_the_documents_fit_their_schemas_and_each_other(trained):
    trace, modules = read_rows(trained / "trace.jsonl"), read_rows(trained / "modules.jsonl")
    for row in trace:
        schema.check("trace_row", row, where="trace.jsonl")
    for row in modules:
        schema.check("modules_row", row, where="modules.jsonl")
    assert [row["module"] for row in modules] == sorted(row["module"] for row in modules)
    for path in (trained / "checkpoints").glob("*.json"):
        document = canonical.loads_canonical(path.read_bytes(), where=path.name)
        schema.check("checkpoint", document, where=path.name)
    checkpoints = [row for row in trace if row["kind"] == "checkpoint"]
    assert [row["step"] for row in checkpoints] == [0, 2, 4, 6, 8, 10]
    chain = None
    for row in checkpoints:
        chain = row["state"] if chain is None else digest.chain(chain, row["state"])
        assert row["chain"] == chain
    steps = [row for row in trace if row["kind"] == "step"]
    assert [row["step"] for row in steps] == list(range(1, 11))
    assert all(len(row["positions"]) == 8 for row in steps)
    facts = facts_of(trained)
    assert facts["chain"] == chain
    assert facts["state_last"] == checkpoints[-1]["state"]


def test_what_was_frozen_is_unchanged_and_what_was_trained_saw_gradients(trained):
    rows = read_rows(trained / "modules.jsonl")
    states = {(row["role"], row["state"]) for row in rows}
    assert states == {
        ("vision", "frozen"), ("projector", "trained"), ("language", "adapted"),
        ("language", "frozen"), ("head", "frozen"),
    }  # fmt: skip
    for row in rows:
        assert row["role"] == family("qwen2_5_vl").role_of(row["module"])
        for tensor in (*row["parameters"], *row["buffers"]):
            assert tensor["before"] == tensor["after"]
        for tensor in row["adapter"]:
            assert tensor["before"] != tensor["after"]
            # The A matrices see nothing in the first step, in which B is still zero.
            assert tensor["gradient_steps"] == 10 - (".lora_A." in tensor["tensor"])


def test_the_adapter_is_canonical_and_its_tensors_are_the_listed_ones(trained):
    data = (trained / "adapter_model.safetensors").read_bytes()
    entries = safetensors.parse_header(data, where="adapter", canonical_form=True)
    found = {
        entry.name: safetensors.tensor_digest(
            entry.dtype, entry.shape, data[entry.start : entry.end]
        )
        for entry in entries
    }
    listed = {
        tensor["tensor"]: tensor["after"]
        for row in read_rows(trained / "modules.jsonl")
        for tensor in row["adapter"]
    }
    assert found == listed


def test_plain_peft_loads_the_result_and_it_changes_the_model(trained, tmp_path):
    from peft import PeftModel

    lock = canonical.loads_canonical((trained / "spec.lock.json").read_bytes(), where="lock")
    config = derive(lock, read_rows(trained / "modules.jsonl"))
    (tmp_path / "adapter_config.json").write_bytes(config)
    shutil.copy(trained / "adapter_model.safetensors", tmp_path)
    ids = torch.tensor([[1, 2, 3, 4, 5, 6]])
    base = tiny_vlm.make_model()
    with torch.no_grad():
        before = base(input_ids=ids).logits
        loaded = PeftModel.from_pretrained(base, tmp_path)
        after = loaded(input_ids=ids).logits
        with loaded.disable_adapter():
            restored = loaded(input_ids=ids).logits
    assert not torch.allclose(before, after, atol=1e-3)
    assert torch.equal(before, restored)
    saved = {
        name.replace(".default", "").replace(".modules_to_save", "")
        for name, parameter in loaded.named_parameters()
        if ".lora_" in name or ".modules_to_save." in name
    }
    data = (trained / "adapter_model.safetensors").read_bytes()
    assert saved == {entry.name for entry in safetensors.parse_header(data, where="adapter")}


def test_a_child_imports_no_library_that_changes_no_bit(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)  # all is there: it is read again, and no step is made
    (folder / "train.json").unlink()
    child = start_worker(folder, variables={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {
        line.rsplit("|")[-1].strip() for line in child.communicate(timeout=300)[1].splitlines()
    }
    assert child.returncode == 0
    assert {"torch", "peft"} <= imported
    assert not {"bitsandbytes.functional", "torch._inductor.compile_fx"} & imported


def test_two_runs_of_one_lock_end_with_the_same_bits(trained):
    again = trained.parent / "again"
    shutil.copytree(trained, again, ignore=shutil.ignore_patterns(*DOCUMENTS, "checkpoints"))
    run_worker(again)
    assert contents(again) == contents(trained)
    assert facts_of(again) == facts_of(trained)


@pytest.mark.parametrize("kill_after", ["step 3", "checkpoint 6"])
def test_a_run_that_was_killed_continues_to_the_same_bits(trained, kill_after):
    folder = trained.parent / f"killed-{kill_after.replace(' ', '-')}"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(*DOCUMENTS, "checkpoints"))
    kind, step = kill_after.split()
    mark = '"kind":"checkpoint","state":"sha256:' if kind == "checkpoint" else '"kind":"step"'
    child = start_worker(folder)
    wanted = 4 if kind == "checkpoint" else int(step)
    trace = folder / "trace.jsonl"
    deadline = time.monotonic() + 120
    while child.poll() is None and time.monotonic() < deadline:
        if trace.exists() and trace.read_text().count(mark) >= wanted:
            child.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    child.communicate()
    assert child.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (folder / "train.json").exists() or facts_of(folder) == facts_of(trained)
    with trace.open("ab") as stream:  # a line that the kill cut in two
        stream.write(b'{"kind":"st')
    run_worker(folder)
    assert contents(folder) == contents(trained)
    assert facts_of(folder) == facts_of(trained)


def test_a_damaged_checkpoint_is_passed_over(trained):
    folder = trained.parent / "damaged"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("modules.jsonl"))
    last = max((folder / "checkpoints").glob("*.safetensors"))
    data = bytearray(last.read_bytes())
    data[-1] ^= 1
    last.write_bytes(data)
    run_worker(folder)
    assert contents(folder) == contents(trained)


def test_the_child_refuses_an_environment_that_is_not_the_locks(tmp_path):
    make_run(tmp_path / "run")
    child = start_worker(tmp_path / "run", threads=2)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 1
    last = canonical.loads(out.splitlines()[-1].encode(), where="event")
    assert last["error"]["code"] == "E_TRAIN_PROFILE"


def test_a_snapshot_that_is_not_the_locks_is_refused(tmp_path):
    folder = make_run(tmp_path / "run")
    lines = (folder / "snapshot.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "snapshot.jsonl").write_bytes(b"".join(lines[1:]))
    out, _ = start_worker(folder).communicate(timeout=120)
    last = canonical.loads(out.splitlines()[-1].encode(), where="event")
    assert last["error"]["code"] == "E_TRAIN_SNAPSHOT"


def test_validation_is_told_and_ends_a_run_that_no_longer_improves(tmp_path):
    folder = make_run(
        tmp_path / "run",
        validation=6,
        steps=40,
        segments=2,
        learning_rate="0.5",
        projector_learning_rate="0.5",
        early_stopping={"patience": 1, "every_steps": 2},
    )
    run_worker(folder)
    trace, facts = read_rows(folder / "trace.jsonl"), facts_of(folder)
    told = [float(row["loss"]) for row in trace if row["kind"] == "validation"]
    assert told[-1] >= min(told[:-1])
    assert trace[-1]["step"] == 2 * len(told) < 40
    assert trace[-1]["kind"] == "checkpoint"
    documents = contents(folder)
    (folder / "train.json").unlink()  # as if killed between the stop and the last document
    run_worker(folder)
    assert contents(folder) == documents
    assert facts_of(folder) == facts
    trained_on = {p for row in trace if row["kind"] == "step" for p in row["positions"]}
    assert trained_on <= set(range(18))  # numbers among the train lines, of which there are 18


def test_the_projector_can_be_frozen_after_its_warm_up(tmp_path):
    frozen = {"vision": True, "projector_after_steps": 3}
    folder = make_run(tmp_path / "run", steps=8, freeze=frozen)
    run_worker(folder)
    rows = read_rows(folder / "modules.jsonl")
    seen = {
        tensor["gradient_steps"]
        for row in rows
        if row["role"] == "projector"
        for tensor in row["adapter"]
    }
    assert seen == {3}
    rates = [
        row["projector_learning_rate"]
        for row in read_rows(folder / "trace.jsonl")
        if row["kind"] == "step"
    ]
    assert [rate is None for rate in rates] == [False] * 3 + [True] * 5


@pytest.mark.parametrize(
    ("projector", "vision", "trained"),
    [
        ("frozen", True, {"language": "adapted"}),
        ("lora", True, {"language": "adapted", "projector": "adapted"}),
        ("full", False, {"language": "adapted", "projector": "trained", "vision": "adapted"}),
    ],
    ids=["projector frozen", "projector adapted", "vision adapted"],
)
def test_projector_and_freeze_decide_what_is_trained(tmp_path, projector, vision, trained):
    table = family("qwen2_5_vl")
    expression = table.target_expression(table.lora_leaf_names, vision=not vision)
    folder = make_run(
        tmp_path / "run",
        steps=3,
        projector=projector,
        freeze={"vision": vision, "projector_after_steps": None},
        method={"target_expression": expression},
    )
    events = run_worker(folder)
    rows = read_rows(folder / "modules.jsonl")
    assert {row["role"]: row["state"] for row in rows if row["state"] != "frozen"} == trained
    rates = [row["projector_learning_rate"] for row in read_rows(folder / "trace.jsonl")[1:2]]
    assert (rates == [None]) is (projector == "frozen")
    warned = [event["message"] for event in events if event["event"] == "warned"]
    assert any("vision tower" in message for message in warned) is not vision


def test_half_precision_trains_and_keeps_its_adapter_in_full_precision(tmp_path):
    folder = make_run(tmp_path / "run", steps=4, precision="bfloat16")
    run_worker(folder)
    rows = read_rows(folder / "modules.jsonl")
    base = {parameter["dtype"] for row in rows for parameter in row["parameters"]}
    deltas = {
        tensor["dtype"] for row in rows for tensor in row["adapter"] if row["state"] == "adapted"
    }
    assert base == {"BF16"}
    assert deltas == {"F32"}


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_run_of_two_steps_of_1e_4_counts_beside_the_bases_weights(tmp_path, precision):
    """Its norms are those of the checkpoint; every single delta is one that V27 counts."""
    folder = make_run(tmp_path / "run", steps=2, precision=precision, learning_rate="0.0001")
    run_worker(folder)
    lock = canonical.loads((folder / "spec.lock.json").read_bytes(), where="lock")
    shard = (tmp_path / "base" / "model.safetensors").read_bytes()
    stored = {
        entry.name: entry
        for entry in safetensors.parse_header(shard, where="base", canonical_form=False)
    }
    shipped = (folder / "adapter_model.safetensors").read_bytes()
    factors = {entry.name: entry for entry in safetensors.parse_header(shipped, where="adapter")}
    adapted = [row for row in read_rows(folder / "modules.jsonl") if row["weight_norm"] is not None]
    assert adapted
    for row in adapted:
        weight = next(owned for owned in row["parameters"] if owned["name"] == "weight")
        entry = stored[weight["checkpoint"][0]]
        square = square_sum(entry.dtype, shard[entry.start : entry.end])
        rounding = 2.0**-8 if precision == "bfloat16" else 1e-5
        assert float(row["weight_norm"]) == pytest.approx(square**0.5, rel=rounding)
        inner, outer = (factors[f"base_model.model.{row['module']}.lora_{x}.weight"] for x in "AB")
        parts = {
            f"lora_{letter}.weight": StoredTensor(x.dtype, x.shape, shipped[x.start : x.end])
            for letter, x in (("A", inner), ("B", outer))
        }
        assert method_of(lock["train"]["method"]).counts(parts, row["weight_norm"])


def test_machines_of_two_classes_start_from_the_same_weights_in_the_same_order(tmp_path):
    traces = []
    for threads in (1, 2):
        folder = make_run(tmp_path / str(threads), steps=4, threads=threads)
        run_worker(folder, threads)
        lock = canonical.loads((folder / "spec.lock.json").read_bytes(), where="lock")
        traces.append((lock["environment"]["class"], read_rows(folder / "trace.jsonl")))
    (one_class, one), (other_class, other) = traces
    assert one_class != other_class
    assert one[0] == other[0]  # the state before the first step, and so every initial weight
    orders = [[row["positions"] for row in rows if row["kind"] == "step"] for rows in (one, other)]
    assert orders[0] == orders[1]
    for left, right in zip(one, other, strict=True):
        if left["kind"] == "step":  # rounding alone
            assert abs(float(left["loss"]) - float(right["loss"])) < 1e-3


def test_another_eval_side_leaves_a_training_as_it_is(tmp_path):
    found = []
    for name, listed in (("with", True), ("without", False)):
        folder = make_run(tmp_path / name, held_out=5, list_held_out=listed, steps=3)
        run_worker(folder)
        documents = (*DOCUMENTS, "examples.jsonl")
        found.append({name: (folder / name).read_bytes() for name in documents})
    assert found[0] == found[1]


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_the_trace_of_a_run_is_the_one_that_lock_and_examples_make(tmp_path, precision):
    stopping = {"patience": 2, "every_steps": 2}
    folder = make_run(
        tmp_path / "run", validation=6, steps=6, segments=2, precision=precision,
        early_stopping=stopping,
    )  # fmt: skip
    run_worker(folder)
    lock = canonical.loads((folder / "spec.lock.json").read_bytes(), where="lock")
    trace, examples, lines = (
        read_rows(folder / name) for name in ("trace.jsonl", "examples.jsonl", "snapshot.jsonl")
    )
    assert list(examples_follow(examples, lines, lock["train"])) == []
    assert (
        list(trace_follows(trace, reading_of(read_schedule(lock), examples), lock["train"])) == []
    )
    rows = read_rows(folder / "modules.jsonl")
    tensors = [tensor for row in rows for tensor in row["adapter"]]
    assert {tensor["dtype"] for tensor in tensors} == {"F32"}
    assert all(tensor["before"] != tensor["after"] for tensor in tensors)
