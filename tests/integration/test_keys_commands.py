"""`kolm keys`, from the command line down to the files."""

import pytest

from kolm.sign import private_keys
from kolm.sign.trust import TrustStore
from tests.support.commands import invoke


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KOLM_KEY_PASSPHRASE", raising=False)
    return tmp_path / "home"


def _rows(*arguments):
    ran = invoke("keys", *arguments, "--json")
    assert ran.code == 0, ran.stderr
    return ran.document()["keys"]


def test_a_new_key_signs_and_is_trusted_in_every_role(home):
    (row,) = _rows("new")
    assert row["roles"] == ["builder", "buyer", "endorser", "evaluator", "publisher", "verifier"]
    assert row["names"] == ["*"]
    assert row["signs_here"]
    assert (home / "keys" / "default.pem").stat().st_mode & 0o777 == 0o600
    assert _rows("list") == [row]


def test_a_key_that_is_there_is_left_as_it_is_when_asked_so():
    (made,) = _rows("new", "--if-missing")
    assert _rows("new", "--if-missing") == [made]
    assert _rows("list") == [made]


def test_p256_keys_can_be_made():
    assert _rows("new", "--algorithm", "p256", "--name", "hsm")[0]["algorithm"] == "p256"


def test_a_second_key_of_a_name_is_refused_before_anything_is_written(home):
    _rows("new")
    before = sorted(home.rglob("*"))
    ran = invoke("keys", "new", "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_KEY_EXISTS")
    assert sorted(home.rglob("*")) == before


def test_list_says_when_nobody_is_trusted_yet():
    assert "kolm keys new" in invoke("keys", "list").stdout


def test_a_public_key_travels_by_export_and_trust(tmp_path, monkeypatch):
    (made,) = _rows("new")
    pem = tmp_path / "alice.pem"
    assert invoke("keys", "export", "-o", pem).code == 0
    assert invoke("keys", "export").stdout == pem.read_text()
    assert invoke("keys", "export", "--json").document()["key"] == made["key"]
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "other"))
    (row,) = _rows(
        "trust", pem, "--as", "alice", "--role", "builder", "--role", "publisher",
        "--names", "demo/*",
    )  # fmt: skip
    assert row["key"] == made["key"]
    assert (row["roles"], row["names"]) == (["builder", "publisher"], ["demo/*"])
    assert not row["signs_here"]


@pytest.mark.parametrize(
    "options",
    [
        ("--role", "publisher"),
        ("--role", "builder", "--names", "demo"),
    ],
)
def test_a_publisher_and_only_a_publisher_has_names(tmp_path, options):
    pem = tmp_path / "key.pem"
    pem.write_text(private_keys.generate().public.pem)
    ran = invoke("keys", "trust", pem, "--as", "bob", *options, "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_TRUST_NAMES")


@pytest.mark.parametrize("names", ["demo/**", "Demo", "", "*/*"])
def test_a_rule_for_names_that_is_none_is_refused_and_nothing_is_written(tmp_path, home, names):
    pem = tmp_path / "key.pem"
    pem.write_text(private_keys.generate().public.pem)
    ran = invoke(
        "keys", "trust", pem, "--as", "bob", "--role", "publisher", "--names", names, "--json"
    )
    assert ran.code in (1, 2)
    assert not (home / "trust.json").exists()


@pytest.mark.parametrize(("content", "code"), [("nonsense", 1), (None, 3)])
def test_what_is_not_a_public_key_is_not_trusted(tmp_path, content, code):
    pem = tmp_path / "key.pem"
    if content is not None:
        pem.write_text(content)
    ran = invoke("keys", "trust", pem, "--as", "bob", "--role", "builder", "--json")
    assert ran.code == code


