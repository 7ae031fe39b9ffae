"""Devices: which are here, what is settled on them, and what is said of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from kolm.errors import Lacking  # noqa: E402
from kolm.models import device as devices  # noqa: E402
from kolm.models import load  # noqa: E402

FLAGS = (
    (torch.backends.cudnn, "allow_tf32", False),
    (torch.backends.cudnn, "benchmark", False),
    (torch.backends.cudnn, "deterministic", True),
    (torch.backends.cuda.matmul, "allow_tf32", False),
    (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
    (torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction", False),
)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """One card, as torch would answer; what is settled for it is undone."""
    facts = SimpleNamespace(name="NVIDIA A100", major=8, minor=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: facts)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (facts.major, facts.minor))
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5\n")
    monkeypatch.setattr(devices, "_DRIVER", driver)
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    before = [(place, name, getattr(place, name)) for place, name, _ in FLAGS]
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)
    for place, name, value in before:
        setattr(place, name, value)
    torch.backends.cuda.enable_cudnn_sdp(True)
    torch.use_deterministic_algorithms(False)


def test_the_best_that_is_here_is_first(cuda: None) -> None:
    assert devices.here() == ("cuda", "cpu")
    assert devices.demand(devices.wanted("auto")) == "cuda"
    assert devices.demand(devices.wanted("cpu")) == "cpu"
    with pytest.raises(Lacking) as caught:
        devices.demand(devices.wanted("mps"))
    error = caught.value
    assert (error.code, error.expected, error.found) == ("E_MODEL_DEVICE", "mps", "cuda, cpu")


def test_on_cuda_nothing_is_rounded_and_every_sum_has_one_order(cuda: None) -> None:
    torch.set_float32_matmul_precision("high")
    for place, name, value in FLAGS:
        setattr(place, name, not value)
    devices.settle("cuda", 2)
    assert torch.get_float32_matmul_precision() == "highest"
    assert [getattr(place, name) for place, name, _ in FLAGS] == [value for *_, value in FLAGS]
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.get_num_threads() == 2
    kernels = torch.backends.cuda
    found = {
        "cudnn": kernels.cudnn_sdp_enabled(),
        "flash": kernels.flash_sdp_enabled(),
        "efficient": kernels.mem_efficient_sdp_enabled(),
        "math": kernels.math_sdp_enabled(),
    }
    assert sorted(name for name, on in found.items() if on) == list(devices.ATTENTION_KERNELS)


def test_answers_in_a_process_of_others_are_not_rounded_and_leave_its_settings(cuda: None) -> None:
    mine = [(place, name) for place, name, _ in FLAGS if "tf32" in name or "reduced" in name]
    torch.set_float32_matmul_precision("medium")
    for place, name in mine:
        setattr(place, name, True)
    torch.set_float32_matmul_precision("medium")
    before = [getattr(place, name) for place, name in mine]
    with devices.unrounded():
        assert torch.get_float32_matmul_precision() == "highest"
        assert not any(getattr(place, name) for place, name in mine)
    assert torch.get_float32_matmul_precision() == "medium"
    assert [getattr(place, name) for place, name in mine] == before


def test_an_accelerator_is_described(cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = devices.describe("cuda")
    assert found is not None
    assert (found["name"], found["capability"], found["driver"]) == (
        "NVIDIA A100", "8.0", "550.54.15",
    )  # fmt: skip
    assert found["attention"] == ["efficient", "flash", "math"]
    assert devices.has_bfloat16("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    assert not devices.has_bfloat16("cuda")
    assert devices.describe("cpu") is None


def test_too_little_memory_is_a_limit_of_the_machine() -> None:
    with pytest.raises(Lacking) as caught, devices.enough_memory():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
    assert caught.value.code == "E_MODEL_MEMORY"
    assert caught.value.found == "CUDA out of memory. Tried to allocate 2.00 GiB."


@pytest.mark.parametrize(
    ("device", "spread", "asked"),
    [
        ("cpu", False, {}),
        ("cpu", True, {}),  # the host is one place, whatever else is there
        ("cuda", False, {"device_map": {"": "cuda"}}),
        ("cuda", True, {"device_map": "auto"}),
    ],
)
def test_the_library_loads_to_the_device(device: str, spread: bool, asked: object) -> None:
    assert load._placement(device, spread) == asked


def test_a_random_state_holds_the_generators_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    there = SimpleNamespace(state=torch.arange(16, dtype=torch.uint8))
    there.get_rng_state = lambda: there.state
    there.set_rng_state = lambda state: setattr(there, "state", state)
    monkeypatch.setattr(devices, "_generators", lambda _: there)
    state = devices.random_state("cuda")
    expected, drawn = there.state.clone(), torch.rand(3)
    there.state = torch.zeros(16, dtype=torch.uint8)
    devices.set_random_state("cuda", state)
    assert torch.equal(there.state, expected)
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(devices.random_state("cpu"), torch.get_rng_state())


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is told apart")
def test_the_memory_that_a_process_held_is_not_that_of_the_one_that_started_it() -> None:
    held = b"\1" * (300 << 20)
    code = "from kolm.models.device import memory_of; print(memory_of('cpu')())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(told.stdout) < len(held)
