"""A registry that goes back: what each reader and publisher notices who has seen it before."""

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import digest
from kolm.errors import Denied, Refused, Unreadable
from kolm.registry.audit import audit
from kolm.registry.backends.directory import Directory
from kolm.registry.catalog import browse
from kolm.registry.history import read_history
from kolm.registry.references import parse_reference
from kolm.registry.resolve import resolve
from kolm.registry.seen import Seen
from kolm.sign import trust_changes
from kolm.sign.trust import Revocation
from tests.support.mounts import read_only
from tests.support.registries import World, check


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.publish("demo@1.0.0", "one")
    world.publish("demo@1.1.0", "two\na claim")
    return world


def _seen(world):
    return Seen.of(world.folder / "home", world.registry)


def _look(world, text="demo", *, trust=None):
    """One command of one reader: what they have seen is kept."""
    seen = _seen(world)
    try:
        return resolve(world.registry, parse_reference(text), trust or world.trust, seen=seen)
    finally:
        seen.save()


def _entry(world, number, name="demo"):
    return world.folder / "registry" / "entries" / name / f"{number:06d}.json"


def _refusal(act, *arguments, **options):
    with pytest.raises(Refused) as caught:
        act(*arguments, **options)
    return caught.value.code


def _audit(world):
    return audit(
        world.registry,
        trust=world.trust,
        check=check,
        seen=_seen(world),
    )


def _codes(problems):
    return {problem.code for problem in problems}


def test_a_removed_newest_entry_is_noticed_by_who_saw_it(world):
    assert str(_look(world).version) == "1.1.0"
    _entry(world, 2).unlink()
    assert _refusal(_look, world) == "E_REGISTRY_WENT_BACK"
    assert _refusal(_look, world, "demo@1.1.0") == "E_REGISTRY_WENT_BACK"
    assert _look(world, "demo@1.0.0").entry["bundle"] == digest.of_bytes(b"one")  # not in doubt
    assert "E_REGISTRY_WENT_BACK" in _codes(_audit(world).problems)
    assert _audit(world).verdict == "failed"
    (listing,) = browse(world.registry, world.trust, seen=_seen(world))
    assert "E_REGISTRY_WENT_BACK" in _codes(listing.problems)
    assert [str(signed.version) for signed in listing.versions] == ["1.0.0"]


def test_another_bundle_under_a_removed_version_is_refused_to_reader_and_publisher(world):
    _look(world)
    _entry(world, 2).unlink()
    assert _refusal(world.publish, "demo@1.1.0", "evil", seen=_seen(world)) == (
        "E_REGISTRY_WENT_BACK"
    )
    world.publish("demo@1.1.0", "evil")  # by somebody who never saw the other one
    assert _refusal(_look, world) == "E_REGISTRY_WENT_BACK"
    assert _refusal(_look, world, "demo@1.1.0") == "E_REGISTRY_WENT_BACK"
    assert "E_ENTRY_VERSION_MOVED" in {
        signed.objection.code
        for signed in _seen(world).history(world.registry, "demo", world.trust).entries
        if signed.objection
    }


def test_a_publisher_remembers_what_it_published(world):
    seen = _seen(world)
    world.publish("new@1.0.0", "one", seen=seen)
    seen.save()
    shutil.rmtree(_entry(world, 1, "new").parent)
    assert _refusal(world.publish, "new@1.0.0", "evil", seen=_seen(world)) == (
        "E_REGISTRY_WENT_BACK"
    )
    assert _refusal(_look, world, "new") == "E_REGISTRY_WENT_BACK"


def test_a_name_or_all_of_them_that_are_gone_are_noticed(world):
    _look(world)
    shutil.rmtree(world.folder / "registry")
    world.registry = Directory.create(world.folder / "registry")
    assert _refusal(_look, world) == "E_REGISTRY_WENT_BACK"
    assert _refusal(_look, world, digest.of_bytes(b"one")) == "E_REGISTRY_WENT_BACK"
    assert _codes(_audit(world).problems) == {"E_REGISTRY_WENT_BACK"}
    (listing,) = browse(world.registry, world.trust, seen=_seen(world))
    assert listing.name == "demo"


def test_a_claim_cannot_be_dropped_by_going_back(world):
    world.publish("demo@1.1.0", "two\na claim\na failed score")
    assert len(_look(world).entry["claims"]) == 2
    _entry(world, 3).unlink()
    assert _refusal(_look, world) == "E_REGISTRY_WENT_BACK"
    world.publish("demo@1.1.1", "two\na claim")  # by somebody who never saw the score
    assert _refusal(_look, world) == "E_REGISTRY_WENT_BACK"


@pytest.mark.parametrize("content", ["evil", "two"])
def test_an_entry_put_before_one_that_was_seen_moves_no_version_and_drops_no_claim(world, content):
    """Signed by a publisher: whoever stole a key and can write to the folder."""
    _look(world)
    _look(world, "demo@1.0.0")
    second = _entry(world, 2).read_bytes()
    for number in (1, 2):
        _entry(world, number).unlink()
    world.publish("demo@1.1.0" if content == "evil" else "demo@1.2.0", content)
    _entry(world, 2).write_bytes(second)
    found = _look(world, f"demo@{digest.of_bytes(b'two')}")
    assert (str(found.version), len(found.entry["claims"])) == ("1.1.0", 1)
    assert _look(world, "demo@1.1.0").entry["bundle"] == digest.of_bytes(b"two")
    entries = _seen(world).history(world.registry, "demo", world.trust).entries
    code = "E_ENTRY_VERSION_MOVED" if content == "evil" else "E_CLAIMS_DROPPED"
    assert [one.objection and one.objection.code for one in entries] == [code, None]


