"""`kolm keys`, from the command line down to the files."""

import hashlib
import importlib.util
import shutil
import subprocess

import click
import pytest

from kolm import canonical
from kolm.cli.main import root
from kolm.sign import private_keys, trust_changes
from kolm.sign.keystore import KeyStore
from kolm.sign.trust import TrustStore
from tests.support.commands import invoke
from tests.support.kills import kills


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


def _signing_key(home):
    """The one key that signs: both of its halves, and its row."""
    (row,) = [row for row in _rows("list") if row["signs_here"]]
    assert KeyStore(home / "keys").load("default", lambda _: None).public.keyid == row["key"]
    assert sorted(path.name for path in (home / "keys").glob("*.pem")) == [
        "default.pem",
        "default.pub.pem",
    ]
    return row


def test_a_kill_while_a_key_is_made_leaves_none_or_one_that_the_next_call_completes(home):
    def work(_step):
        assert invoke("keys", "new").code == 0

    for step, _ in kills(work):
        _rows("list")
        _rows("new", "--if-missing")
        assert _signing_key(home)["roles"], step
        shutil.rmtree(home)
    assert step > 8


def test_a_kill_while_a_key_is_replaced_leaves_the_old_or_the_new_one_and_it_is_trusted(home):
    _rows("new")

    def work(_step):
        assert invoke("keys", "rotate").code == 0

    for step, _ in kills(work):
        assert _signing_key(home)["roles"], step
        _rows("rotate")
        assert _signing_key(home)["name"] == "default"
        assert not list((home / "keys").glob(".*.new*")), step  # no private half is left behind
    assert step > 8


def test_a_change_that_could_not_be_read_again_is_refused_and_the_trust_file_stays(home):
    (old,) = _rows("new")
    _rows("new", "--name", "other")
    before = (home / "trust.json").read_bytes()
    ran = invoke("keys", "revoke", "default", "--yes", "--reason", "x" * 501, "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_TRUST_FORM")
    assert (home / "trust.json").read_bytes() == before
    # The name that a rotation gives the old key is another key's already.
    store = TrustStore.load(home)
    taken = trust_changes.renaming(store, store.keys[1].key.keyid, f"default-{old['key'][:8]}")
    (home / "trust.json").write_bytes(canonical.dumps(taken.to_document()))
    kept = {path: path.read_bytes() for path in (home / "trust.json", *(home / "keys").iterdir())}
    ran = invoke("keys", "rotate", "default", "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_TRUST_FORM")
    assert {path: path.read_bytes() for path in kept} == kept


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


REGISTRY = ("any.kolm", "demo/any@1.0.0", "--registry", "registry")
SIGNING = {
    "compile": ("kolm.yaml",),
    "eval": ("any.kolm", "--captures", "captures"),
    "push": REGISTRY,
    "registry publish": REGISTRY,
    "request new": ("--policy", "kolm.yaml", "--pack", "captures"),
    "sign": ("any.kolm",),
    "verify": ("any.kolm", "--attest"),
}


def _with_a_key(command, *path):
    """The paths of all commands that take the name of a key."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _with_a_key(command.get_command(context, name), *path, name)
    elif any("--key" in parameter.opts for parameter in command.params):
        yield " ".join(path)


def test_the_commands_that_sign_are_these():
    assert sorted(_with_a_key(root)) == sorted([*SIGNING, "check"])  # which looks and signs nothing


@pytest.mark.parametrize("command", [(*name.split(), *rest) for name, rest in SIGNING.items()])
def test_every_command_that_signs_asks_for_the_passphrase(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke("init", ".", "--example", "gauges").code == 0
    assert invoke("registry", "init", "registry").code == 0
    (tmp_path / "any.kolm").write_bytes(b"")
    (tmp_path / "captures").mkdir()
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


def _keygen(folder, *options):
    command = ("ssh-keygen", "-q", "-C", "me@here", "-f", folder / "id", *options)
    subprocess.run(list(map(str, command)), check=True)
    return folder / "id"


needs_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"
)


@needs_keygen
@pytest.mark.parametrize(
    ("kind", "algorithm"), [(("ed25519",), "ed25519"), (("ecdsa", "-b", "256"), "p256")]
)
def test_a_key_of_ssh_keygen_is_taken_over_and_its_public_half_trusted(
    tmp_path, monkeypatch, kind, algorithm
):
    file = _keygen(tmp_path, "-N", "", "-t", *kind)
    (made,) = _rows("import", file, "--name", "ssh")
    assert (made["algorithm"], made["signs_here"]) == (algorithm, True)
    assert file.exists()
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "other"))
    (row,) = _rows("trust", file.with_suffix(".pub"), "--as", "me", "--role", "builder")
    assert (row["key"], row["algorithm"]) == (made["key"], algorithm)
    if algorithm == "p256":  # ssh-keygen writes no SPKI of Ed25519
        command = ["ssh-keygen", "-e", "-m", "PKCS8", "-f", file]
        exported = subprocess.run(command, capture_output=True, check=True)
        assert hashlib.sha256(exported.stdout).hexdigest() == made["key"]


@needs_keygen
def test_a_key_of_another_kind_is_refused(tmp_path):
    file = _keygen(tmp_path, "-N", "", "-t", "rsa", "-b", "2048")
    for ran in (
        invoke("keys", "import", file, "--json"),
        invoke("keys", "trust", f"{file}.pub", "--as", "x", "--role", "builder", "--json"),
    ):
        assert (ran.code, ran.document()["error"]["code"]) == (1, "E_KEY_KIND")
    broken = tmp_path / "broken.pub"
    broken.write_text("ssh-ed25519 AAAA me@here\n")
    ran = invoke("keys", "trust", broken, "--as", "x", "--role", "builder", "--json")
    assert (ran.code, ran.document()["error"]["code"]) == (1, "E_KEY_FORM")


@needs_keygen
def test_an_encrypted_ssh_key_says_what_it_needs(tmp_path, monkeypatch):
    file = _keygen(tmp_path, "-N", "secret words", "-t", "ed25519")
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "secret words")
    ran = invoke("keys", "import", file, "--json")
    if importlib.util.find_spec("bcrypt") is None:
        assert (ran.code, ran.error()["code"]) == (6, "E_EXTRA_MISSING")
    else:
        assert ran.code == 0, ran.stderr
    assert "secret words" not in ran.stdout + ran.stderr


def test_an_encrypted_pkcs8_key_stays_encrypted(tmp_path, home, monkeypatch):
    file = tmp_path / "key.pem"
    file.write_bytes(private_keys.generate("p256").to_pem("secret words"))
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "other words")
    ran = invoke("keys", "import", file, "--json")
    assert (ran.code, ran.error()["code"]) == (4, "E_KEY_PASSPHRASE")
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", "secret words")
    (row,) = _rows("import", file, "--name", "hsm")
    assert row["algorithm"] == "p256"
    assert private_keys.is_encrypted((home / "keys" / "hsm.pem").read_bytes())
    again = invoke("keys", "import", file, "--name", "hsm", "--json")
    assert (again.code, again.error()["code"]) == (2, "E_KEY_EXISTS")
    missing = invoke("keys", "import", tmp_path / "none", "--json")
    assert missing.code == 3
