import pytest

from kolm import digest
from kolm.bundle.cid import cid_of
from kolm.errors import Refused, Unreadable, Usage
from kolm.events import Silent
from kolm.registry.check import Passed
from kolm.registry.entries import seal_entry
from kolm.registry.history import read_history
from kolm.registry.pull import pull
from kolm.registry.references import parse_reference
from kolm.registry.resolve import resolve
from kolm.registry.versions import parse_version
from kolm.sign import private_keys, trust_changes
from kolm.sign.trust import Revocation, TrustStore
from tests.support.registries import World, check


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.publish("demo@1.0.0", "one")
    world.publish("demo@1.10.0", "ten")
    world.publish("demo@1.9.0", "nine")
    world.publish("demo@2.0.0-rc.1", "candidate")
    world.publish("demo/sub@0.1.0", "sub")
    return world


def _resolve(world, text, trust=None):
    return resolve(world.registry, parse_reference(text), trust or world.trust)


def _pull(world, text, *, target="out.kolm", **options):
    return pull(
        world.registry,
        parse_reference(text),
        trust=world.trust,
        check=check,
        target=world.folder / target,
        **options,
    )


@pytest.mark.parametrize(
    ("text", "bundle"),
    [
        ("demo", b"ten"),
        ("demo@1.9.0", b"nine"),
        ("demo@1.9.0+any", b"nine"),
        ("demo@2.0.0-rc.1", b"candidate"),
        ("demo/sub", b"sub"),
        (f"demo@{digest.of_bytes(b'one')}", b"one"),
        (f"demo@{cid_of(digest.of_bytes(b'one'))}", b"one"),
        (digest.of_bytes(b"sub"), b"sub"),
        (cid_of(digest.of_bytes(b"sub")), b"sub"),
    ],
)
def test_every_form_of_reference_finds_its_bundle(world, text, bundle):
    assert _resolve(world, text).entry["bundle"] == digest.of_bytes(bundle)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("demo@3.0.0", "demo@2.0.0-rc.1"),
        ("dem", "demo"),
        (f"demo@{digest.of_bytes(b'sub')}", "demo@"),
        (digest.of_bytes(b"none"), "list"),
    ],
)
def test_what_is_not_there_could_not_be_found_and_says_what_is_near(world, text, hint):
    with pytest.raises(Unreadable) as caught:
        _resolve(world, text)
    assert caught.value.code == "E_REFERENCE_UNKNOWN"
    assert hint in caught.value.hint


def test_a_damaged_name_hides_no_bundle_of_another_name(world):
    for name in ("aaa", "zzz"):
        (world.folder / "registry" / "entries" / name).mkdir()
        (world.folder / "registry" / "entries" / name / "000001.json").write_bytes(b"garbage")
    wanted = digest.of_bytes(b"sub")
    assert _resolve(world, wanted).entry["bundle"] == wanted
    assert _resolve(world, "demo").entry["bundle"] == digest.of_bytes(b"ten")
    with pytest.raises(Refused) as caught:
        _resolve(world, digest.of_bytes(b"none"))  # it may stand where nobody can read
    assert caught.value.where == "aaa entry 1"
    with pytest.raises(Refused):
        _resolve(world, "zzz")


def test_a_name_with_pre_releases_only_has_to_be_named_with_its_version(world):
    world.publish("new@1.0.0-beta", "beta")
    with pytest.raises(Unreadable) as caught:
        _resolve(world, "new")
    assert "new@1.0.0-beta" in caught.value.hint


def test_of_several_entries_of_a_version_the_last_counts(world):
    world.publish("demo@1.10.0", "ten\na claim")
    assert _resolve(world, "demo").entry["file"]["size"] == len("ten\na claim")


