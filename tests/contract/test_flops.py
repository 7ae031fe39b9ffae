"""The contract of the count of operations: what torch's own counter counts of a training step.

Attention is computed by products of matrices here, because the counter does not know the fused
kernels of a processor. Models are tiny and random.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from kolm import digest, methods, roles  # noqa: E402
from kolm.adapters.attach import attach  # noqa: E402
from kolm.format.flops import Batched, Work, batch_work, training_flops  # noqa: E402
from kolm.format.outline import outline  # noqa: E402
from kolm.format.sights import tower_flops  # noqa: E402
from kolm.models.forward import logits_of  # noqa: E402
from kolm.models.shapes import experts_per_token  # noqa: E402
from kolm.planning.operations import Step  # noqa: E402
from kolm.spec.options import resolve_method  # noqa: E402
from tests.contract.test_family_forward import EVERY, SEEING, World, make_world  # noqa: E402
from tests.support import families  # noqa: E402
from tests.support.families.base import TOWER, WAYS  # noqa: E402

pytestmark = pytest.mark.heavy

TOLERANCE = 0.02
LABELS = 7
READ = [name for name in EVERY if name not in SEEING]
STEPS = [
    (name, way) for name in SEEING for way in WAYS if way not in families.BASES[name].uncounted
]
SHOWN = list(dict.fromkeys(name for name, _ in STEPS))


def _world(name: str) -> World:
    """A model whose experts are computed by products that the counter knows."""
    world = make_world(name)
    if experts_per_token(world.model.config.to_dict()):
        world.model.set_experts_implementation("eager")
    return world


def _counted(run: Any) -> int:
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def _step(world: World, *, backward: bool) -> int:
    """A batch up to the logits of labels, and backward where a step learns."""
    batch, recording = world.batch(*world.rows), world.recorded_rows()

    def run() -> None:
        with torch.set_grad_enabled(backward):
            hidden = world.forward.hidden(batch, recording)
            logits = logits_of(world.model, hidden.reshape(-1, hidden.shape[-1])[:LABELS])
            if backward:
                logits.sum().backward()

    return _counted(run)


def _work(world: World) -> Work:
    batch = world.batch(*world.rows)
    rows, length = batch.input_ids.shape
    return batch_work([length] * rows, LABELS, batch.image_mask.sum(1).tolist())


def _base(world: World, name: str) -> Any:
    parameters = [(n, tuple(p.shape)) for n, p in world.model.named_parameters()]
    experts = experts_per_token(world.model.config.to_dict())
    return outline(parameters, roles.family(name), experts_per_token=experts)


@pytest.mark.parametrize(("name", "projector"), [*STEPS, *((name, None) for name in READ)], ids=str)
def test_a_step_takes_what_the_counter_counts(name: str, projector: Any) -> None:
    world, table = _world(name), roles.family(name)
    base, work = _base(world, name), _work(world)
    method = methods.method_of(resolve_method({"kind": "lora"}, table, vision=False))
    attach(
        world.model, table, method, projector=projector, adapt_vision=False,
        seed=digest.of_bytes(b"seed"),
    )  # fmt: skip
    learning = Batched(work, Work(), Work()) if world.sees else Batched(Work(), work, Work())
    for backward, own in ((True, learning), (False, Batched(Work(), Work(), work))):
        counted = _step(world, backward=backward)
        stated = sum(training_flops(base, method, projector, own).values())
        assert stated == pytest.approx(counted, rel=TOLERANCE), (name, projector, backward)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_all_weights_take_what_the_counter_counts(name: str) -> None:
    """As `kolm plan` compares it: all of language role, head and projector."""
    world, table = _world(name), roles.family(name)
    lora = methods.method_of(resolve_method({"kind": "lora"}, table, vision=False))
    step = Step(_base(world, name), lora, "full", _work(world), Work(), pictured=True)
    world.model.requires_grad_(True)
    counted = _step(world, backward=True)
    stated = step.flops(full=True, checkpointing=False)
    assert stated == pytest.approx(counted, rel=TOLERANCE)


@pytest.mark.parametrize("name", [*SHOWN, *READ])
def test_the_base_alone_takes_what_the_counter_counts(name: str) -> None:
    """As a reference is computed: no adapter, nothing backward."""
    world = _world(name)
    base, work = _base(world, name), Batched(Work(), Work(), _work(world))
    counted = _step(world, backward=False)
    stated = sum(training_flops(base, None, "full" if world.sees else None, work).values())
    assert stated == pytest.approx(counted, rel=TOLERANCE)


@pytest.mark.parametrize(
    "name", [name for name in SEEING if TOWER not in families.BASES[name].uncounted]
)
def test_a_picture_takes_what_the_counter_counts_of_the_tower(name: str) -> None:
    """What a live tower takes more than its recording."""
    world = make_world(name)
    base, (inputs, run) = _base(world, name), world.picture(0)
    sequences, numbers = run.shown
    stated = tower_flops(base, {numbers // base.patch_numbers: sequences})
    batch, recording = world.batch((9, (0,))), world.forward.tower.record(inputs, 1)
    with torch.no_grad():
        live = _counted(lambda: world.model.model(**world.arguments(batch), **world.live(0)))
        replayed = _counted(lambda: world.forward.hidden(batch, recording))
    assert stated == pytest.approx(live - replayed, rel=TOLERANCE)
