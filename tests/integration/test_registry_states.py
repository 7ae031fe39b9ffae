"""States of a training beside its bundle in a registry: published, audited, found by a replay."""

import os

import pytest

from kolm import digest
from kolm.actions.states import all_states, states_in
from kolm.bundle.container import open_container
from kolm.bundle.documents import Documents
from kolm.errors import Unreadable
from kolm.records.verification import Verdict
from kolm.registry import audit
from kolm.sign.keystore import KeyStore
from tests.support.audits import World
from tests.support.bundles import make_parts
from tests.support.commands import invoke
from tests.support.replaying import replaying


@pytest.fixture
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KOLM_KEY_PASSPHRASE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert invoke("keys", "new").code == 0
    assert invoke("registry", "init", "registry").code == 0
    return KeyStore(tmp_path / "home" / "keys").load("default", lambda _: None)


@pytest.fixture
def parts(tmp_path):
    """Of a bundle that says that a registry keeps its states, which lie in a folder."""
    parts = make_parts(tmp_path)
    parts.publish_checkpoints()
    (tmp_path / "states").mkdir()
    for name in [n for n in parts.overrides if n.startswith("checkpoint-")]:
        (tmp_path / "states" / name).write_bytes(parts.overrides.pop(name))
    parts.lock["publish"]["checkpoints"] = "registry"
    return parts


def publish(*words):
    return invoke("registry", "publish", "toy.kolm", "toy@1.0.0", "--registry", "registry", *words)


def blobs(folder):
    return {path.name for path in (folder / "registry" / "blobs" / "sha256").iterdir()}


def test_a_registry_keeps_what_the_bundle_promises_and_says_so(tmp_path, key, parts):
    parts.seal(tmp_path / "toy.kolm", key=key)
    refused = publish()
    assert refused.code == 2
    assert "E_PUBLISH_STATES" in refused.stderr
    assert not blobs(tmp_path)
    assert publish("--states", "states").code == 0
    states = {
        digest.hex_of(digest.of_bytes(p.read_bytes())) for p in (tmp_path / "states").iterdir()
    }
    assert states < blobs(tmp_path)
    verified = invoke("registry", "verify", "--registry", "registry", "--json")
    assert verified.code == 0, verified.stdout
    assert verified.document()["orphans"] == []
    (tmp_path / "registry" / "blobs" / "sha256" / min(states)).unlink()
    assert invoke("registry", "verify", "--registry", "registry").code != 0
    assert publish("--states", "states").code == 0  # heals it
    assert invoke("registry", "verify", "--registry", "registry").code == 0


def test_no_more_of_a_state_is_read_than_it_can_have(tmp_path, key, parts, monkeypatch):
    parts.seal(tmp_path / "toy.kolm", key=key)
    assert publish("--states", "states").code == 0
    tensors = min((tmp_path / "states").glob("*.safetensors")).read_bytes()
    blob = tmp_path / "registry" / "blobs" / "sha256" / digest.hex_of(digest.of_bytes(tensors))
    os.truncate(blob, 1 << 40)  # which takes no room

    class Short(digest.Hasher):
        def update(self, data):
            super().update(data)
            assert self.size_bytes < 1 << 28

    monkeypatch.setattr(audit, "Hasher", Short)
    ran = invoke("registry", "verify", "--registry", "registry", "--json")
    assert ran.code == 3
    assert [one["code"] for one in ran.document()["problems"]] == ["E_STATE_ANOTHER"]


def test_states_of_another_training_are_not_published(tmp_path, key, parts):
    parts.seal(tmp_path / "toy.kolm", key=key)
    path = max((tmp_path / "states").glob("*.safetensors"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert publish("--states", "states").code == 3
    path.unlink()
    assert publish("--states", "states").code == 3
    assert not (tmp_path / "registry" / "entries" / "toy").exists()


def test_a_replay_finds_its_states_in_the_registry(tmp_path, key, parts):
    parts.seal(tmp_path / "toy.kolm", key=key)
    assert publish("--states", "states").code == 0
    world = World.make(tmp_path / "world")
    container = open_container(tmp_path / "toy.kolm")
    states = states_in([tmp_path / "registry"], container)
    request = replaying(parts, states=states)
    answers = world.look(tmp_path / "toy.kolm", base=parts.base, replay=request)
    assert answers["V51"].verdict is answers["V53"].verdict is Verdict.OK


def test_a_state_that_is_missing_is_named(tmp_path, key, parts):
    path = parts.seal(tmp_path / "toy.kolm", key=key)
    (tmp_path / "states" / "checkpoint-00000002.json").unlink()
    with pytest.raises(Unreadable) as caught:
        list(all_states(Documents.of(open_container(path)), tmp_path / "states"))
    assert caught.value.code == "E_STATES_MISSING"
    assert "checkpoint-00000002" in caught.value.expected
