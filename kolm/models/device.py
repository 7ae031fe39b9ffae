"""Models: where a model computes, and what is settled in torch so that its bits are equal again.

A device is named as torch names its kind: ``cpu``, ``cuda`` (NVIDIA) or ``mps`` (Apple). What is
read of examples and pictures stays in the host's memory; what enters a model is put on its device
by `kolm.models.forward` and `kolm.models.taps`, and nowhere else.
"""

from __future__ import annotations

import contextlib
import platform
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kolm.errors import Lacking

if TYPE_CHECKING:
    import torch

    from kolm.records.documents import Lock, LockEnvironmentAccelerator

CPU: Final = "cpu"
AUTO: Final = "auto"
KINDS: Final = ("cuda", "mps", CPU)  # the best first
_DRIVER = Path("/proc/driver/nvidia/version")
_CPUINFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
# Instruction sets that choose kernels; a flag outside this list does not change results.
_ISA_FLAGS = ("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
              "amx_tile", "amx_bf16", "asimd", "sve")  # fmt: skip
# Attention kernels of scaled_dot_product_attention that are deterministic in strict mode; cuDNN's
# is not (https://github.com/pytorch/pytorch/pull/182551).
ATTENTION_KERNELS: Final = ("efficient", "flash", "math")
_LEAST_BFLOAT16_CAPABILITY: Final = (8, 0)  # older cards emulate it


def wanted(asked: str, lock: Lock | None = None) -> tuple[str, ...]:
    """The kinds of devices that ``train.device`` and ``--device`` accept, the best first.

    For a bundle's lock ``auto`` is what it was evaluated on, where that is here.
    """
    if asked != AUTO:
        return (asked,)
    return KINDS if lock is None else (lock["environment"]["device"], *KINDS)


def here() -> tuple[str, ...]:
    """The kinds of devices that torch can compute on here, the best first."""
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return (*(kind for kind, is_here in found.items() if is_here), CPU)


def first_here(kinds: Sequence[str]) -> str | None:
    """The first of some kinds of devices that is here."""
    present = here()
    return next((kind for kind in kinds if kind in present), None)


def demand(kinds: Sequence[str], where: str = "train.device") -> str:
    """The first of some kinds of devices that is here, which were asked for at a place.

    Raises:
        Lacking: ``E_MODEL_DEVICE``, none is.
    """
    found = first_here(kinds)
    if found is None:
        raise missing(kinds, here(), where)
    return found


def missing(kinds: Sequence[str], present: Sequence[str], where: str = "train.device") -> Lacking:
    """The error of devices that are not here."""
    return Lacking(
        "E_MODEL_DEVICE",
        "torch finds no such device on this machine",
        where=where,
        expected=" or ".join(kinds),
        found=", ".join(present),
        hint="auto takes the best that is here; for cuda look at nvidia-smi, and whether "
        "torch was built for it: python -c 'import torch; print(torch.version.cuda)'",
    )


def choose(device: str, number: int) -> None:
    """Make one of several accelerators of a kind the one that this process computes on.

    Raises:
        Lacking: ``E_MODEL_DEVICE``, there are not so many.
    """
    import torch

    if device != "cuda":
        return
    present = torch.cuda.device_count()
    if number >= present:
        raise Lacking(
            "E_MODEL_DEVICE",
            "each process of a training computes on a device of its own",
            where="train.processes",
            expected=f"at least {number + 1} devices",
            found=str(present),
            hint="lower train.processes; does CUDA_VISIBLE_DEVICES hide a device?",
        )
    torch.cuda.set_device(number)


def settle(device: str, threads: int) -> None:
    """Settle what can be settled after torch is imported; the environment settles the rest.

    Nothing is rounded to fewer bits than its format has, sums have one order, and only attention
    kernels are used whose sums have one too.
    """
    import torch

    # As use_deterministic_algorithms(True), which imports a compiler that kolm has no use for.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory with NaN guards against reading it; kolm's own code never makes empty
    # tensors that it reads, and the fills cost a twentieth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    if device == "cuda":
        _round_nothing()
        torch.backends.cudnn.benchmark = False  # would choose kernels by how fast they were
        torch.backends.cudnn.deterministic = True
        torch.backends.cuda.enable_cudnn_sdp(False)
        torch.backends.cuda.enable_flash_sdp(True)
        torch.backends.cuda.enable_mem_efficient_sdp(True)
        torch.backends.cuda.enable_math_sdp(True)


