import pytest

from kolm import digest
from kolm.errors import Denied
from kolm.registry.audit import audit
from kolm.registry.catalog import browse, listing_to_document
from kolm.registry.check import Passed
from kolm.sign import private_keys
from kolm.sign.trust import TrustStore
from tests.support.registries import World, check


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.publish("demo@1.0.0", "one")
    world.publish("demo@1.1.0", "two")
    world.publish("other@1.0.0", "three")
    return world


def _audit(world, trust=None):
    return audit(world.registry, trust=trust or world.trust, check=check)


def _codes(found):
    return [problem.code for problem in found.problems]


def _entry(world, name, number):
    return world.folder / "registry" / "entries" / name / f"{number:06d}.json"


def _blob(world, content):
    return world.registry.path_of(digest.of_bytes(content))


def test_a_sound_registry_passes(world):
    found = _audit(world)
    assert found.verdict == "ok"
    assert (found.names, found.entries, found.bundles) == (2, 3, 3)
    assert found.orphans == []


def test_every_flipped_byte_of_an_entry_is_found(world):
    path = _entry(world, "demo", 1)
    original = path.read_bytes()
    for place in range(0, len(original), 7):
        damaged = bytearray(original)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert _audit(world).verdict != "ok", place
    path.write_bytes(original)
    assert _audit(world).verdict == "ok"


def test_all_problems_are_found_at_once(world):
    _blob(world, b"one").write_bytes(b"onf")
    _blob(world, b"three").unlink()
    _entry(world, "demo", 2).write_bytes(b"{}")
    found = _audit(world)
    assert found.verdict == "failed"
    assert sorted(_codes(found)) == ["E_BLOB_DIGEST", "E_BLOB_MISSING", "E_SCHEMA"]


def test_a_removed_entry_is_found_unless_it_was_the_last(world):
    _entry(world, "demo", 1).unlink()
    assert _codes(_audit(world)) == ["E_ENTRY_GAP", "E_ENTRY_CHAIN"]


def test_only_what_could_not_be_looked_at_is_not_a_no(world):
    found = _audit(world, TrustStore())
    assert found.verdict == "could_not_look"
    assert set(_codes(found)) == {"E_KEY_NOT_TRUSTED"}


def test_a_version_that_was_moved_is_found(world):
    # The trusted key itself breaks the rule, with a publisher that does not check.

    from kolm.registry.entries import seal_entry
    from kolm.registry.history import read_history

    stored = world.registry.entries("demo")
    last = read_history(stored, name="demo", trust=world.trust).entries[-1]
    moved = {**last.entry, "version": "1.0.0", "sequence": 3, "previous": last.digest}
    world.registry.append("demo", 3, seal_entry(moved, world.key))
    assert _codes(_audit(world)) == ["E_ENTRY_VERSION_MOVED"]


def test_what_a_killed_publisher_leaves_is_no_error(world):
    (world.folder / "registry/blobs/sha256" / ("0" * 64)).write_bytes(b"orphan")
    (world.folder / "registry/tmp/.entry-dead").write_text("half")
    found = _audit(world)
    assert found.verdict == "ok"
    assert found.orphans == ["sha256:" + "0" * 64]


def test_names_are_listed_with_their_versions_highest_first(world):
    listings = browse(world.registry, world.trust)
    assert [(x.name, [str(s.version) for s in x.versions]) for x in listings] == [
        ("demo", ["1.1.0", "1.0.0"]),
        ("other", ["1.0.0"]),
    ]


def test_a_search_finds_names_that_contain_all_words(world):
    world.publish("demo/easy-vqa@1.0.0", "four")
    found = browse(world.registry, world.trust, words=("DEMO", "vqa"))
    assert [listing.name for listing in found] == ["demo/easy-vqa"]
    assert browse(world.registry, world.trust, words=("nothing",)) == []


def test_a_damaged_entry_hides_neither_others_nor_other_names(world):
    _entry(world, "demo", 1).write_bytes(b"{}")
    demo, other = browse(world.registry, world.trust)
    assert [problem.code for problem in demo.problems] == ["E_SCHEMA", "E_ENTRY_CHAIN"]
    assert listing_to_document(demo)["problems"][0]["code"] == "E_SCHEMA"
    assert [str(s.version) for s in demo.versions] == ["1.1.0"]
    assert [str(s.version) for s in other.versions] == ["1.0.0"]


def test_a_listing_says_which_entries_do_not_count(world):
    stranger = private_keys.generate()
    theirs = TrustStore((*world.trust.keys, world.trusted("mallory", stranger)))
    world.publish("demo@2.0.0", "evil", key=stranger, trust=theirs)
    document = listing_to_document(browse(world.registry, world.trust)[0])
    first, _, last = document["versions"]
    assert (last["version"], last["counts"]) == ("2.0.0", False)
    assert last["objection"]["code"] == "E_KEY_NOT_TRUSTED"
    assert (first["version"], first["counts"], first["signer"]) == ("1.1.0", True, "alice")


def test_build_metadata_makes_no_second_version(world):
    world.publish("demo@1.1.0+again", "two\na claim")
    demo, _ = browse(world.registry, world.trust)
    assert [str(s.version) for s in demo.versions] == ["1.1.0+again", "1.0.0"]


def test_what_has_no_place_in_a_registry_is_found(world):
    (world.folder / "registry/entries/demo/notes.txt").write_text("x")
    found = _audit(world)
    assert (found.verdict, _codes(found)) == ("failed", ["E_REGISTRY_STRAY"])


def test_what_the_system_does_not_let_us_read_is_no_verdict(world, monkeypatch):
    from kolm.registry import audit as auditing

    def denied(*_):
        raise Denied("E_PERMISSION", "not permitted")

    monkeypatch.setattr(auditing, "fetch", denied)
    assert _audit(world).verdict == "could_not_look"


def test_a_file_with_other_claims_than_its_entry_names_is_found(world):
    without_claims = Passed(digest.of_bytes(b"one"), frozenset())
    world.publish("demo@3.0.0", "one\nmine", check=lambda _: without_claims)
    assert _codes(_audit(world)) == ["E_ENTRY_CLAIMS"]
