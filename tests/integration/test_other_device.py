"""What enters a model is where the model is: training, answers and every family's forward pass on
a device that cannot read the host's memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kolm import canonical, digest, methods, roles  # noqa: E402
from kolm.actions import capturing, compiling, evaluating  # noqa: E402
from kolm.actions.rivals import Rival  # noqa: E402
from kolm.adapters.attach import attach  # noqa: E402
from kolm.bundle.reader import Bundle  # noqa: E402
from kolm.errors import KolmError, Lacking, Refused  # noqa: E402
from kolm.evaluate import latency, worker  # noqa: E402
from kolm.events import Silent  # noqa: E402
from kolm.models import base as bases  # noqa: E402
from kolm.models import device as devices  # noqa: E402
from kolm.models import load  # noqa: E402
from kolm.models.base import make_forward  # noqa: E402
from kolm.run import folder as files  # noqa: E402
from kolm.sign.envelope import open_envelope  # noqa: E402
from kolm.spec.options import resolve_method  # noqa: E402
from kolm.train import plan, training  # noqa: E402
from tests.contract.test_family_forward import ROWS, SEEING, World, make_world  # noqa: E402
from tests.support import eval_run, tiny_vlm, train_run  # noqa: E402
from tests.support.lines import Line, coloured, same_answer, write_rows  # noqa: E402
from tests.support.other_device import OTHER, Elsewhere, OtherDevice, put  # noqa: E402


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Bases are loaded to the other device."""
    load_here = bases.load_model

    def load_there(*args: Any, device: str, **named: Any) -> Any:
        model = load_here(*args, **named)
        return put(model) if device == OTHER else model

    monkeypatch.setattr(bases, "load_model", load_there)
    drawn = [torch.arange(16, dtype=torch.uint8)]
    generators = SimpleNamespace(get_rng_state=lambda: drawn[-1], set_rng_state=drawn.append)
    monkeypatch.setattr(devices, "_generators", lambda _: generators)
    monkeypatch.setattr(devices, "here", lambda: (OTHER, "cpu"))
    monkeypatch.setattr(plan, "KINDS", (OTHER, "cpu"))
    with OtherDevice():
        yield


def _on(run: Path, device: str) -> None:
    """Let the lock of a run folder name a device."""
    lock = files.read_document(run, files.names.LOCK)
    lock["environment"]["device"] = device
    files.write_document(run, files.names.LOCK, lock)


def test_the_other_device_refuses_what_is_not_there() -> None:
    with OtherDevice():
        model = put(torch.nn.Linear(3, 2))
        assert isinstance(model(torch.ones(2, 3).to(OTHER)), Elsewhere)
        with pytest.raises(RuntimeError, match="tensors of the host"):
            model(torch.ones(2, 3))
        with pytest.raises(TypeError):
            model.weight.numpy()