@contextlib.contextmanager
def unrounded() -> Iterator[None]:
    """While this holds, an accelerator rounds nothing to fewer bits than its format has, as
    `settle` has it for good: for answers in a process whose settings are somebody else's."""
    import torch

    precision = torch.get_float32_matmul_precision()
    before = [(place, name, getattr(place, name)) for place, name in _rounding()]
    _round_nothing()
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        for place, name, value in before:
            setattr(place, name, value)


def _round_nothing() -> None:
    import torch

    torch.set_float32_matmul_precision("highest")  # no TF32
    for place, name in _rounding():
        setattr(place, name, False)


def _rounding() -> tuple[tuple[object, str], ...]:
    """The switches of what torch may round, beside the precision of matrix products."""
    import torch

    matmul = torch.backends.cuda.matmul
    return (
        (torch.backends.cudnn, "allow_tf32"),
        (matmul, "allow_fp16_reduced_precision_reduction"),
        (matmul, "allow_bf16_reduced_precision_reduction"),
    )


def describe(device: str) -> LockEnvironmentAccelerator | None:
    """What bits depend on at an accelerator; None for the CPU."""
    import torch

    if device == CPU:
        return None
    if device == "cuda":
        facts = torch.cuda.get_device_properties(torch.cuda.current_device())
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        return {
            "name": facts.name,
            "capability": f"{facts.major}.{facts.minor}",
            "driver": _nvidia_driver(),
            "runtime": f"CUDA {torch.version.cuda}, cuDNN {cudnn}",
            "attention": list(ATTENTION_KERNELS),
        }
    return {
        "name": platform.processor() or platform.machine(),
        "capability": platform.machine(),
        "driver": platform.mac_ver()[0] or "unknown",
        "runtime": "Metal",
        "attention": ["math"],
    }


def processor() -> tuple[str, str]:
    """The processor's model name and the instruction sets that choose kernels."""
    if not _CPUINFO.is_file():
        return platform.processor() or platform.machine(), platform.machine()
    text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    present = set(flags.group(1).split()) if flags else set()
    isa = " ".join(flag for flag in _ISA_FLAGS if flag in present)
    return (model.group(1).strip() if model else platform.machine()), isa or platform.machine()


def has_bfloat16(device: str) -> bool:
    """Whether a device computes in bfloat16 itself."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_capability() >= _LEAST_BFLOAT16_CAPABILITY
    return True


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Tell that a device's memory does not suffice as a limit of the machine.

    Raises:
        Lacking: ``E_MODEL_MEMORY``.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise Lacking(
            "E_MODEL_MEMORY",
            "the memory of the accelerator does not suffice",
            found=str(error).partition("\n")[0][:400],
            hint="train with a smaller batch_size and more accumulation, in bfloat16 or with "
            "quantisation; answer with a smaller evaluation.batch_size, or --spread",
        ) from error


def memory_of(device: str) -> Callable[[], int]:
    """What tells the most bytes that this process has held so far, of the device's own memory."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated

    def resident() -> int:
        # Linux counts in ru_maxrss what was resident before the process became this program.
        status = _STATUS.read_text() if _STATUS.is_file() else ""
        if held := status.partition("VmHWM:")[2].split():
            return int(held[0]) * 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024

    return resident


def random_state(device: str) -> torch.Tensor:
    """The state of the generators that dropout draws from: the CPU's, then the device's."""
    import torch

    states = [torch.get_rng_state()]
    if device != CPU:
        states.append(_generators(device).get_rng_state())
    return torch.cat(states)


def set_random_state(device: str, state: torch.Tensor) -> None:
    """Go on from a state that `random_state` gave."""
    import torch

    own = len(torch.get_rng_state())
    torch.set_rng_state(state[:own].clone())
    if device != CPU:
        _generators(device).set_rng_state(state[own:].clone())


def _generators(device: str) -> Any:
    """The module of torch that holds the generator of a kind of device."""
    import torch

    return torch.get_device_module(device)


def _nvidia_driver() -> str:
    """The version of the kernel's driver, as it says itself."""
    if not _DRIVER.is_file():
        return "unknown"
    said = _DRIVER.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"\b\d+\.\d+(?:\.\d+)?\b", said)
    return found.group() if found else "unknown"
