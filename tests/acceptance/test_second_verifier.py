"""The verifier that was written from the format pages answers as is due about the whole corpus."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kolm.actions.conformance import conformance
from tests.support import corpus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("npm"), reason="node and npm are not installed"),
]

VERIFIER = Path(__file__).parents[2] / "verifier"


@pytest.fixture(scope="module")
def command() -> list[str]:
    """The command for Node, built from the sources as they are."""
    steps = [
        ["npm", "ci", "--no-audit", "--no-fund"],
        ["npm", "run", "check"],
        ["npm", "run", "build"],
    ]
    for step in steps:
        if step[1] == "ci" and (VERIFIER / "node_modules").is_dir():
            continue
        subprocess.run(step, cwd=VERIFIER, check=True)
    return ["node", str(VERIFIER / "dist" / "kolm-verify.mjs"), "--json"]


def test_it_agrees_about_every_bundle(command: list[str], tmp_path: Path) -> None:
    bundles = corpus.write(tmp_path / "corpus")
    found = conformance(command, tmp_path / "corpus")
    print(f"{found['agreed']} of {bundles} bundles in {found['seconds']} s")
    assert found["disagreements"] == []
    assert found["agreed"] == bundles >= 150


@pytest.mark.usefixtures("command")
def test_its_metrics_are_those_of_their_scorers_and_its_page_opens(tmp_path: Path) -> None:
    corpus.write(tmp_path / "corpus")  # without Chromium the page is not tried
    environment = {**os.environ, "KOLM_CORPUS": str(tmp_path / "corpus")}
    subprocess.run(["npm", "test"], cwd=VERIFIER, check=True, env=environment)
