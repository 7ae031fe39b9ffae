"""Stored histories; what is wrong with each bad one is in its name."""

from pathlib import Path

import pytest

from kolm.registry.backends.backend import StoredEntries
from kolm.registry.history import read_history
from kolm.sign.trust import TrustStore

VECTORS = Path(__file__).parents[2] / "vectors" / "entry"
TRUST = TrustStore.load_file(VECTORS / "trust.json")


def _cases(kind):
    return [pytest.param(path, id=path.name) for path in sorted((VECTORS / kind).iterdir())]


def _history(path):
    entries = {int(file.stem): file.read_bytes() for file in path.glob("*.json")}
    stored = StoredEntries(entries=entries, taken=frozenset(), problems=())
    return read_history(stored, name="demo", trust=TRUST)


@pytest.mark.parametrize("path", _cases("valid"))
def test_a_good_history_is_read(path):
    history = _history(path)
    assert history.problems == ()
    numbers = [signed.entry["sequence"] for signed in history.entries]
    assert numbers == list(range(1, len(list(path.iterdir())) + 1))
    assert [signed.counts for signed in history.entries] == [
        not (path.name.startswith("a_stranger") and number == 2) for number in numbers
    ]


@pytest.mark.parametrize("path", _cases("invalid"))
def test_what_is_wrong_with_a_history_is_found(path):
    history = _history(path)
    objections = [signed.objection for signed in history.entries if signed.objection]
    found = {error.code for error in (*history.problems, *objections)}
    assert path.name.partition(".")[0] in found
