"""`kolm registry` with real bundles and the real verifier."""

import re
import shutil

import pytest

from kolm import canonical, digest
from kolm.bundle.reader import Bundle
from kolm.cli.registry_text import audit_text, listings_text
from kolm.registry.backends.directory import Directory
from kolm.registry.entries import seal_entry
from kolm.sign import making, predicates, private_keys
from kolm.sign.keystore import KeyStore
from tests.support.bundles import make_parts
from tests.support.commands import invoke
from tests.support.mounts import read_only


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KOLM_KEY_PASSPHRASE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert invoke("keys", "new").code == 0
    return tmp_path / "home"


@pytest.fixture
def key(home):
    return KeyStore(home / "keys").load("default", lambda _: None)


@pytest.fixture
def parts(tmp_path):
    return make_parts(tmp_path)


@pytest.fixture
def bundle(tmp_path, parts, key):
    return parts.seal(tmp_path / "toy.kolm", key=key)


@pytest.fixture
def registry(home, tmp_path):
    assert invoke("registry", "init", "registry").code == 0
    return tmp_path / "registry"


def _document(*arguments, code=0):
    ran = invoke(*arguments, "--json")
    assert ran.code == code, ran.stderr + ran.stdout
    return ran.document()


def _problem(*arguments, code):
    ran = invoke(*arguments, "--json")
    assert ran.code == code, ran.stderr + ran.stdout
    # A "no" is an answer and stands on stdout; what could not be answered stands on stderr.
    return ran.document()["error"] if code == 1 else ran.error()


def _error(*arguments, code):
    return _problem(*arguments, code=code)["code"]


def test_a_bundle_is_published_listed_shown_pulled_and_checked(registry, bundle, tmp_path):
    published = _document("registry", "publish", bundle, "demo/toy@1.0.0")
    opened = Bundle.open(bundle)
    assert published["new"]
    assert (published["content_id"], published["cid"]) == (opened.content_id, opened.cid)
    assert not _document("push", bundle, "demo/toy@1.0.0")["new"]

    (listing,) = _document("registry", "list")["names"]
    assert (listing["name"], len(listing["versions"])) == ("demo/toy", 1)
    assert _document("registry", "search", "toy")["names"] == [listing]
    assert _document("registry", "search", "nothing", code=1)["names"] == []

    shown = _document("registry", "show", "demo/toy")
    assert shown["receipt"] == opened.receipt
    assert shown["evaluation"] == opened.document("evaluation.json")
    (score,) = shown["kscores"]
    assert (score["key"], score["signer"]) == (shown["entry"]["key"], "default")
    told = invoke("registry", "show", opened.cid).stdout
    assert f"measured by key {score['key'][:16]} (default)" in told

    for reference in ("demo/toy", "demo/toy@1.0.0", opened.cid, opened.content_id):
        _document("registry", "pull", reference, "-o", "pulled.kolm", "--force")
        assert (tmp_path / "pulled.kolm").read_bytes() == bundle.read_bytes()
    pulled = _document("pull", "demo/toy")
    assert pulled["path"] == "demo-toy-1.0.0.kolm"

    checked = _document("registry", "verify")
    assert (checked["verdict"], checked["bundles"]) == ("ok", 1)


def test_texts_for_people_name_what_matters(registry, bundle):
    assert "published" in invoke("registry", "publish", bundle, "toy@1.0.0").stdout
    assert "already" in invoke("registry", "publish", bundle, "toy@1.0.0").stdout
    assert re.search(r"by key [0-9a-f]{16} \(default\)", invoke("registry", "list").stdout)
    assert "toy@1.0.0" in invoke("registry", "list", "toy").stdout
    assert "1 bundle" in invoke("registry", "verify").stdout


def test_an_unsigned_bundle_is_not_published(registry, parts, tmp_path):
    bare = parts.seal(tmp_path / "bare.kolm")
    assert _error("registry", "publish", bare, "toy@1.0.0", code=1) == "E_BUNDLE_NOT_VERIFIED"
    assert _document("registry", "list")["names"] == []


