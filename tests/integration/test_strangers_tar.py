"""Tools that know nothing of kolm list a bundle, and move it without changing its digest."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from kolm import digest, file_digests
from kolm.bundle.reader import Bundle
from kolm.sign import private_keys
from tests.support.bundles import make_parts, read_entries


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    return make_parts(folder).seal(folder / "toy.kolm", key=private_keys.generate())


def _run(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" or command[0] != "tar", done.stderr
    return done.stdout


def test_gnu_tar_lists_and_extracts_the_same_entries(signed: Path, tmp_path: Path) -> None:
    entries = read_entries(signed)
    assert _run("tar", "--list", "--file", signed).splitlines() == [name for name, _ in entries]
    _run("tar", "--extract", "--file", signed, "--directory", tmp_path)
    for name, data in entries:
        assert (tmp_path / name).read_bytes() == data


def test_python_tarfile_reads_the_same_entries(signed: Path) -> None:
    with tarfile.open(signed, mode="r:") as other:
        found = [(m.name, other.extractfile(m).read()) for m in other]  # type: ignore[union-attr]
    assert found == read_entries(signed)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_copies_the_content_and_keeps_its_digest(signed: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    skopeo = ("skopeo", "--policy", policy)
    bundle = Bundle.open(signed)
    target = tmp_path / "copied"
    _run(*skopeo, "copy", "--preserve-digests", f"oci-archive:{signed}:v1", f"dir:{target}")
    assert file_digests.of_file(target / "manifest.json") == bundle.content_id
    for layer in bundle.manifest["layers"]:
        assert file_digests.of_file(target / digest.hex_of(layer["digest"])) == layer["digest"]
    layout = tmp_path / "layout"
    _run(*skopeo, "copy", f"oci-archive:{signed}:v1", f"oci:{layout}:v1")
    assert json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"] == (
        bundle.content_id
    )
