"""Blocks that are laid over processes: every family learns the same from them, bit for bit.

Here over one process, which splits, puts together and lets go as any number does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kolm import digest, methods, roles  # noqa: E402
from kolm.adapters.attach import Attached, attach  # noqa: E402
from kolm.models.forward import logits_of  # noqa: E402
from kolm.spec.options import resolve_method  # noqa: E402
from kolm.train import survey  # noqa: E402
from kolm.train.sharding import is_shared, lay_over  # noqa: E402
from tests.contract import test_family_forward as forward  # noqa: E402

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def mesh() -> Iterator[Any]:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def gradients(name: str, mesh: Any | None) -> dict[str, Any]:
    """The gradients of an adapter after a batch with pictures, where the family takes them, and
    after one without."""
    world, table = forward.make_world(name), roles.family(name)
    before = survey.survey_base(world.model, table)
    if mesh is not None:
        lay_over(world.model, table, mesh)
        before = survey.again(before, world.model)
        assert any(is_shared(own.tensor) for module in before for own in module.parameters)
    made = adapted(world, name)
    for number, tensor in enumerate(made.tensors):  # B is no longer zero
        noise = torch.Generator().manual_seed(number)
        with torch.no_grad():
            tensor.parameter.add_(torch.randn(tensor.parameter.shape, generator=noise) * 0.1)
    rows, recording = world.batch(*world.rows), world.recorded_rows()
    for batch, pictures in ((rows, recording), (world.batch((9, ())), None)):
        logits = logits_of(world.model, world.forward.hidden(batch, pictures))
        labels = batch.input_ids[:, 1:].flatten() % logits.shape[-1]
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels).backward()
    after = survey.digests_now(before)
    assert all(after[own.path] == own.before for module in before for own in module.parameters)
    return {tensor.name: tensor.parameter.grad for tensor in made.tensors}


def adapted(world: forward.World, name: str) -> Attached:
    table = roles.family(name)
    options = {"kind": "lora", "rank": 2, "alpha": 4, "experts": bool(table.experts)}
    block = resolve_method(options, table, vision=False, projector=world.projector)
    return attach(
        world.model, table, methods.method_of(block), projector=world.projector, adapt_vision=False,
        seed=digest.of_bytes(b"seed"),
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(roles.FAMILIES))
def test_a_familys_blocks_give_the_same_gradients_where_they_are_laid_over_processes(
    name: str, mesh: Any
) -> None:
    whole, shared = gradients(name, None), gradients(name, mesh)
    assert whole.keys() == shared.keys()
    assert any(found is not None for found in whole.values())
    for tensor, found in whole.items():
        other = shared[tensor]
        assert (found is None) == (other is None), tensor
        assert found is None or torch.equal(found, other), tensor