def test_a_forged_bundle_is_not_published(registry, parts, key, tmp_path):
    parts.evaluation["covered"] = 1
    forged = parts.seal(tmp_path / "forged.kolm", key=key)
    problem = _problem("registry", "publish", forged, "toy@1.0.0", code=1)
    assert problem["code"] == "E_BUNDLE_NOT_VERIFIED"
    assert "V3" in problem["found"]
    assert str(forged) in problem["where"]


def test_what_is_no_bundle_could_not_be_looked_at(registry, tmp_path):
    (tmp_path / "text.kolm").write_text("hello")
    assert _error("registry", "publish", "text.kolm", "toy@1.0.0", code=3) == "E_NOT_A_BUNDLE"


def test_another_bundle_under_a_published_version_is_refused(
    registry, bundle, parts, key, tmp_path
):
    _document("registry", "publish", bundle, "toy@1.0.0")
    parts.lock["nonce"] = "1" * 64
    other = parts.seal(tmp_path / "other.kolm", key=key)
    assert _error("registry", "publish", other, "toy@1.0.0", code=1) == "E_VERSION_TAKEN"
    assert _document("registry", "publish", other, "toy@1.1.0")["sequence"] == 2


def test_a_countersigned_bundle_updates_its_version(registry, bundle, parts, key, tmp_path):
    _document("registry", "publish", bundle, "toy@1.0.0")
    assert invoke("keys", "new", "--name", "second").code == 0
    second = KeyStore(tmp_path / "home" / "keys").load("second", lambda _: None)
    both = parts.seal(
        tmp_path / "both.kolm", claims=[*Bundle.open(bundle).claims, *parts.claims(second)]
    )
    published = _document("registry", "publish", both, "toy@1.0.0", "--key", "default")
    assert (published["new"], published["sequence"]) == (True, 2)
    assert (
        _error("registry", "publish", bundle, "toy@1.0.0", "--key", "default", code=1)
        == "E_CLAIMS_LOST"
    )
    assert _document("registry", "verify")["verdict"] == "ok"


def test_a_reader_without_trust_could_not_look(registry, bundle, tmp_path, monkeypatch):
    _document("registry", "publish", bundle, "toy@1.0.0")
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "reader"))
    assert _error("registry", "pull", "toy", "-o", "x.kolm", code=3) == "E_KEY_NOT_TRUSTED"
    assert not (tmp_path / "x.kolm").exists()
    assert _document("registry", "verify", code=3)["verdict"] == "could_not_look"
    listed = invoke("registry", "list").stdout
    assert "NOT BELIEVED" in listed
    assert listed.count("hint      if you know whose key it is") == 1


def test_a_url_is_no_registry():
    ran = invoke("registry", "list", "--registry", "https://example.org/r", "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_REGISTRY_URL")


def test_after_a_revocation_nothing_of_the_key_is_handed_out(registry, bundle):
    _document("registry", "publish", bundle, "toy@1.0.0")
    assert invoke("keys", "revoke", "default", "--yes").code == 0
    assert _error("registry", "pull", "toy", code=1) == "E_KEY_REVOKED"
    assert _document("registry", "verify", code=1)["verdict"] == "failed"


def test_a_flipped_byte_in_the_registry_is_caught(registry, bundle, tmp_path):
    published = _document("registry", "publish", bundle, "toy@1.0.0")
    blob = registry / "blobs" / "sha256" / published["file"].removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    assert _error("registry", "pull", "toy", code=1) == "E_BLOB_DIGEST"
    assert _document("registry", "verify", code=1)["verdict"] == "failed"
    assert not (tmp_path / "toy-1.0.0.kolm").exists()


def test_a_damaged_name_is_listed_as_damaged(registry, bundle):
    _document("registry", "publish", bundle, "toy@1.0.0")
    _document("registry", "publish", bundle, "other@1.0.0")
    (registry / "entries" / "toy" / "000001.json").write_text("{}")
    listed = invoke("registry", "list").stdout
    assert "DAMAGED" in listed
    assert "other@1.0.0" in listed
    checked = invoke("registry", "verify")
    assert checked.code == 1
    assert "E_SCHEMA" in checked.stdout


