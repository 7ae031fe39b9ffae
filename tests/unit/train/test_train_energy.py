"""Energy by the machine's meters: what they count, and what is said where they cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kolm.train import energy
from kolm.train.energy import Metered, Nvml, Rapl, Unreadable


def zone(folder: Path, name: str, called: str, microjoules: int, full: int = 1000) -> Path:
    made = folder / name
    made.mkdir()
    (made / "name").write_text(called + "\n")
    (made / "energy_uj").write_text(f"{microjoules}\n")
    (made / "max_energy_range_uj").write_text(f"{full}\n")
    return made


def test_packages_and_memory_are_added_and_a_counter_may_come_round(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 900)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 100)
    zone(tmp_path, "intel-rapl:0:0", "core", 10)  # a part of the package
    meter = Rapl(tmp_path)
    assert meter.joules() == 0
    (package / "energy_uj").write_text("50")  # past 1000
    (memory / "energy_uj").write_text("130")
    assert meter.joules() == pytest.approx((150 + 30) / 1e6)
    (memory / "energy_uj").write_text("140")
    assert meter.joules() == pytest.approx((150 + 40) / 1e6)


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no RAPL counter"):
        Rapl(tmp_path / "nowhere")


def test_a_counter_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj").unlink()
    with pytest.raises(Unreadable, match="energy_uj cannot be read"):
        Rapl(tmp_path)


class Rising:
    """A meter that gives what it is told to."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def joules(self) -> float:
        if not self.values:
            raise Unreadable("unplugged")
        return self.values.pop(0)


def test_what_ran_inside_is_metered() -> None:
    with Metered("cpu", {"cpu": (("rapl", lambda: Rising(2.5)),)}) as metered:
        assert metered.energy() == {"joules": "2.5", "meters": ["rapl"]}


def test_a_card_counts_with_its_processor() -> None:
    meters: Any = {"cuda": (("nvml", lambda: Rising(2)), ("rapl", lambda: Rising(1)))}
    with Metered("cuda", meters) as metered:
        assert metered.energy() == {"joules": "3", "meters": ["nvml", "rapl"]}


def unreadable() -> Rising:
    raise Unreadable("nobody may")


def test_a_processor_is_not_taken_for_all_of_a_card() -> None:
    meters: Any = {"cuda": (("nvml", unreadable), ("rapl", lambda: Rising(1)))}
    with Metered("cuda", meters) as metered:
        assert metered.energy() == {"absent": "nobody may"}


def test_a_card_counts_where_its_processor_cannot() -> None:
    meters: Any = {"cuda": (("nvml", lambda: Rising(2)), ("rapl", unreadable))}
    with Metered("cuda", meters) as metered:
        assert metered.energy() == {"joules": "2", "meters": ["nvml"]}


def test_a_meter_that_fails_later_leaves_no_part_of_a_sum() -> None:
    with Metered("cpu", {"cpu": (("rapl", Rising),)}) as metered:
        assert metered.energy() == {"absent": "unplugged"}


def test_a_device_without_a_known_meter_says_so() -> None:
    with Metered("mps") as metered:
        assert metered.energy() == {"absent": "no meter of a mps device is known"}


def test_a_meter_is_read_while_something_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "_EVERY_SECONDS", 0.001)
    rising = Rising(*range(10_000))
    with Metered("cpu", {"cpu": (("rapl", lambda: rising),)}) as metered:
        while len(rising.values) > 9_990:
            pass
    assert "joules" in metered.energy()


def library(**parts: Any) -> SimpleNamespace:
    return SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        **parts,
    )


def test_a_cards_counter_is_in_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [5_000, 7_500]
    counter = library(nvmlDeviceGetTotalEnergyConsumption=lambda _: values.pop(0))
    monkeypatch.setitem(sys.modules, "pynvml", counter)
    assert Nvml(["GPU-a"]).joules() == 2.5


def test_the_cards_that_compute_are_counted_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on the second and third of three cards."""
    torch = pytest.importorskip("torch")
    visible = [SimpleNamespace(uuid="b"), SimpleNamespace(uuid="c")]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(visible))
    monkeypatch.setattr(torch.cuda, "get_device_properties", visible.__getitem__)
    counted = {"GPU-a": 7_000_000, "GPU-b": 1_000, "GPU-c": 2_000}
    counter = library(nvmlDeviceGetTotalEnergyConsumption=counted.__getitem__)
    monkeypatch.setitem(sys.modules, "pynvml", counter)
    meter = dict(energy.meters_of(2)["cuda"])["nvml"]()
    counted.update({"GPU-a": 9_000_000, "GPU-b": 4_000, "GPU-c": 4_500})
    assert meter.joules() == 5.5
    with pytest.raises(Unreadable, match="fewer cards"):
        energy.cards(3)


def test_a_card_without_a_counter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> int:
        raise RuntimeError("Not Supported")

    monkeypatch.setitem(sys.modules, "pynvml", library(nvmlDeviceGetTotalEnergyConsumption=none))
    with pytest.raises(Unreadable, match="Not Supported"):
        Nvml(["GPU-a"])


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(Unreadable, match=r"kolm\[energy\]"):
        Nvml(["GPU-a"])
