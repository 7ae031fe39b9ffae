"""kolm answers as is due about every bundle of the whole corpus."""

import sys
from pathlib import Path

import pytest

from kolm.actions.conformance import conformance
from tests.support import corpus

pytestmark = pytest.mark.slow


def test_kolm_agrees_about_every_bundle(tmp_path: Path) -> None:
    bundles = corpus.write(tmp_path / "corpus")
    found = conformance([sys.executable, "-m", "kolm", "verify", "--json"], tmp_path / "corpus")
    print(f"{found['agreed']} of {bundles} bundles in {found['seconds']} s")
    assert found["disagreements"] == []
    assert found["agreed"] == bundles >= 150