def test_show_leaves_out_the_scores_of_who_is_no_evaluator(registry, bundle, tmp_path, monkeypatch):
    _document("registry", "publish", bundle, "toy@1.0.0")
    assert invoke("keys", "export", "-o", "publisher.pem").code == 0
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "reader"))
    role = ("--role", "publisher", "--names", "toy")
    assert invoke("keys", "trust", "publisher.pem", "--as", "p", *role).code == 0
    shown = _document("registry", "show", "toy")
    assert (shown["kscores"], shown["claims_not_believed"]) == ([], 1)
    assert "no K-score" in invoke("registry", "show", "toy").stdout


def test_a_list_says_how_many_other_versions_a_name_has_and_what_shows_them(registry, bundle):
    for version in ("1.0.0", "1.1.0"):
        _document("registry", "publish", bundle, f"toy@{version}")
    told = invoke("registry", "list").stdout
    assert "toy@1.1.0" in told
    assert "toy@1.0.0" not in told
    more, again = told.splitlines()[-1].split(": ")
    assert more == "    and 1 other version"
    assert "toy@1.0.0" in invoke(*again.split()[1:]).stdout
    assert "other version" not in invoke(*again.split()[1:]).stdout


def test_an_encrypted_key_publishes_with_its_passphrase(registry, bundle, monkeypatch):
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "correct horse")
    assert invoke("keys", "new", "--name", "locked").code == 0
    signed = ("registry", "publish", bundle, "toy@1.0.0", "--key", "locked")
    assert _document(*signed)["new"]
    monkeypatch.delenv("KOLM_KEY_PASSPHRASE")
    assert _error(*signed, code=2) == "E_CLI_NO_TERMINAL"
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "wrong")
    assert _error(*signed, code=4) == "E_KEY_PASSPHRASE"


def test_files_that_no_entry_names_are_mentioned_and_harm_nothing(registry):
    (registry / "blobs" / "sha256" / ("0" * 64)).write_text("orphan")
    checked = invoke("registry", "verify")
    assert checked.code == 0
    assert "1 file that no entry names" in checked.stdout


def test_readers_can_use_another_trust_file_than_their_own(
    registry, bundle, home, tmp_path, monkeypatch
):
    _document("registry", "publish", bundle, "toy@1.0.0")
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "stranger"))
    _document("registry", "verify", code=3)
    trust = ("--trust", home / "trust.json")
    assert _document("registry", "verify", *trust)["verdict"] == "ok"
    assert _document("registry", "list", "toy", *trust)["names"]
    assert _document("registry", "search", "toy", *trust)["names"]
    assert _document("registry", "show", "toy", *trust)["entry"]["version"] == "1.0.0"
    assert _document("registry", "pull", "toy", *trust)["version"] == "1.0.0"
    assert _problem("registry", "verify", "--trust", "none.json", code=3)["code"] == (
        "E_TRUST_MISSING"
    )


def test_a_policy_decides_what_is_taken(registry, bundle, tmp_path):
    (tmp_path / "strict.json").write_text(
        '{"schema":"urn:kolm:policy:v1","name":"strict","claims":[{"predicate":'
        '"urn:kolm:modules:v1","role":"builder","threshold":1}],"minimum_eval_cases":1000}'
    )
    code = _error("registry", "publish", bundle, "toy@1.0.0", "--policy", "strict.json", code=1)
    assert code == "E_BUNDLE_NOT_VERIFIED"


def test_an_existing_file_is_not_overwritten_by_a_pull(registry, bundle, tmp_path):
    _document("registry", "publish", bundle, "toy@1.0.0")
    (tmp_path / "toy-1.0.0.kolm").write_text("mine")
    assert _error("registry", "pull", "toy", code=2) == "E_TARGET_EXISTS"


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("list", "--registry", "nowhere"), 3, "E_REGISTRY_MISSING"),
        (("list", "nothing"), 3, "E_REFERENCE_UNKNOWN"),
        (("list", "Bad Name"), 2, "E_NAME_FORM"),
        (("show", "nothing"), 3, "E_REFERENCE_UNKNOWN"),
        (("pull", "toy@one"), 2, "E_VERSION_FORM"),
        (("publish", "toy.kolm", "toy"), 2, "E_REFERENCE_FORM"),
        (("init", "registry"), 2, "E_REGISTRY_EXISTS"),
    ],
)
def test_wrong_calls_end_with_their_own_codes(registry, arguments, code, error):
    assert _error("registry", *arguments, code=code) == error