def test_the_reason_why_an_entry_does_not_count_is_told(world):
    with pytest.raises(Unreadable) as caught:
        _resolve(world, "demo", TrustStore())
    assert caught.value.code == "E_KEY_NOT_TRUSTED"
    gone = Revocation(on="2026-01-01T00:00:00Z", reason="stolen")
    with pytest.raises(Refused) as caught:
        _resolve(world, "demo", trust_changes.revoking(world.trust, world.key.public.keyid, gone))
    assert caught.value.code == "E_KEY_REVOKED"


def test_a_pulled_file_has_the_published_bytes(world):
    pulled = _pull(world, "demo@1.0.0")
    assert pulled.path.read_bytes() == b"one"
    assert pulled.signed.entry["version"] == "1.0.0"
    assert [p.name for p in world.folder.iterdir() if p.name.startswith(".")] == []


def test_the_default_file_name_tells_name_and_version(world, monkeypatch):
    monkeypatch.chdir(world.folder)
    pulled = pull(
        world.registry,
        parse_reference("demo/sub"),
        trust=world.trust,
        check=check,
    )
    assert pulled.path.name == "demo-sub-0.1.0.kolm"


def test_an_existing_file_is_kept_unless_it_may_be_replaced(world):
    (world.folder / "out.kolm").write_text("mine")
    with pytest.raises(Usage) as caught:
        _pull(world, "demo")
    assert caught.value.code == "E_TARGET_EXISTS"
    assert (world.folder / "out.kolm").read_text() == "mine"
    _pull(world, "demo", replace=True)
    assert (world.folder / "out.kolm").read_text() == "ten"


def _damage(world, text, data):
    signed = _resolve(world, text)
    world.registry.path_of(signed.entry["file"]["digest"]).write_bytes(data)


def _nothing_written(world):
    return not (world.folder / "out.kolm").exists() and not list(world.folder.glob(".staged*"))


@pytest.mark.parametrize("data", [b"one+", b"", b"onf"])
def test_other_bytes_than_the_entry_names_are_refused(world, data):
    _damage(world, "demo@1.0.0", data)
    with pytest.raises(Refused) as caught:
        _pull(world, "demo@1.0.0")
    assert caught.value.code == "E_BLOB_DIGEST"
    assert _nothing_written(world)


def test_a_missing_file_could_not_be_read(world):
    world.registry.path_of(_resolve(world, "demo").entry["file"]["digest"]).unlink()
    with pytest.raises(Unreadable) as caught:
        _pull(world, "demo")
    assert caught.value.code == "E_BLOB_MISSING"
    assert _nothing_written(world)


def test_a_bundle_that_no_longer_verifies_is_not_written(world):
    def refuse(path):
        raise Refused("E_TEST_BAD", "no", where=str(path))

    with pytest.raises(Refused) as caught:
        pull(
            world.registry,
            parse_reference("demo"),
            trust=world.trust,
            check=refuse,
            target=world.folder / "out.kolm",
        )
    assert caught.value.code == "E_TEST_BAD"
    assert _nothing_written(world)


def test_a_file_with_another_bundle_than_the_entry_names_is_refused(world):
    with pytest.raises(Refused) as caught:
        pull(
            world.registry,
            parse_reference("demo"),
            trust=world.trust,
            check=lambda _: Passed(digest.of_bytes(b"another"), frozenset()),
            target=world.folder / "out.kolm",
        )
    assert caught.value.code == "E_ENTRY_BUNDLE"
    assert _nothing_written(world)


def test_a_rename_of_one_name_to_another_is_refused(world):
    # Whoever can write to the folder copies the history of one name to another.
    entries = world.folder / "registry" / "entries"
    (entries / "famous").mkdir()
    (entries / "famous" / "000001.json").write_bytes(
        (entries / "demo" / "000001.json").read_bytes()
    )
    with pytest.raises(Refused) as caught:
        _pull(world, "famous")
    assert caught.value.code == "E_ENTRY_PLACE"


