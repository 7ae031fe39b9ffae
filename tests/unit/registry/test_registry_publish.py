import os

import pytest

from kolm import digest
from kolm.errors import Denied, Refused, Unreadable
from kolm.registry.audit import audit
from kolm.registry.history import read_history
from kolm.sign import private_keys, trust_changes
from kolm.sign.trust import KeyRole, Revocation, TrustStore
from tests.support.registries import World, check


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def _versions(world, name="demo"):
    history = read_history(world.registry.entries(name), name=name, trust=world.trust)
    return [(str(s.version), s.counts) for s in history.entries]


def _leftovers(world):
    return list((world.folder / "registry" / "tmp").iterdir())


def test_a_published_bundle_has_an_entry_and_its_file(world):
    published = world.publish("demo@1.0.0", "one")
    assert published.new
    assert published.entry["bundle"] == digest.of_bytes(b"one")
    assert published.entry["previous"] is None
    assert world.registry.path_of(published.entry["file"]["digest"]).read_bytes() == b"one"
    assert published.digest == digest.of_bytes(world.registry.entries("demo").entries[1])
    assert _leftovers(world) == []


def test_each_entry_names_the_one_before(world):
    first = world.publish("demo@1.0.0", "one")
    second = world.publish("demo@1.1.0", "two")
    assert second.entry["previous"] == first.digest
    assert second.entry["sequence"] == 2


def test_publishing_the_same_again_changes_nothing(world):
    first = world.publish("demo@1.0.0", "one")
    again = world.publish("demo@1.0.0", "one")
    assert not again.new
    assert again.digest == first.digest
    assert len(world.registry.entries("demo").entries) == 1


def test_a_published_version_never_means_another_bundle(world):
    world.publish("demo@1.0.0", "one")
    for version in ("1.0.0", "1.0.0+rebuild"):
        with pytest.raises(Refused) as caught:
            world.publish(f"demo@{version}", "two")
        assert caught.value.code == "E_VERSION_TAKEN"
    assert _versions(world) == [("1.0.0", True)]
    assert list(world.registry.blobs()) == [digest.of_bytes(b"one")]
    assert _leftovers(world) == []


def test_a_bundle_that_does_not_verify_is_not_published(world):
    with pytest.raises(Refused) as caught:
        world.publish("demo@1.0.0", "bad")
    assert caught.value.code == "E_TEST_BAD"
    assert world.registry.names() == []
    assert list(world.registry.blobs()) == []


def test_the_claims_of_a_version_may_grow(world):
    world.publish("demo@1.0.0", "one\nfirst claim")
    grown = world.publish("demo@1.0.0", "one\nfirst claim\nsecond claim")
    assert grown.new
    assert grown.entry["sequence"] == 2
    assert _versions(world) == [("1.0.0", True), ("1.0.0", True)]


def test_the_claims_of_a_version_never_shrink(world):
    world.publish("demo@1.0.0", "one\nfirst claim")
    with pytest.raises(Refused) as caught:
        world.publish("demo@1.0.0", "one\nsecond claim")
    assert caught.value.code == "E_CLAIMS_LOST"


def test_publishing_again_repairs_a_lost_file(world):
    published = world.publish("demo@1.0.0", "one")
    path = world.registry.path_of(published.entry["file"]["digest"])
    path.unlink()
    assert not world.publish("demo@1.0.0", "one").new
    assert path.read_bytes() == b"one"


@pytest.mark.parametrize(
    "limits", [{"names": ("other",)}, {"roles": (KeyRole.BUILDER,)}, {"names": ("demo/*",)}]
)
def test_a_key_that_may_not_publish_the_name_is_denied(world, limits):
    key = world.with_key("bob", **limits)
    with pytest.raises(Denied) as caught:
        world.publish("demo@1.0.0", key=key)
    assert caught.value.code == "E_PUBLISH_DENIED"


def test_an_unknown_or_revoked_key_is_denied(world):
    with pytest.raises(Denied):
        world.publish("demo@1.0.0", key=private_keys.generate())
    gone = Revocation(on="2026-01-01T00:00:00Z", reason="")
    revoked = trust_changes.revoking(world.trust, world.key.public.keyid, gone)
    with pytest.raises(Denied):
        world.publish("demo@1.0.0", trust=revoked)


def test_a_stranger_cannot_reserve_a_version(world):
    stranger = private_keys.generate()
    theirs = TrustStore((world.trusted("mallory", stranger),))
    world.publish("demo@1.0.0", "theirs", key=stranger, trust=theirs)
    ours = world.publish("demo@1.0.0", "ours")
    assert ours.new
    assert _versions(world) == [("1.0.0", False), ("1.0.0", True)]


@pytest.mark.parametrize("junk", [[2], [2, 3], [999_999], [2, 999_999]])
def test_what_strangers_put_into_a_name_stops_no_publisher(world, junk):
    first = world.publish("demo@1.0.0", "one")
    for number in junk:
        world.registry.append("demo", number, b"{}")
    second = world.publish("demo@1.1.0", "two")
    assert second.entry["previous"] == first.digest
    assert second.entry["sequence"] == next(n for n in (2, 3, 4) if n not in junk)
    assert _versions(world) == [("1.0.0", True), ("1.1.0", True)]


def test_the_claims_of_a_bundle_never_shrink_under_another_version_either(world):
    world.publish("demo@1.0.0", "one\nfirst claim")
    with pytest.raises(Refused) as caught:
        world.publish("demo@1.0.1", "one")
    assert caught.value.code == "E_CLAIMS_LOST"
    assert world.publish("demo@1.0.1", "one\nfirst claim\nmore").new


def test_claims_are_missed_though_the_file_that_carried_them_is_gone(world):
    published = world.publish("demo@1.0.0", "one\nfirst claim")
    world.registry.path_of(published.entry["file"]["digest"]).unlink()
    with pytest.raises(Refused) as caught:
        world.publish("demo@1.0.0", "one\nsecond claim")
    assert caught.value.code == "E_CLAIMS_LOST"


def test_a_lost_race_is_tried_again_behind_the_winner(world, monkeypatch):
    rival = world.with_key("rival")
    append = world.registry.append
    raced = []

    def append_late(name, sequence, data):
        if not raced:
            raced.append(True)
            monkeypatch.setattr(world.registry, "append", append)
            world.publish("demo@9.9.9", "the winner", key=rival)
        return append(name, sequence, data)

    monkeypatch.setattr(world.registry, "append", append_late)
    published = world.publish("demo@1.0.0", "the loser")
    assert published.entry["sequence"] == 2
    assert published.entry["previous"] == digest.of_bytes(world.registry.entries("demo").entries[1])
    assert audit(world.registry, trust=world.trust, check=check).verdict == "ok"


def test_a_lost_race_for_the_same_version_is_refused(world, monkeypatch):
    append = world.registry.append

    def append_late(name, sequence, data):
        monkeypatch.setattr(world.registry, "append", append)
        world.publish("demo@1.0.0", "the winner")
        return append(name, sequence, data)

    monkeypatch.setattr(world.registry, "append", append_late)
    with pytest.raises(Refused) as caught:
        world.publish("demo@1.0.0", "the loser")
    assert caught.value.code == "E_VERSION_TAKEN"


def test_a_source_that_is_no_file_could_not_be_read(world):
    world.publish("demo@1.0.0", "one")
    os.mkfifo(world.folder / "pipe")
    for name in ("none", "pipe", "registry"):
        with pytest.raises(Unreadable) as caught:
            world.publish("demo@1.1.0", source=world.folder / name)
        assert caught.value.code in ("E_CANNOT_READ", "E_FILE_MISSING")