def _publish_unchecked(registry, key, path, version="1.0.0", previous=None):
    """An entry and a file as a trusted publisher without kolm could put them there."""
    data = path.read_bytes()
    file = digest.of_bytes(data)
    (registry / "blobs" / "sha256" / digest.hex_of(file)).write_bytes(data)
    entry = {
        "name": "toy",
        "version": version,
        "bundle": Bundle.open(path).content_id,
        "file": {"digest": file, "size": len(data)},
        "claims": sorted(map(digest.of_bytes, Bundle.open(path).claims)),
        "previous": previous,
        "sequence": 1,
        "state": "active",
    }
    assert Directory(registry).append("toy", 1, seal_entry(entry, key))


@pytest.mark.parametrize("member", ["receipt.json", "evaluation.json"])
def test_a_bundle_whose_documents_fit_no_schema_is_not_shown(
    registry, parts, key, tmp_path, member
):
    parts.overrides[member] = b"{}"
    _publish_unchecked(registry, key, parts.seal(tmp_path / "bad.kolm"))
    assert _error("registry", "show", "toy@1.0.0", code=1) == "E_SCHEMA"


def test_what_a_bundle_says_is_shown_without_lines_of_its_own(registry, parts, key, tmp_path):
    receipt = canonical.loads(parts.receipt(), where="receipt")
    receipt["base"]["id"] = "x\n  claim      urn:kolm:verified\x1b[32m"
    parts.overrides["receipt.json"] = canonical.dumps(receipt)
    _publish_unchecked(registry, key, parts.seal(tmp_path / "bad.kolm"))
    shown = invoke("--color", "always", "registry", "show", "toy@1.0.0").stdout
    assert "urn:kolm:verified" in shown
    assert "\n  claim" not in shown
    assert "\x1b" not in shown


LINE = "x\n\x1b[32mok\x1b[0m   2 names, 2 entries, 2 bundles\r\x1b[2K"


def _forge_subject_name(registry, name):
    """A stranger's entry whose statement bears any name: what its own tools signed."""
    entry = {
        "name": "aaa",
        "version": "1.0.0",
        "bundle": digest.EMPTY,
        "file": {"digest": digest.EMPTY, "size": 1},
        "previous": None,
        "sequence": 1,
        "state": "active",
    }
    value = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest.hex_of(digest.EMPTY)}}],
        "predicateType": predicates.ENTRY,
        "predicate": entry,
    }
    sealed = making.seal(canonical.dumps(value), private_keys.generate())
    (registry / "entries" / "aaa").mkdir()
    (registry / "entries" / "aaa" / "000001.json").write_bytes(sealed)


def test_a_stranger_s_entry_writes_no_line_into_the_audit(registry, bundle):
    _forge_subject_name(registry, LINE)
    problem, *_ = _document("registry", "verify", code=1)["problems"]
    assert problem["code"] == "E_SCHEMA"
    said = invoke("--color", "always", "registry", "verify").stdout
    assert not any(line.startswith(("ok", "\x1b[32mok")) for line in said.splitlines())


def test_no_text_of_a_problem_begins_a_line_or_has_a_colour():
    problem = {
        part: LINE + part for part in ("code", "message", "where", "expected", "found", "hint")
    }
    found = {"names": 1, "entries": 0, "bundles": 0, "orphans": [], "problems": [problem]}
    lines = audit_text(found, "failed").split("\n")
    assert len(lines) == 5
    assert all(line.startswith("  ") for line in lines[1:])
    assert all(line.isprintable() for line in lines)
    listing = {"name": "toy", "versions": [], "problems": [problem]}
    assert listings_text([listing], every_version=True, registry="r").isprintable()


def test_a_damaged_name_does_not_stop_a_pull_by_content_id(registry, bundle):
    _document("registry", "publish", bundle, "toy@1.0.0")
    for name in ("aaa", "zzz"):
        (registry / "entries" / name).mkdir()
        (registry / "entries" / name / "000001.json").write_bytes(b"garbage")
    cid = Bundle.open(bundle).cid
    assert _document("registry", "pull", cid, "-o", "a.kolm")["cid"] == cid


