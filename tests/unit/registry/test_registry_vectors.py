"""Stored histories, each bad one refused for the reason in its name."""

from pathlib import Path

import pytest

from kolm.errors import KolmError
from kolm.registry.entries import read_history
from kolm.sign.trust import TrustStore

VECTORS = Path(__file__).parents[2] / "vectors" / "entry"
TRUST = TrustStore.load_file(VECTORS / "trust.json")


def _cases(kind):
    return [pytest.param(path, id=path.name) for path in sorted((VECTORS / kind).iterdir())]


def _history(path):
    stored = [entry.read_bytes() for entry in sorted(path.glob("*.json"))]
    return read_history(stored, name="demo", trust=TRUST)


@pytest.mark.parametrize("path", _cases("valid"))
def test_a_good_history_is_read(path):
    history = _history(path)
    assert [signed.entry.sequence for signed in history] == list(range(1, len(history) + 1))
    assert [signed.counts for signed in history] == [
        not (path.name.startswith("a_stranger") and signed.entry.sequence == 2)
        for signed in history
    ]


@pytest.mark.parametrize("path", _cases("invalid"))
def test_a_bad_history_is_refused_for_the_reason_in_its_name(path):
    with pytest.raises(KolmError) as caught:
        _history(path)
    assert caught.value.code == path.name.partition(".")[0]
