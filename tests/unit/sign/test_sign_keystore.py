import pytest

from kolm.errors import Denied, Refused, Unreadable, Usage
from kolm.sign import private_keys
from kolm.sign.keystore import KeyStore


@pytest.fixture
def store(tmp_path):
    return KeyStore(tmp_path / "keys")


def _nobody(_name):
    return None


def test_a_key_is_written_for_its_owner_only_and_read_back(store):
    key = private_keys.generate()
    path = store.create("default", key, None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert store.load("default", _nobody).public == key.public
    assert store.public("default") == key.public
    assert store.names() == ["default"]


def test_an_existing_key_is_never_overwritten(store):
    first = private_keys.generate()
    store.create("default", first, None)
    with pytest.raises(Usage) as caught:
        store.create("default", private_keys.generate(), None)
    assert caught.value.code == "E_KEY_EXISTS"
    assert store.load("default", _nobody).public == first.public
    assert store.public("default") == first.public
    assert sorted(p.name for p in store.folder.iterdir()) == ["default.pem", "default.pub.pem"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_touch_is_refused_with_the_remedy(store, mode):
    path = store.create("default", private_keys.generate(), None)
    path.chmod(mode)
    with pytest.raises(Denied) as caught:
        store.load("default", _nobody)
    assert caught.value.code == "E_KEY_MODE"
    assert f"chmod 600 {path}" in caught.value.hint


def test_a_link_is_not_followed(store, tmp_path):
    real = store.create("real", private_keys.generate(), None)
    store.path("link").symlink_to(real)
    with pytest.raises(Unreadable) as caught:
        store.load("link", _nobody)
    assert caught.value.code == "E_LINK"


def test_a_folder_or_a_huge_file_is_not_a_key(store):
    store.create("default", private_keys.generate(), None)
    store.path("folder").mkdir(mode=0o700)
    big = store.path("big")
    big.write_bytes(b"x" * 100_000)
    big.chmod(0o600)
    for name in ("folder", "big"):
        with pytest.raises((Refused, Unreadable)) as caught:
            store.load(name, _nobody)
        assert caught.value.code in ("E_KEY_FORM", "E_KEY_MISSING")


def test_the_passphrase_is_asked_for_only_when_it_is_needed(store):
    asked = []

    def ask(name):
        asked.append(name)
        return "secret"

    store.create("plain", private_keys.generate(), None)
    store.create("locked", private_keys.generate(), "secret")
    store.load("plain", ask)
    assert asked == []
    store.load("locked", ask)
    assert asked == ["locked"]


def test_without_anybody_to_ask_an_encrypted_key_stays_closed(store):
    store.create("locked", private_keys.generate(), "secret")
    with pytest.raises(Denied) as caught:
        store.load("locked", _nobody)
    assert caught.value.code == "E_KEY_PASSPHRASE"


@pytest.mark.parametrize("name", ["", "../x", "A", ".hidden", "a/b", "a.pub", "x" * 81])
def test_a_name_that_is_not_one_is_a_usage_error(store, name):
    with pytest.raises(Usage) as caught:
        store.create(name, private_keys.generate(), None)
    assert caught.value.code == "E_KEY_NAME"


def test_a_missing_key_could_not_be_read(store):
    for act in (lambda: store.load("none", _nobody), lambda: store.public("none")):
        with pytest.raises(Unreadable) as caught:
            act()
        assert caught.value.code == "E_KEY_MISSING"


def test_the_signing_key_is_the_named_the_only_or_the_default_one(store):
    with pytest.raises(Unreadable):
        store.choose(None)
    store.create("work", private_keys.generate(), None)
    assert store.choose(None) == "work"
    store.create("home", private_keys.generate(), None)
    with pytest.raises(Usage) as caught:
        store.choose(None)
    assert caught.value.code == "E_KEY_AMBIGUOUS"
    store.create("default", private_keys.generate(), None)
    assert store.choose(None) == "default"
    assert store.choose("home") == "home"
    with pytest.raises(Unreadable):
        store.choose("nobody")


def test_a_replaced_key_is_gone(store):
    old, new = private_keys.generate(), private_keys.generate("p256")
    store.create("default", old, None)
    with store.replacing("default", new, None):
        assert store.load("default", _nobody).public == old.public
    assert store.load("default", _nobody).public == new.public
    assert store.public("default") == new.public
    assert store.path("default").stat().st_mode & 0o777 == 0o600
    assert store.names() == ["default"]
    with pytest.raises(Unreadable), store.replacing("none", new, None):
        pass


def test_a_key_that_could_not_be_replaced_stays_as_it_was(store):
    old, new = private_keys.generate(), private_keys.generate()
    store.create("default", old, None)
    before = sorted(store.folder.iterdir())
    with pytest.raises(Unreadable), store.replacing("default", new, None):
        raise Unreadable("E_TEST", "no room")
    assert store.load("default", _nobody).public == store.public("default") == old.public
    assert sorted(store.folder.iterdir()) == before


def test_a_private_half_alone_has_its_public_one_inside(store):
    key = private_keys.generate()
    store.create("default", key, None)
    (store.folder / "default.pub.pem").unlink()
    assert store.public("default") == key.public