def test_rotation_replaces_the_key_and_keeps_its_past_trusted(home):
    (old,) = _rows("new")
    new, former = _rows("rotate")
    assert new["name"] == "default"
    assert new["key"] != old["key"]
    assert new["roles"] == old["roles"]
    assert (former["key"], former["signs_here"]) == (old["key"], False)
    assert sorted(p.name for p in (home / "keys").iterdir()) == ["default.pem", "default.pub.pem"]
    again, _ = _rows("rotate", "--algorithm", "p256")
    assert again["algorithm"] == "p256"
    assert len(_rows("list")) == 3


def test_a_rotation_that_was_killed_half_way_can_be_done_again(home):
    (old,) = _rows("new")
    trusted = (home / "trust.json").read_bytes()
    _rows("rotate")
    (home / "trust.json").write_bytes(trusted)  # killed after the key, before the trust file
    new, former = _rows("rotate")
    assert former["key"] == old["key"]
    assert [row["key"] for row in _rows("list") if row["signs_here"]] == [new["key"]]


def test_trusting_again_says_which_roles_are_lost(tmp_path):
    (made,) = _rows("new")
    pem = tmp_path / "own.pem"
    invoke("keys", "export", "-o", pem)
    again = ("keys", "trust", pem, "--as", "default", "--role", "builder")
    first, second = invoke(*again), invoke(*again)
    assert "no longer trusted as buyer, endorser, evaluator, publisher, verifier" in first.stderr
    assert "no longer" not in second.stderr
    assert made["key"] in first.stdout


def test_a_rotation_without_a_key_could_not_look():
    ran = invoke("keys", "rotate", "--json")
    assert (ran.code, ran.error()["code"]) == (3, "E_KEY_MISSING")


def test_revocation_is_kept_and_needs_a_yes(home):
    (made,) = _rows("new")
    refused = invoke("keys", "revoke", "default", "--json")
    assert (refused.code, refused.error()["code"]) == (2, "E_CLI_NO_TERMINAL")
    (row,) = _rows("revoke", made["key"][:12], "--reason", "stolen", "--yes")
    assert row["revoked"]["reason"] == "stolen"
    held = TrustStore.load(home).find(made["key"])
    assert held.revoked.reason == "stolen"
    assert "REVOKED" in invoke("keys", "list").stdout


def test_a_passphrase_from_the_environment_locks_the_key(home, monkeypatch):
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "correct horse")
    _rows("new")
    assert "ENCRYPTED" in (home / "keys" / "default.pem").read_text()


def test_asking_for_a_passphrase_without_a_terminal_names_the_variable():
    ran = invoke("keys", "new", "--passphrase", "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_CLI_NO_TERMINAL")
    assert "KOLM_KEY_PASSPHRASE" in ran.error()["hint"]


def test_a_key_that_can_sign_but_is_not_trusted_is_listed_as_such(home):
    _rows("new")
    (home / "trust.json").unlink()
    (row,) = _rows("list")
    assert (row["roles"], row["signs_here"]) == ([], True)
    assert "not trusted" in invoke("keys", "list").stdout


@pytest.mark.parametrize(
    "command",
    [
        ("compile", "kolm.yaml"),
        ("eval", "any.kolm", "--captures", "captures"),
        ("registry", "publish", "any.kolm", "demo/any@1.0.0", "--registry", "registry"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_that_signs_asks_for_the_passphrase(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke("init", ".", "--example", "gauges").code == 0
    assert invoke("registry", "init", "registry").code == 0
    (tmp_path / "any.kolm").write_bytes(b"")
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "correct horse")
    assert invoke("keys", "new").code == 0
    monkeypatch.delenv("KOLM_KEY_PASSPHRASE")
    ran = invoke(*command, "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_CLI_NO_TERMINAL")
    assert "Passphrase of" in ran.error()["message"]


def test_a_key_is_shown_by_its_id_before_what_it_is_called():
    (row,) = _rows("new", "--name", "anna")
    shown = invoke("keys", "list").stdout
    assert shown.startswith(f"{row['key']}  ed25519\n    anna: builder")
    assert invoke("keys", "revoke", "anna", "--yes").stdout.startswith(row["key"])
