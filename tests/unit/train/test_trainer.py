"""One optimizer step and the state between two: exact accumulation, exact continuation."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest

from kolm import digest
from kolm.adapters.attach import attach
from kolm.encode.encoder import Encoder
from kolm.errors import Refused
from kolm.events import Silent
from kolm.roles import family
from kolm.train import evidence, survey
from kolm.train.checkpoints import Checkpoint, CheckpointFolder, encode_tensors, state_files
from kolm.train.loop import INTERIM_SECONDS, run
from kolm.train.plan import read_plan
from kolm.train.trace import Trace
from kolm.train.trainer import Trainer
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture
from tests.support.train_run import ZERO, make_lock

torch = pytest.importorskip("torch")
TABLE = family("qwen2_5_vl")
WORDS = ("red", "a green one", "no", "yes", "seven", "circle", "it is blue", "left")


def make_examples():
    encoder = Encoder(tiny_vlm.make_pictures(), max_seq_length=200, max_images=2)
    return [
        encoder.encode(
            make_capture(("user", [0, f"{word}?"]), ("assistant", word)), position=number
        )
        for number, word in enumerate(WORDS)
    ]


def make_trainer(**train):
    model = tiny_vlm.make_model()
    if train.get("precision") == "bfloat16":
        model = model.to(torch.bfloat16)
    modules = survey.survey_base(model, TABLE)
    # Seeds follow from the lock; fixed here, so that two locks can be compared.
    seed = digest.of_bytes(b"seed")
    plan = read_plan(make_lock(ZERO, **train))
    schedule = plan.schedule._replace(order_seed=seed)
    plan = replace(plan, initialisation_seed=seed, schedule=schedule)
    attached = attach(
        model, TABLE, plan.method, projector="full", adapt_vision=False,
        seed=plan.initialisation_seed,
    )  # fmt: skip

    base = tiny_vlm.loaded(model)
    pictures = tiny_vlm.recorder(base)
    trainer = Trainer(plan, attached, base, make_examples(), pictures)
    return SimpleNamespace(trainer=trainer, plan=plan, modules=modules, attached=attached)


def weights(trainer):
    return {t.name: t.parameter.detach().clone() for t in trainer.attached.tensors}


def check_evidence(made, before):
    after, counts = survey.digests_now(made.modules), made.trainer.gradients.counts()
    evidence.check_evidence(made.modules, after, made.attached.tensors, counts, before)


def state_of(trainer):
    checkpoint = Checkpoint(
        step=trainer.step, tensors=trainer.tensors(), updates=trainer.updates(),
        gradient_steps=trainer.gradients.counts(), patience=None,
    )  # fmt: skip
    return state_files(checkpoint)


def test_a_window_of_small_batches_is_one_large_batch():
    whole = make_trainer(batch_size=8, accumulation=1, steps=3, warmup_steps=0).trainer
    parts = make_trainer(batch_size=2, accumulation=4, steps=3, warmup_steps=0).trainer
    large, small = whole.run_step(), parts.run_step()
    assert sorted(large.positions) == sorted(small.positions) == list(range(8))
    assert large.label_tokens == small.label_tokens
    assert large.loss == pytest.approx(small.loss, abs=1e-6)
    assert large.grad_norm == pytest.approx(small.grad_norm, abs=1e-6)


def test_steps_learn_and_only_the_adapter_moves():
    made = make_trainer(batch_size=8, steps=12, warmup_steps=0)
    before = weights(made.trainer)
    losses = [made.trainer.run_step().loss for _ in range(12)]
    assert losses[-1] < losses[0] - 0.2
    digests = {name: survey.digest_tensor(tensor) for name, tensor in before.items()}
    check_evidence(made, digests)


def test_the_rates_of_projector_and_language_are_their_own():
    made = make_trainer(learning_rate="0.01", projector_learning_rate="0.002", warmup_steps=2)
    facts = made.trainer.run_step()
    assert facts.learning_rate == "0.005"
    assert facts.projector_learning_rate == "0.001"
    groups = {group["projector"]: group["lr"] for group in made.trainer.optimizer.param_groups}
    assert groups == {False: 0.005, True: 0.001}


def test_gradients_are_clipped_to_the_largest_norm():
    tight = make_trainer(max_grad_norm="0.001").trainer
    seen = []
    tight.optimizer.register_step_pre_hook(
        lambda *_: seen.append(
            torch.stack([t.parameter.grad.norm() for t in tight.attached.tensors]).norm()
        )
    )
    facts = tight.run_step()
    assert facts.grad_norm > 0.01
    assert float(seen[0]) == pytest.approx(0.001, rel=1e-3)


def test_a_loss_that_is_no_number_ends_the_run():
    made = make_trainer()
    with torch.no_grad():
        made.attached.tensors[0].parameter.fill_(float("nan"))
    with pytest.raises(Refused) as caught:
        made.trainer.run_step()
    assert caught.value.code == "E_TRAIN_NOT_FINITE"


@pytest.mark.parametrize(
    ("dropout", "optimizer"), [("0", "adamw"), ("0.2", "adamw"), ("0.2", "adamw_8bit")]
)
def test_a_restored_state_continues_with_the_same_bits(tmp_path, dropout, optimizer):
    options = {"method": {"dropout": dropout}, "optimizer": optimizer}
    first = make_trainer(**options).trainer
    for _ in range(3):
        first.run_step()
    folder = CheckpointFolder(tmp_path)
    folder.save(
        Checkpoint(
            step=3,
            tensors=first.tensors(),
            updates=first.updates(),
            gradient_steps=first.gradients.counts(),
            patience=None,
        )
    )
    expected = [first.run_step() for _ in range(3)]
    second = make_trainer(**options).trainer
    second.run_step()  # a state that must be forgotten
    loaded, _ = folder.load(3)
    second.restore(loaded.step, loaded.tensors, loaded.updates, loaded.gradient_steps)
    assert [second.run_step() for _ in range(3)] == expected
    assert state_of(second) == state_of(first)


def test_moments_in_8_bits_are_of_large_tensors_alone_and_learn_nearly_the_same():
    wide, narrow = (make_trainer(optimizer=name).trainer for name in ("adamw", "adamw_8bit"))
    losses = [[trainer.run_step().loss for _ in range(4)] for trainer in (wide, narrow)]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
    assert losses[0] != losses[1]
    large = {t.name for t in narrow.attached.tensors if t.parameter.numel() >= 4096}
    assert narrow.in_8_bits() == large
    assert len(large) == 2
    assert not wide.in_8_bits()


def test_the_moments_of_another_optimizer_are_not_gone_on_with():
    wide, narrow = (make_trainer(optimizer=name).trainer for name in ("adamw", "adamw_8bit"))
    wide.run_step()
    with pytest.raises(Refused) as caught:
        narrow.take_over(wide.tensors(), wide.updates())
    assert caught.value.code == "E_TRAIN_CONTINUES_OTHER"


def test_dropout_is_off_by_default_and_only_in_the_adapter_when_on():
    off, on = make_trainer(), make_trainer(method={"dropout": "0.5"})
    assert not any(module.training for module in off.attached.model.modules())
    training = [n for n, module in on.attached.model.named_modules() if module.training]
    assert training
    assert all(".lora_dropout" in name for name in training)


def test_a_frozen_tensor_that_changed_is_found():
    made = make_trainer()
    before = {n: survey.digest_tensor(t) for n, t in weights(made.trainer).items()}
    made.trainer.run_step()
    made.trainer.run_step()
    with torch.no_grad():
        made.attached.base.model.visual.patch_embed.proj.weight[0, 0, 0, 0, 0] += 1e-6
    with pytest.raises(Refused) as caught:
        check_evidence(made, before)
    assert caught.value.code == "E_TRAIN_FROZEN_CHANGED"
    assert caught.value.where == "model.visual.patch_embed.proj.weight"


def test_a_trained_tensor_that_no_gradient_reached_is_found():
    made = make_trainer()
    before = {n: survey.digest_tensor(t) for n, t in weights(made.trainer).items()}
    made.trainer.run_step()  # one step: the A matrices saw a gradient of zero
    with pytest.raises(Refused) as caught:
        check_evidence(made, before)
    assert caught.value.code == "E_TRAIN_NOT_REACHED"
    assert ".lora_A." in caught.value.found


def test_a_base_with_a_module_outside_the_table_is_refused():
    model = tiny_vlm.make_model()
    model.model.audio = torch.nn.Linear(2, 2)
    with pytest.raises(Refused) as caught:
        survey.survey_base(model, TABLE)
    assert caught.value.code == "E_ROLES_NOT_TOTAL"
    assert caught.value.where == "model.audio"


def test_a_tensor_digest_covers_its_dtype_and_shape():
    zeros = torch.zeros(4)
    found = {
        survey.digest_tensor(tensor)
        for tensor in (zeros, zeros.view(2, 2), zeros.view(torch.int32), zeros.bfloat16())
    }
    assert len(found) == 4
    strided = torch.arange(6.0).view(2, 3).t()
    assert survey.digest_tensor(strided) == survey.digest_tensor(strided.contiguous())


def test_checkpoint_bytes_do_not_depend_on_the_order_of_tensors():
    tensors = {"b": torch.ones(2), "a": torch.zeros(3, dtype=torch.uint8)}
    assert encode_tensors(tensors) == encode_tensors(dict(reversed(tensors.items())))


@pytest.mark.parametrize("odd", [torch.zeros(2, dtype=torch.int64), torch.zeros(0)])
def test_a_checkpoint_of_a_stranger_whose_tensors_no_training_makes_is_refused(tmp_path, odd):
    folder = CheckpointFolder(tmp_path)
    folder.save(
        Checkpoint(step=1, tensors={"odd": odd}, updates={}, gradient_steps={}, patience=None)
    )
    with pytest.raises(Refused) as caught:
        folder.load(1)
    assert caught.value.code == "E_TRAIN_CHECKPOINT_DAMAGED"


@pytest.mark.parametrize("damage", ["flip", "shorten", "remove"])
def test_a_damaged_checkpoint_is_not_complete(tmp_path, damage):
    trainer = make_trainer().trainer
    folder = CheckpointFolder(tmp_path)
    for step in (0, 4):
        folder.save(
            Checkpoint(
                step=step,
                tensors=trainer.tensors(),
                updates=trainer.updates(),
                gradient_steps=trainer.gradients.counts(),
                patience=None,
            )
        )
    assert folder.complete_steps() == [0, 4]
    path = tmp_path / "checkpoint-00000004.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        data[-1] ^= 1
        path.write_bytes(data if damage == "flip" else data[:-1])
    assert folder.complete_steps() == [0]
    folder.remove_after(0)
    assert not list(tmp_path.glob("checkpoint-00000004*"))


def test_the_loop_writes_a_chain_that_starts_with_the_first_state(tmp_path):
    made = make_trainer(steps=5, segments=2)
    trace = Trace(tmp_path / "trace.jsonl")
    run(made.trainer, made.plan, trace, CheckpointFolder(tmp_path / "c"), (), Silent())
    assert made.trainer.step == 5
    assert len(trace.states) == 3
    assert CheckpointFolder(tmp_path / "c").complete_steps() == [0, 2, 5]


def test_the_language_model_sees_image_positions_under_the_adapter():
    made = make_trainer()
    seen = []
    hook = made.attached.base.model.language_model.rotary_emb.register_forward_pre_hook(
        lambda module, args: seen.append(args[1])
    )
    made.trainer.run_step()
    hook.remove()
    time_rows, height_rows, width_rows = seen[0]
    assert not torch.equal(time_rows, height_rows)
    assert not torch.equal(height_rows, width_rows)


class Stopped(Exception):
    """Ends a run as a kill would."""


class StopsAfter(Silent):
    """A reporter that ends the run after a step."""

    def __init__(self, step):
        self._step = step
        self.heard = []
        self.from_step = None

    def started(self, stage, total, unit, done=0):
        self.from_step = done

    def advanced(self, stage, done, **facts):
        self.heard.append(done)
        if done == self._step:
            raise Stopped


@pytest.mark.parametrize("killed_after", [2, 4, 5])
def test_a_run_goes_on_from_a_state_that_was_written_by_time(tmp_path, killed_after):
    def ticking(seconds):
        return itertools.count(step=seconds).__next__

    def work(name, reporter, clock):
        made = make_trainer(steps=6, segments=1, method={"dropout": "0.2"})
        trace = Trace(tmp_path / f"{name}.jsonl")
        folder = CheckpointFolder(tmp_path / name)
        run(made.trainer, made.plan, trace, folder, (), reporter, clock=clock)
        return weights(made.trainer)

    straight = work("straight", Silent(), ticking(0))
    with pytest.raises(Stopped):
        work("killed", StopsAfter(killed_after), ticking(INTERIM_SECONDS))
    kept = sorted(path.stem for path in (tmp_path / "killed").glob("*.json"))
    # The state of the step before: the reporter hears of a step before it is written down.
    assert kept == ["checkpoint-00000000", f"interim-{killed_after - 1:08}"]
    reporter = StopsAfter(None)
    resumed = work("killed", reporter, ticking(0))
    assert reporter.heard == list(range(killed_after, 7))
    assert reporter.from_step == killed_after - 1  # what a person at the terminal is told
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "straight.jsonl").read_bytes()
    assert not list((tmp_path / "killed").glob("interim-*"))


def test_in_bfloat16_every_trained_tensor_keeps_small_updates():
    """At these rates an update is far below the spacing of bfloat16 numbers around 1."""
    made = make_trainer(
        precision="bfloat16", learning_rate="0.00001", projector_learning_rate="0.00001",
        batch_size=8, steps=4, warmup_steps=0,
    )  # fmt: skip
    assert {t.parameter.dtype for t in made.attached.tensors} == {torch.float32}
    assert made.attached.base.get_input_embeddings().weight.dtype is torch.bfloat16
    before = weights(made.trainer)
    for _ in range(4):
        made.trainer.run_step()
    unmoved = [name for name, tensor in weights(made.trainer).items() if tensor.equal(before[name])]
    assert unmoved == []
    rounded = [t for t in made.attached.tensors if t.name.endswith("ln_q.weight")]
    assert all(
        t.parameter.detach().bfloat16().equal(before[t.name].bfloat16()) for t in rounded
    )  # so that they would have been lost


def test_what_a_kill_left_of_a_state_that_was_being_written_is_removed(tmp_path):
    folder = CheckpointFolder(tmp_path)
    (tmp_path / ".checkpoint-00000006.safetensors.b6wvanby.part").write_bytes(b"half")
    folder.remove_after(3)
    assert list(tmp_path.iterdir()) == []
