"""What somebody new reads when a command fails: it names the thing, and what it advises works."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kolm import canonical
from kolm.sign import keys
from tests.support.commands import invoke

pytestmark = pytest.mark.usefixtures("project")


def test_each_key_that_a_spec_lacks_is_told_once() -> None:
    Path("few.yaml").write_text("name: few\n")
    found = invoke("check", "few.yaml", "--json").document()["findings"]
    assert [one["message"] for one in found] == [
        'the key "kolm" is missing',
        'the key "base" is missing',
        'the key "data" is missing',
    ]


@pytest.mark.parametrize("asked", [("pull", "other/x@1.0.0"), ("list", "other/x")])
def test_a_registry_without_that_name_can_be_listed_as_the_hint_says(
    asked: tuple[str, ...],
) -> None:
    Path("registry").rename("elsewhere")
    ran = invoke("registry", *asked, "--registry", "elsewhere", "--json")
    program, *arguments = shlex.split(ran.error()["hint"])
    assert (ran.code, program) == (3, "kolm")
    assert "demo/toy@1.0.0" in invoke(*arguments).stdout


def test_a_pull_without_a_registry_says_how_to_name_one() -> None:
    Path("registry").rename("elsewhere")
    assert "--registry" in invoke("pull", "demo/toy@1.0.0", "--json").error()["hint"]


def test_what_is_no_private_key_is_refused_in_words_of_ours() -> None:
    ran = invoke("keys", "import", "pairs.jsonl", "--name", "mine", "--json")
    error = ran.document()["error"]
    assert error["code"] == "E_KEY_FORM"
    assert "cryptography" not in ran.stderr
    assert "BEGIN PRIVATE KEY" in error["expected"]


def test_a_project_here_is_not_a_project_in_the_folder_above() -> None:
    Path("new").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("new")
        assert invoke("init").stdout.startswith("A project is in this folder. Next:")


def test_a_picture_that_run_cannot_read_is_named() -> None:
    Path("broken.png").write_bytes(Path("picture.png").read_bytes()[:60])
    asked = ["run", "toy.kolm", "--image", "broken.png", "--prompt", "what?", "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "kolm", *asked], capture_output=True, check=False, timeout=60
    )
    error = canonical.loads(ran.stdout, where="stdout")["error"]
    assert (error["code"], error["where"]) == ("E_IMAGE_BROKEN", "broken.png")


def test_a_request_that_its_own_pack_cannot_answer_is_not_signed() -> None:
    """The pack has one capture, and a policy for procurement demands 500 questions."""
    assert invoke("policy", "new", "--for", "procurement", "-o", "much.yaml").code == 0
    asked = ("--policy", "much.yaml", "--pack", "pack", "-o", "much.json")
    error = invoke("request", "new", *asked, "--json").document()["error"]
    assert error["code"] == "E_REQUEST_PACK_SMALL"
    assert (error["expected"], error["found"]) == ("at least 500 distinct questions", "1 capture")
    assert not Path("much.json").exists()
    assert invoke("request", "new", *asked, "--sealed").code == 0  # scored beside their own cases


def test_a_registry_that_was_begun_on_a_full_disk_is_finished_by_the_same_command() -> None:
    for part in ("entries", "blobs/sha256", "tmp"):
        (Path("half") / part).mkdir(parents=True)
    assert invoke("registry", "init", "half").code == 0
    assert invoke("registry", "list", "--registry", "half").code == 0
    assert invoke("registry", "init", "half").code == 2  # a whole one is left alone


def test_a_misspelt_method_is_answered_with_names_and_the_nearest_one() -> None:
    Path("kolm.yaml").write_text(Path("kolm.yaml").read_text() + "train: {method: lroa}\n")
    [found] = invoke("check", "--json").document()["findings"]
    assert found["message"] == "train.method has an invalid value"
    assert found["hint"].startswith("did you mean lora?")
    assert "…" not in found["expected"]


def test_a_key_that_stands_in_the_wrong_place_is_sent_to_its_own() -> None:
    Path("kolm.yaml").write_text(Path("kolm.yaml").read_text() + "metric: exact\n")
    [found] = invoke("check", "--json").document()["findings"]
    assert found["hint"].startswith("did you mean evaluation.metric?")


def test_whoever_endorses_is_told_to_hand_the_file_back_and_whose_key_to_export() -> None:
    *_, claim, following = invoke("sign", "toy.kolm", "--key", "approver").stdout.splitlines()
    assert claim.endswith("added to toy.kolm: give that file back to its publisher")
    program, *arguments = shlex.split(following.partition(": ")[2])
    ran = invoke(*arguments)
    assert (program, ran.code, ran.stdout[:10]) == ("kolm", 0, "-----BEGIN")


def test_two_keys_of_one_name_are_told_apart_by_their_ids() -> None:
    ids = {
        row["key"][:16]: row["name"] for row in invoke("keys", "list", "--json").document()["keys"]
    }
    own = next(key for key, name in ids.items() if name == "default")
    stranger = keys.read_public(Path("stranger.pem").read_bytes(), where="").keyid[:16]
    error = invoke("keys", "trust", "stranger.pem", "--as", "default", "--role", "buyer", "--json")
    assert f"key {own}" in error.error()["message"]
    assert error.error()["found"] == f"default, for key {stranger}"
    assert f"published by key {own} (default)" in invoke("registry", "show", "demo/toy").stdout
    error = invoke("keys", "revoke", "nobody", "--yes", "--json")
    assert f"default (key {own})" in error.error()["expected"]


@pytest.mark.parametrize("skip", [(), ("--skip-bad",)])
def test_a_column_that_is_renamed_and_not_there_is_an_error_that_names_those_found(
    project: Path, skip: tuple[str, ...]
) -> None:
    ran = invoke("capture", "import", "pairs.jsonl", "--rename", "promt=prompt", *skip, "--json")
    error = ran.error()
    assert (ran.code, error["code"], error["found"]) == (2, "E_IMPORT_RENAME", "promt")
    assert error["expected"] == "one of image, prompt, response, split"
    assert error["hint"] == "did you mean prompt?"
    assert invoke("capture", "stats", "--json").document()["captures"] == 2  # as before


def test_a_file_that_is_no_bundle_and_a_home_without_keys_say_what_is_meant() -> None:
    assert ".kolm file" in invoke("verify", "kolm.yaml", "--json").error()["hint"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOLM_HOME", "elsewhere")
        error = invoke("keys", "export", "--json").error()
    assert (error["code"], error["where"]) == ("E_KEY_MISSING", str(Path("elsewhere/keys")))


@pytest.mark.parametrize("asked", [("sign", "--key", "approver"), ("dossier",), ("pull",)])
def test_what_misses_a_policy_says_by_how_much_and_how_to_demand_less(
    asked: tuple[str, ...],
) -> None:
    strict = Path("own.policy.yaml").read_text()
    Path("strict.yaml").write_text(
        strict.replace("minimum_eval_cases: 1", "minimum_eval_cases: 9999")
    )
    verb, *others = asked
    bundle = "demo/toy" if verb == "pull" else "toy.kolm"
    ran = invoke(verb, bundle, *others, "--policy", "strict.yaml", "--json")
    error = ran.document()["error"]
    assert "V62 distinct questions" in error["found"]
    assert "expected at least 9999, found 50" in error["found"]
    assert "kolm policy new" in error["hint"]


@pytest.mark.parametrize("file", ["picture.png", "own.policy.yaml", ".kolm/keys/default.pem"])
def test_what_is_no_public_key_says_who_writes_one(file: str) -> None:
    asked = ("keys", "trust", file, "--as", "bob", "--role", "builder")
    error = invoke(*asked, "--json").document()["error"]
    assert error["message"] == "this is not a public key"
    assert "kolm keys export NAME -o FILE" in error["hint"]
    assert "PRIVATE" not in error["found"]


def test_a_misspelt_family_is_answered_with_the_nearest_one() -> None:
    error = invoke("families", "qwen2.5_vl", "--json").document()["error"]
    assert error["found"] == "qwen2.5_vl"
    assert error["hint"].startswith("did you mean qwen2_5_vl? if not, ")
    assert "where" not in error


def test_the_families_say_where_it_stands_what_is_shown_of_each() -> None:
    command = invoke("families").stdout.splitlines()[-1].rpartition(": kolm ")[2]
    assert "answers are the librarys token for token" in invoke(*command.split()).stdout


@pytest.mark.parametrize("name", ["gemma3n", "gpt2"])  # like one that kolm knows, and like none
def test_a_family_without_a_table_is_told_what_a_table_says(name: str) -> None:
    error = invoke("families", name, "--json").document()["error"]
    assert "which modules the projector reads" in error["hint"]