def test_a_removed_entry_with_more_claims_leaves_the_version_before_it_as_it_was(world):
    world.publish("demo@1.2.0", "two\na claim\na score")
    _look(world)
    _entry(world, 3).unlink()
    assert str(_look(world, "demo@1.1.0").version) == "1.1.0"
    assert _refusal(_look, world) == "E_REGISTRY_WENT_BACK"


def test_a_restored_entry_is_not_missed(world):
    _look(world)
    data = _entry(world, 2).read_bytes()
    _entry(world, 2).unlink()
    assert _refusal(_look, world) == "E_REGISTRY_WENT_BACK"
    _entry(world, 2).write_bytes(data)
    assert str(_look(world).version) == "1.1.0"


def test_going_on_is_not_going_back(world):
    _look(world)
    world.publish("demo@2.0.0", "three")
    assert str(_look(world).version) == "2.0.0"
    assert _audit(world).verdict == "ok"


def test_what_is_no_longer_believed_is_not_missed(world):
    _look(world)
    gone = Revocation(on="2026-01-01T00:00:00Z", reason="stolen")
    trust = trust_changes.revoking(world.trust, world.key.public.keyid, gone)
    _entry(world, 2).unlink()
    assert _refusal(_look, world, trust=trust) == "E_KEY_REVOKED"


def test_strangers_entries_are_not_remembered(world):
    stranger = World(world.folder / "theirs")
    world.publish("demo@9.0.0", "evil", key=stranger.key, trust=stranger.trust)
    assert str(_look(world).version) == "1.1.0"
    _entry(world, 3).unlink()
    assert str(_look(world).version) == "1.1.0"


def test_another_registry_has_a_memory_of_its_own(world):
    _look(world)
    other = Directory.create(world.folder / "other")
    world.publish("demo@1.0.0", "something else", registry=other)
    seen = Seen.of(world.folder / "home", other)
    found = resolve(other, parse_reference("demo"), world.trust, seen=seen)
    assert found.entry["bundle"] == digest.of_bytes(b"something else")


def test_the_same_folder_by_another_path_is_the_same_registry(world):
    _look(world)
    _entry(world, 2).unlink()
    (world.folder / "link").symlink_to(world.folder / "registry")
    world.registry = Directory.open(world.folder / "link")
    assert _refusal(_look, world) == "E_REGISTRY_WENT_BACK"


def test_two_readers_at_once_lose_nothing(world):
    first, second = _seen(world), _seen(world)
    first.history(world.registry, "demo", world.trust)
    world.publish("other@1.0.0", "three")
    second.history(world.registry, "other", world.trust)
    first.save()
    second.save()
    assert _seen(world).names() == ["demo", "other"]


def test_a_broken_memory_is_not_taken_for_none(world):
    _look(world)
    (file,) = (world.folder / "home" / "registries").glob("*.jsonl")
    whole = file.read_bytes()
    for data in (b"{}\n", whole[:-1], whole.replace(b'"demo"', b'"DEMO"'), b"\xff\n"):
        file.write_bytes(data)
        with pytest.raises(Unreadable) as caught:
            _look(world)
        assert caught.value.code == "E_SEEN_BROKEN"


def test_a_memory_that_cannot_be_kept_is_told(world):
    (world.folder / "home").mkdir()
    with read_only(world.folder / "home"), pytest.raises(Denied) as caught:
        _look(world)
    assert caught.value.code == "E_READ_ONLY"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["publish", "grow", "look", "remove last"]), max_size=8))
def test_a_reader_never_gets_less_than_they_have_seen(tmp_path_factory, steps):
    """Whatever is done to the folder: an answer is at least what was answered before, or none."""
    world = World(tmp_path_factory.mktemp("world"))
    seen, best, count = Seen(), (None, frozenset()), 0
    for step in steps:
        count += 1
        stored = world.registry.entries("demo").entries
        if step == "publish":
            world.publish(f"demo@1.{count}.0", f"bundle {count}")
        elif step == "grow" and stored:
            last = list(
                read_history(
                    world.registry.entries("demo"), name="demo", trust=world.trust
                ).believed
            )
            if last:
                path = world.registry.path_of(last[-1].entry["file"]["digest"])
                world.publish(last[-1].label, f"{path.read_text()}\nclaim {count}")
        elif step == "remove last" and stored:
            _entry(world, max(stored)).unlink()
        try:
            found = resolve(world.registry, parse_reference("demo"), world.trust, seen=seen)
        except (Refused, Unreadable):
            continue
        version, claims = best
        assert version is None or found.version >= version
        if found.version == version:
            assert set(found.entry["claims"]) >= claims
        best = (found.version, frozenset(found.entry["claims"]))