def test_an_entry_by_a_stranger_is_not_followed(world):
    stranger = private_keys.generate()
    theirs = TrustStore((*world.trust.keys, world.trusted("mallory", stranger)))
    world.publish("demo@3.0.0", "evil", key=stranger, trust=theirs)
    assert _resolve(world, "demo").entry["version"] == "1.10.0"
    with pytest.raises(Unreadable) as caught:
        _pull(world, "demo@3.0.0")
    assert caught.value.code == "E_KEY_NOT_TRUSTED"


def test_a_file_without_an_end_is_not_copied_to_its_end(world):
    signed = _resolve(world, "demo@1.9.0")
    blob = world.registry.path_of(signed.entry["file"]["digest"])
    with blob.open("r+b") as stream:
        stream.truncate(1 << 30)  # a hole: it takes no room there, and all of it when copied
    with pytest.raises(Refused) as refused:
        _pull(world, "demo@1.9.0")
    assert refused.value.code == "E_BLOB_DIGEST"
    assert not list(world.folder.glob(".staged-*"))
    assert not (world.folder / "out.kolm").exists()


def _append(world, state, version="1.10.0"):
    """What a later kolm writes: the same bundle again, in another state."""
    history = read_history(world.registry.entries("demo"), name="demo", trust=world.trust)
    last = history.in_force()[parse_version(version)].entry
    sequence, previous = history.next_place()
    changed = {**last, "state": state, "sequence": sequence, "previous": previous}
    assert world.registry.append("demo", sequence, seal_entry(changed, world.key))


class Told(Silent):
    def __init__(self):
        self.warnings = []

    def warned(self, message):
        self.warnings.append(message)


def test_a_yanked_version_is_passed_by_and_handed_out_by_name_with_a_warning(world):
    _append(world, "yanked")
    assert str(_resolve(world, "demo").version) == "1.9.0"
    told = Told()
    pulled = _pull(world, "demo@1.10.0", reporter=told)
    assert pulled.path.read_bytes() == b"ten"
    assert "yanked" in told.warnings[0]
    _append(world, "active")
    assert str(_resolve(world, "demo").version) == "1.10.0"


def test_a_withdrawn_version_is_not_handed_out_and_does_not_come_back(world):
    _append(world, "withdrawn")
    assert str(_resolve(world, "demo").version) == "1.9.0"
    for again in (False, True):
        if again:
            _append(world, "active")
        for text in ("demo@1.10.0", f"demo@{digest.of_bytes(b'ten')}"):
            with pytest.raises(Refused) as caught:
                _pull(world, text)
            assert caught.value.code == "E_VERSION_WITHDRAWN"
        with pytest.raises(Refused) as caught:
            world.publish("demo@1.10.0", "ten")
        assert caught.value.code == "E_VERSION_WITHDRAWN"
    assert _nothing_written(world)


def test_a_state_of_a_later_kolm_is_not_handed_out(world):
    _append(world, "quarantined")
    assert str(_resolve(world, "demo").version) == "1.9.0"
    with pytest.raises(Unreadable) as caught:
        _pull(world, "demo@1.10.0")
    assert caught.value.code == "E_ENTRY_STATE"


def test_a_version_that_grows_stays_yanked(world):
    _append(world, "yanked")
    world.publish("demo@1.10.0", "ten\na claim")
    assert str(_resolve(world, "demo").version) == "1.9.0"


def test_damage_beside_the_answer_is_told_and_changes_nothing(world):
    world.registry.append("demo", 5, b"{}")
    told = Told()
    assert _pull(world, "demo", reporter=told).path.read_bytes() == b"ten"
    assert len(told.warnings) == 1
    assert "demo entry 5" in told.warnings[0]


def test_strangers_versions_are_hinted_at_last(world):
    stranger = private_keys.generate()
    theirs = TrustStore((world.trusted("mallory", stranger),))
    for number in range(6):
        world.publish(f"demo@9{number}.0.0", "evil", key=stranger, trust=theirs)
    with pytest.raises(Unreadable) as caught:
        _resolve(world, "demo@3.0.0")
    assert "demo@1.10.0" in caught.value.hint
