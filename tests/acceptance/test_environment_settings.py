"""What the user's environment says of computing changes no bit of a bundle.

Each setting changed the content id under one and the same lock, or broke the compile, before
children got a closed list of variables and pictures were cut by Pillow alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import torchvision_stub
from tests.support.lines import Line, same_answer

pytestmark = pytest.mark.slow

SETTINGS = {
    "aten-default": {"ATEN_CPU_CAPABILITY": "default"},
    "aten-avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "onednn-avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "dnnl-sse41": {"DNNL_MAX_CPU_ISA": "SSE41"},
    "onednn-bf16": {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"},
    "mkl-avx2": {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "mkl-sse4-2": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "mkl-cbwr": {"MKL_CBWR": "COMPATIBLE"},
    "threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "OMP_DYNAMIC": "TRUE"},
    "libc": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"},
    "numpy": {"NPY_DISABLE_CPU_FEATURES": "AVX2"},
    "kmp": {"KMP_BLOCKTIME": "0", "KMP_DETERMINISTIC_REDUCTION": "0"},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Line, dict[str, object]]:
    """A tiny project compiled with nothing set."""
    line = Line.make(tmp_path_factory.mktemp("settings"), rows=same_answer(24), steps=6)
    return line, line.compile("--allow-below-gate")


def again(plain: tuple[Line, dict[str, object]], folder: Path, **variables: str) -> object:
    """The content id of the same project, compiled from nothing under other variables."""
    line = Line(folder=folder / "project", home=plain[0].home, variables=variables)
    keep = shutil.ignore_patterns(".kolm", "*.kolm")
    shutil.copytree(plain[0].folder, line.folder, ignore=keep)
    return line.compile("--allow-below-gate")["content_id"]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_a_library_does_not_change_the_content(
    plain: tuple[Line, dict[str, object]], tmp_path: Path, name: str
) -> None:
    assert again(plain, tmp_path, **SETTINGS[name]) == plain[1]["content_id"]


@pytest.mark.parametrize("broken", [False, True])
def test_a_torchvision_on_the_path_does_not_change_the_content(
    plain: tuple[Line, dict[str, object]], tmp_path: Path, broken: bool
) -> None:
    path = torchvision_stub.write(tmp_path / "stub", broken=broken)
    assert again(plain, tmp_path, PYTHONPATH=str(path)) == plain[1]["content_id"]