@pytest.fixture
def other(tmp_path, key):
    """Another bundle that verifies."""
    (tmp_path / "another").mkdir()
    parts = make_parts(tmp_path / "another", cases=57)
    return parts.seal(tmp_path / "another.kolm", key=key)


def test_another_bundle_under_a_version_that_was_removed_is_refused(registry, bundle, other):
    _document("push", bundle, "toy@1.0.0")
    (registry / "entries" / "toy" / "000001.json").unlink()
    assert _error("push", other, "toy@1.0.0", code=1) == "E_REGISTRY_WENT_BACK"
    assert list((registry / "entries" / "toy").iterdir()) == []


@pytest.mark.parametrize("looking", [("show", "toy"), ("list",), ("verify",), ("pull", "toy")])
def test_every_reading_command_remembers_and_notices(
    registry, bundle, other, tmp_path, monkeypatch, looking
):
    _document("push", bundle, "toy@1.0.0")
    trust = tmp_path / "home" / "trust.json"
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "reader"))
    assert invoke("registry", *looking, "--trust", trust).code == 0
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    (registry / "entries" / "toy" / "000001.json").unlink()
    (tmp_path / "home" / "registries").rename(tmp_path / "forgotten")
    _document("push", other, "toy@1.0.0")
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "reader"))
    reader = ("--trust", trust)
    for command in (("pull", "toy", "-o", "x.kolm"), ("pull", "toy@1.0.0", "-o", "x.kolm")):
        assert _error("registry", *command, *reader, code=1) == "E_REGISTRY_WENT_BACK"
    found = _document("registry", "verify", *reader, code=1)
    assert "E_REGISTRY_WENT_BACK" in {problem["code"] for problem in found["problems"]}
    assert "E_REGISTRY_WENT_BACK" in invoke("registry", "list", *reader).stdout
    assert not (tmp_path / "x.kolm").exists()


def test_a_home_that_cannot_be_written_is_told_and_stops_no_reader(registry, bundle, tmp_path):
    _document("push", bundle, "toy@1.0.0")
    (tmp_path / "home" / "registries").rename(tmp_path / "forgotten")
    with read_only(tmp_path / "home"):
        ran = invoke("registry", "list")
    assert (ran.code, "toy@1.0.0" in ran.stdout) == (0, True)
    assert "E_READ_ONLY" in ran.stderr


def test_strangers_cannot_hide_a_version_from_a_listing(registry, bundle, key):
    _document("push", bundle, "toy@1.0.0")
    (registry / "entries" / "toy" / "000002.json").symlink_to("/etc/passwd")
    (registry / "entries" / "toy" / "000003.json").write_text("junk")
    listed = invoke("registry", "list").stdout
    assert "toy@1.0.0" in listed
    assert listed.count("DAMAGED") == 2
    ran = invoke("pull", "toy")
    assert ran.code == 0
    assert ran.stderr.count("toy") >= 1
    assert _document("registry", "verify", code=1)["bundles"] == 1


def test_who_makes_a_registry_anew_forgets_the_one_that_was_there(registry, bundle, other):
    _document("push", bundle, "toy@1.0.0")
    shutil.rmtree(registry)
    ran = invoke("registry", "init", "registry")
    assert (ran.code, "forgotten" in ran.stderr) == (0, True)
    assert _document("push", other, "toy@1.0.0")["new"]
    ran = invoke("registry", "init", "second")
    assert (ran.code, ran.stderr) == (0, "")


def test_a_list_shows_accuracy_k_base_and_date(registry, bundle):
    _document("push", bundle, "toy@1.0.0")
    (listing,) = _document("registry", "list")["names"]
    (entry,) = listing["versions"]
    assert entry["summary"]["base"] == "kolm/toy"
    shown = invoke("registry", "list").stdout
    assert "accuracy 1, K 0.9" in shown
    assert "base kolm/toy, 2026-01-02" in shown


def test_a_list_says_that_a_file_cannot_be_read(registry, bundle):
    _document("push", bundle, "toy@1.0.0")
    for file in (registry / "blobs" / "sha256").iterdir():
        file.write_bytes(b"")
    assert "its file cannot be read: kolm registry verify" in invoke("registry", "list").stdout
