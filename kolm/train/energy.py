"""Train: the energy that a process took, by the machine's own meters where they can be read.

Linux shows the counters of a processor's packages and memory (RAPL) as files, NVIDIA's library
those of its cards. Both count whatever runs there, not this process alone. A counter of RAPL starts
again at 0 after some 20 minutes of full load, so it is read in between.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from kolm import canonical

if TYPE_CHECKING:
    from kolm.records.documents import SpentEnergyMetered, SpentEnergyUnmetered

POWERCAP: Final = Path("/sys/class/powercap")
_EVERY_SECONDS: Final = 30.0
Kind = Literal["nvml", "rapl"]


class Unreadable(Exception):
    """A meter cannot be read, and why."""


class Meter(Protocol):
    """Counts energy from when it was made."""

    def joules(self) -> float:
        """Since then."""


class Rapl:
    """The processor's packages and memory.

    Raises:
        Unreadable: there are none, or this user may not read them.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if _is_counted(zone)]
        if not self._zones:
            raise Unreadable(f"no RAPL counter of a processor in {folder}")
        self._last = {zone: self._read(zone, "energy_uj") for zone in self._zones}
        self._full = {zone: self._read(zone, "max_energy_range_uj") for zone in self._zones}
        self._microjoules = 0

    def joules(self) -> float:
        """Since it was made, if it is asked more often than a counter takes to come round."""
        for zone, last in self._last.items():
            now = self._read(zone, "energy_uj")
            self._microjoules += now - last if now >= last else now + self._full[zone] - last
            self._last[zone] = now
        return self._microjoules / 1e6

    @staticmethod
    def _read(zone: Path, name: str) -> int:
        try:
            return int((zone / name).read_text())
        except (OSError, ValueError) as error:
            raise Unreadable(f"{zone.name}/{name} cannot be read: {error}") from error


def _is_counted(zone: Path) -> bool:
    """Packages and memory; cores and the like are parts of a package."""
    try:
        name = (zone / "name").read_text().strip()
    except OSError:
        return False
    return name.startswith("package") or name == "dram"


def cards(processes: int) -> list[str]:
    """The NVIDIA cards that so many processes compute on, one each, by the names that NVML gives.

    torch numbers what CUDA_VISIBLE_DEVICES leaves, and NVML all that are built in.

    Raises:
        Unreadable: there are not so many.
    """
    import torch

    if torch.cuda.device_count() < processes:
        raise Unreadable("torch finds fewer cards than compute")
    facts = map(torch.cuda.get_device_properties, range(processes))
    return [f"GPU-{one.uuid}" for one in facts]


class Nvml:
    """NVIDIA cards, together.

    Args:
        names: of the cards, as `cards` gives them.

    Raises:
        Unreadable: the library, the driver or a card has no such counter.
    """

    def __init__(self, names: Sequence[str]) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise Unreadable("NVML needs the package nvidia-ml-py: kolm[energy]") from error
        self._failed: type[Exception] = pynvml.NVMLError
        self._read: Callable[[], int] = lambda: sum(
            pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(name))
            for name in names
        )
        try:
            pynvml.nvmlInit()
        except self._failed as error:
            raise Unreadable(f"NVML: {error}") from error
        self._first = self._millijoules()

    def joules(self) -> float:
        """Since it was made."""
        return (self._millijoules() - self._first) / 1e3

    def _millijoules(self) -> int:
        try:
            return self._read()
        except self._failed as error:
            raise Unreadable(f"NVML: {error}") from error


Meters = Mapping[str, tuple[tuple[Kind, Callable[[], Meter]], ...]]


def meters_of(processes: int = 1) -> Meters:
    """The meters of a kind of device, on which so many processes train together."""
    return {
        "cpu": (("rapl", Rapl),),
        "cuda": (("nvml", lambda: Nvml(cards(processes))), ("rapl", Rapl)),
    }


class Metered:
    """The energy of what runs inside, on a kind of device.

    Without the meter of the device itself nothing is said: a processor's would look like all of it.
    """

    def __init__(self, device: str, meters: Meters | None = None) -> None:
        meters = meters_of() if meters is None else meters
        self._meters: dict[Kind, Meter] = {}
        self._joules: dict[Kind, float] = {}
        self._absent = "" if device in meters else f"no meter of a {device} device is known"
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._keep_reading, daemon=True)
        for number, (kind, make) in enumerate(meters.get(device, ())):
            try:
                self._meters[kind] = make()
            except Unreadable as error:
                if number == 0:
                    self._absent = str(error)
                    break

    def __enter__(self) -> Metered:
        """Begin."""
        if self._meters:
            self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()

    def energy(self) -> SpentEnergyMetered | SpentEnergyUnmetered:
        """What was taken so far, or why nobody knows."""
        self._look()
        if self._absent:
            return {"absent": self._absent[:300]}
        joules = canonical.decimal(round(sum(self._joules.values()), 3), 3)
        return {"joules": joules, "meters": sorted(self._joules)}

    def _keep_reading(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._lock:
            if self._absent:
                return
            try:
                self._joules = {kind: meter.joules() for kind, meter in self._meters.items()}
            except Unreadable as error:  # what was read before is no whole
                self._absent = str(error)
