"""Learning from pairs: the start, the reference, windows, and what a step states."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from kolm import digest
from kolm.adapters.attach import attach
from kolm.encode.encoder import Encoder
from kolm.events import Silent
from kolm.objectives import OBJECTIVES, objective_of
from kolm.roles import family
from kolm.spec.options import resolve_objective
from kolm.train.losses import make_loss
from kolm.train.plan import read_plan
from kolm.train.reference import with_reference
from kolm.train.trainer import Trainer
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture
from tests.support.train_run import ZERO, make_lock

torch = pytest.importorskip("torch")
PROCESSOR = tiny_vlm.make_pictures()
PAIRED = [kind for kind, known in OBJECTIVES.items() if known.PAIRED]
each_paired = pytest.mark.parametrize("kind", PAIRED)
WORDS = ("red", "a green one", "no", "yes", "seven", "circle", "it is blue", "left")


def make_pairs(kind="dpo"):
    objective = objective_of(resolve_objective({"kind": kind}))
    encoder = Encoder(PROCESSOR, max_seq_length=200, max_images=2, objective=objective)
    captures = [
        {
            **make_capture(("user", [0, f"{word}?"]), ("assistant", word)),
            "rejected": WORDS[number - 3] + ", or so",
        }
        for number, word in enumerate(WORDS)
    ]
    return [encoder.encode_pair(one, position=number) for number, one in enumerate(captures)]


def make(kind="dpo", pairs=None, *, options=None, **train):
    """A trainer over pairs, with its loss and pairs."""
    model = tiny_vlm.make_model()
    table, seed = family("qwen2_5_vl"), digest.of_bytes(b"seed")
    objective = resolve_objective({"kind": kind, **(options or {})})
    plan = read_plan(make_lock(ZERO, objective=objective, **train))
    plan = replace(plan, initialisation_seed=seed, schedule=plan.schedule._replace(order_seed=seed))
    base = tiny_vlm.loaded(model)
    pictures = tiny_vlm.recorder(base)
    loss = make_loss(plan.objective, base, pictures)
    known = pairs or make_pairs(kind)
    if plan.objective.reference:
        known = with_reference(loss, loss.prepared(known), reporter=Silent())
    attached = attach(model, table, plan.method, projector="full", adapt_vision=False, seed=seed)
    trainer = Trainer(plan, attached, base, known, pictures)
    return SimpleNamespace(trainer=trainer, loss=loss, pairs=known, plan=plan)


@each_paired
def test_a_window_of_small_batches_is_one_large_batch(kind):
    whole = make(kind, batch_size=8, accumulation=1, steps=3, warmup_steps=0).trainer
    parts = make(kind, batch_size=2, accumulation=4, steps=3, warmup_steps=0).trainer
    for _ in range(2):
        large, small = whole.run_step(), parts.run_step()
        assert sorted(large.positions) == sorted(small.positions) == list(range(8))
        assert large.label_tokens == small.label_tokens
        assert large.loss == pytest.approx(small.loss, rel=1e-5, abs=1e-5)
        assert large.grad_norm == pytest.approx(small.grad_norm, rel=1e-3)
        assert large.facts == pytest.approx(small.facts, rel=1e-4, abs=1e-4)


@each_paired
def test_steps_move_the_two_answers_apart(kind):
    made = make(kind, batch_size=8, steps=12, warmup_steps=0)
    facts = [made.trainer.run_step() for _ in range(12)]
    assert facts[-1].loss < facts[0].loss
    assert facts[-1].facts["margin"] > facts[0].facts["margin"]
    assert facts[-1].facts["preferred"] > 5


@pytest.mark.parametrize("kind", [k for k in PAIRED if "reference" in OBJECTIVES[k].__slots__])
def test_at_the_start_the_policy_is_the_reference_bit_for_bit(kind):
    """Alone, that is: among others a product may round otherwise."""
    made = make(kind, batch_size=8)
    for pair in made.pairs:
        live = made.loss.likelihoods([pair])
        assert tuple(each.item() for each in live) == pair.reference
    together = made.loss.likelihoods(made.pairs)
    for side, each in enumerate(together):
        known = [pair.reference[side] for pair in made.pairs]
        assert each.tolist() == pytest.approx(known, abs=1e-4)


def test_a_pair_of_equal_answers_gives_the_logarithm_of_two():
    same = [replace(pair, rejected=pair.chosen) for pair in make_pairs()]
    made = make("dpo", same, batch_size=8)
    found = made.loss(made.pairs, 0.0)
    assert float(found.loss.detach()) / 8 == pytest.approx(math.log(2), abs=1e-7)
    # By a last bit one of them may be the likelier one: a product rounds by where a row ends.
    assert found.facts["margin"] == pytest.approx(0, abs=1e-5)


def test_what_a_step_states_is_that_of_its_pairs():
    made = make("dpo", batch_size=8, options={"beta": "0.5"}, steps=4, warmup_steps=0)
    made.trainer.run_step()
    with torch.no_grad():
        answers = made.loss.likelihoods(made.pairs)
    chosen, rejected = (
        [0.5 * (a - pair.reference[side]) for a, pair in zip(own, made.pairs, strict=True)]
        for side, own in enumerate(answers)
    )
    facts = made.trainer.run_step()
    assert facts.facts["chosen_reward"] == pytest.approx(float(sum(chosen)) / 8, abs=1e-5)
    assert facts.facts["rejected_reward"] == pytest.approx(float(sum(rejected)) / 8, abs=1e-5)
    preferred = sum(bool(a > b) for a, b in zip(chosen, rejected, strict=True))
    assert facts.facts["preferred"] == preferred
    losses = [math.log1p(math.exp(float(b - a))) for a, b in zip(chosen, rejected, strict=True)]
    assert facts.loss == pytest.approx(sum(losses) / 8, abs=1e-5)


def test_validation_is_over_pairs_and_without_dropout():
    made = make("dpo", batch_size=3, method={"dropout": "0.5"})
    first, again = made.trainer.validate(made.pairs), made.trainer.validate(made.pairs)
    assert first == again
    assert first.loss == pytest.approx(math.log(2), abs=1e-5)
    assert first.label_tokens == sum(pair.label_tokens for pair in made.pairs)
