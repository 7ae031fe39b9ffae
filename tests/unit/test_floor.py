"""Atomic files, events across a process border, settings and record round trips."""

import io
from dataclasses import dataclass

import pytest

from kolm import events, paths, settings
from kolm.errors import FAMILIES, KolmError, Refused, Usage
from kolm.events import error_of
from kolm.records import codec


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "f"
    paths.atomic_write(path, b"old")
    with pytest.raises(RuntimeError), paths.replacing(path) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


class Heard(events.Silent):
    def __init__(self):
        self.calls = []

    def started(self, stage, total, unit, done=0):
        self.calls.append(("started", stage, total, unit, done))

    def advanced(self, stage, done, **facts):
        self.calls.append(("advanced", stage, done, facts))

    def warned(self, message):
        self.calls.append(("warned", message))


def test_events_cross_a_pipe():
    stream = io.StringIO()
    child = events.JsonLines(stream)
    child.started("train", 10, "step", 2)
    child.advanced("train", 3, loss=0.25, note="a\nb")
    child.warned("ü")
    heard = Heard()
    for line in stream.getvalue().splitlines():
        events.relay(line, heard)
    assert heard.calls == [
        ("started", "train", 10, "step", 2),
        ("advanced", "train", 3, {"loss": "0.25", "note": "a\nb"}),
        ("warned", "ü"),
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_childs_error_is_raised_again_whole(family):
    stream = io.StringIO()
    error = FAMILIES[family]("E_X", "no", where="f:1", expected="a", found="b", hint="do c")
    events.JsonLines(stream).failed(error)
    with pytest.raises(FAMILIES[family]) as caught:
        events.relay(stream.getvalue(), events.Silent())
    assert caught.value.to_document() == error.to_document()


def test_an_unknown_family_is_still_our_error():
    assert type(error_of("Other", {"code": "E_X", "message": "m"})) is KolmError


def test_a_line_that_is_no_event_is_refused():
    with pytest.raises(Refused):
        events.relay("Traceback (most recent call last):", events.Silent())


def test_switches_refuse_nonsense(monkeypatch):
    monkeypatch.setenv("KOLM_OFFLINE", "perhaps")
    with pytest.raises(Usage):
        settings.flag("KOLM_OFFLINE")
    monkeypatch.setenv("KOLM_OFFLINE", "yes")
    assert settings.flag("KOLM_OFFLINE")


def test_home_moves_every_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KOLM_HOME", str(tmp_path))
    assert paths.config_folder() == tmp_path
    assert paths.cache_folder() == tmp_path / "cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    kind: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    name: str
    leaves: tuple[Leaf, ...]
    by_name: dict[str, Leaf]
    best: Leaf | None
    note: str | None = None


def test_records_round_trip_and_leave_out_absent_options():
    leaf = Leaf(kind="a", size=1)
    tree = Tree(name="t", leaves=(leaf,), by_name={"x": leaf}, best=None)
    document = codec.to_document(tree)
    assert "note" not in document
    assert document["best"] is None
    assert codec.from_document(Tree, document) == tree