def _weights(run: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(run / files.names.WEIGHTS)


def _losses(run: Path) -> list[float]:
    rows = train_run.read_rows(run / files.names.TRACE)
    return [float(row["loss"]) for row in rows if row["kind"] == "step"]


def test_training_there_gives_what_it_gives_here(tmp_path: Path, other: None) -> None:
    runs = {}
    for device in ("cpu", OTHER):
        run = train_run.make_run(tmp_path / device, steps=3, segments=2, validation=4)
        _on(run, device)
        training.train_run(run, Silent())
        runs[device] = run
    assert _losses(runs[OTHER]) == pytest.approx(_losses(runs["cpu"]), rel=1e-4)
    # Goes on from its last state, and so reads weights, moments and generators back.
    there = _weights(runs[OTHER])
    (runs[OTHER] / files.names.WEIGHTS).unlink()
    training.train_run(runs[OTHER], Silent())
    assert all(torch.equal(there[name], again) for name, again in _weights(runs[OTHER]).items())


@pytest.mark.parametrize("name", SEEING)
def test_every_family_computes_there_what_it_computes_here(name: str) -> None:
    here = _written_out(make_world(name))
    batch, recorded = here.batch(*ROWS), here.recorded(0, 1, 2)
    with torch.no_grad():
        expected = here.forward.hidden(batch, recorded)
    prompts = here.batch(*ROWS, side="left")
    answers = _answers(here, prompts, recorded)
    with OtherDevice():
        there = _there(_written_out(make_world(name)))
        again = there.recorded(0, 1, 2)
        assert not any(isinstance(tensor, Elsewhere) for tensor in again.outputs)
        assert all(map(torch.equal, again.outputs, recorded.outputs))
        hidden = there.forward.hidden(batch, again)
        assert isinstance(hidden, Elsewhere)
        assert torch.equal(hidden.cpu(), expected)
        live = there.forward.hidden(batch, there.shown(0, 1, 2))
        assert torch.allclose(live.cpu(), expected, atol=1e-4)  # its tower call is another
        features = there.forward.features(again).cpu()
        assert torch.equal(features, here.forward.features(recorded))
        assert _answers(there, prompts, again) == answers


@pytest.mark.parametrize("name", SEEING)
def test_gradients_reach_the_adapter_there(name: str) -> None:
    table = roles.family(name)
    method = methods.method_of(resolve_method({"kind": "lora"}, table, vision=False))
    with OtherDevice():
        there = _there(make_world(name))
        recorded, batch = there.recorded(0, 1, 2), there.batch(*ROWS)
        attached = attach(
            there.model, table, method, projector="full", adapt_vision=False,
            seed=digest.of_bytes(b"seed"),
        )  # fmt: skip
        there.forward.hidden(batch, recorded).sum().backward()
        assert all(isinstance(tensor.parameter, Elsewhere) for tensor in attached.tensors)
        idle = [t.name for t in attached.tensors if t.parameter.grad is None]
        assert idle == []


def test_cases_are_answered_there_as_here(
    tmp_path: Path, other: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {}
    monkeypatch.setattr(latency, "LATENCY_CALLS", 1)
    for device in ("cpu", OTHER):
        run = eval_run.make_run(tmp_path / device, cases=6)
        _on(run, device)
        worker.evaluate_folder(run, Silent())
        rows = train_run.read_rows(run / files.names.PREDICTIONS)
        said[device] = [(row["case"], row["adapter"], row["base"], row["blind"]) for row in rows]
    assert len(said[OTHER]) == 6
    assert said[OTHER] == said["cpu"]


@pytest.fixture
def pack(compiled: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Captures of somebody who has the compiled bundle, and whose children are this process."""
    monkeypatch.setenv("KOLM_HOME", str(compiled.home))
    monkeypatch.setattr(
        evaluating.children, "run", lambda _, run, **__: worker.evaluate_folder(run, Silent())
    )
    write_rows(tmp_path, coloured(8))
    capturing.import_captures(tmp_path / "pairs.jsonl", store=tmp_path / "captures")
    return tmp_path / "captures"


@pytest.mark.slow
@pytest.mark.heavy
def test_a_bundle_is_scored_there_as_here_and_the_claim_names_the_device(
    compiled: Line, pack: Path, tmp_path: Path, other: None
) -> None:
    scored = {}
    for device in ("cpu", OTHER):
        scored[device] = evaluating.evaluate_bundle(
            compiled.bundle, captures=pack, device=device, output=tmp_path / f"{device}.kolm"
        )
        assert scored[device].kscore["machine"]["device"] == device
        signed = Bundle.open(tmp_path / f"{device}.kolm").claims
        said = [canonical.loads(open_envelope(c).payload, where="c")["predicate"] for c in signed]
        assert scored[device].kscore in said
    assert scored[OTHER].evaluation == scored["cpu"].evaluation


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("asked", ["auto", OTHER])
def test_a_rival_is_asked_on_the_device_of_the_bundle_and_as_spread(
    compiled: Line, pack: Path, other: None, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    told: dict[str, Any] = {}

    def ask(*_: Any, **named: Any) -> Any:
        told.update(named)
        raise Refused("E_TEST", "asked")

    monkeypatch.setattr(evaluating.rivals, "ask", ask)
    with pytest.raises(Refused, match="asked"):
        evaluating.evaluate_bundle(
            compiled.bundle, captures=pack, device=asked, spread=True, rival=Rival(base="another")
        )
    # What the bundle was evaluated on comes before what is best here.
    assert told["device"] == ("cpu" if asked == "auto" else OTHER)
    assert told["spread"] is True


@pytest.mark.slow
@pytest.mark.heavy
def test_a_bundle_is_not_scored_on_a_device_that_is_not_here(compiled: Line, pack: Path) -> None:
    before = compiled.bundle.read_bytes()
    with pytest.raises(Lacking) as caught:
        evaluating.evaluate_bundle(compiled.bundle, captures=pack, device="mps")
    assert (caught.value.code, caught.value.where) == ("E_MODEL_DEVICE", "device")
    assert compiled.bundle.read_bytes() == before


@pytest.mark.parametrize("name", SEEING)
def test_attention_may_be_written_out(name: str) -> None:
    world = make_world(name)
    batch, recorded = world.batch(*ROWS), world.recorded(0, 1, 2)
    with torch.no_grad():
        hidden = world.forward.hidden(batch, recorded)
        _written_out(world)
        assert torch.allclose(world.forward.hidden(batch, recorded), hidden, atol=1e-4)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_a_base_in_several_places_computes_what_one_in_one_place_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_world(name)
    whole.model.save_pretrained(tmp_path / "base")
    apart = "model.language_model.layers.1."  # on the disk, and so fetched by hooks
    places = {
        path: "disk" if path.startswith(apart) else "cpu"
        for path, module in whole.model.named_modules()
        if [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    }
    asked = {"device_map": places, "offload_folder": str(tmp_path / "off")}
    monkeypatch.setattr(load, "_placement", lambda *_: asked)
    model = load.load_model(tmp_path / "base", spread=True)
    assert {p.device.type for n, p in model.named_parameters() if n.startswith(apart)} == {"meta"}
    spread = whole._replace(model=model, forward=make_forward(model, whole.pictures.table))
    batch, prompts = whole.batch(*ROWS), whole.batch(*ROWS, side="left")
    with torch.no_grad():
        found, expected = (
            (world.forward.hidden(batch, recorded), _answers(world, prompts, recorded))
            for world in (spread, whole)
            for recorded in [world.recorded(0, 1, 2)]
        )
    assert torch.equal(found[0], expected[0])
    assert found[1] == expected[1]


@pytest.mark.parametrize(
    ("more", "code"),
    [("  device: cuda\n", "E_MODEL_DEVICE"), ("  precision: float16\n", "E_TRAIN_FLOAT16")],
)
def test_what_this_machine_cannot_do_is_told_before_the_base_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, code: str
) -> None:
    base = tiny_vlm.save_base(tmp_path / "base", template=tiny_vlm.PLAIN)
    line = Line.make(tmp_path / "line", rows=same_answer(8), base=base, more=more)
    monkeypatch.setenv("KOLM_HOME", str(line.home))
    monkeypatch.setattr(compiling, "measure_now", lambda _: pytest.fail("the base was read"))
    with pytest.raises(KolmError) as caught:
        compiling.compile_bundle(line.folder / "kolm.yaml")
    assert caught.value.code == code


def _there(world: World) -> World:
    put(world.model)
    forward = make_forward(world.model, world.pictures.table, OTHER)
    return world._replace(forward=forward)


def _written_out(world: World) -> World:
    """With attention in the library's own words, of which there is one for all devices."""
    world.model.set_attn_implementation("eager")
    return world


def _answers(world: World, prompts: Any, recorded: Any) -> list[Any]:
    return world.forward.answer(prompts, recorded, max_new_tokens=4, end_ids={3})
