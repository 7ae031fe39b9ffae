"""``kolm help``: what no command page says, on a machine that has nothing but the package."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from kolm.cli import pages
from kolm.cli.main import root
from kolm.verify.checks import ALL_CHECKS
from tests.support.commands import invoke

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("number", [check.id for check in ALL_CHECKS])
def test_every_question_of_the_verifier_has_a_page(number: str) -> None:
    ran = invoke("help", number, "--json")
    check = ran.document()["check"]
    assert check["id"] == number
    assert check["question"] in " ".join(str(ran.document()["text"]).split())


def test_a_question_shows_what_fails_it() -> None:
    ran = invoke("help", "v03")
    assert "failed means: a changed byte" in ran.stdout
    assert "not_checked: not checked: V01 failed" in ran.stdout


def test_a_page_is_shown_with_its_tables_drawn_and_its_text_is_in_json() -> None:
    shown = invoke("help", "exit-codes.md").stdout + invoke("help", "format/verification").stdout
    assert "| --- |" not in shown
    assert "|---|" not in shown
    assert "───" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert "|---|" in invoke("help", "format/verification", "--json").document()["text"]


def test_every_page_of_the_documentation_is_listed_and_printed() -> None:
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    listed = invoke("help", "pages", "--json").document()["pages"]
    parts = {name for name in written if name.startswith("reference/errors.d/")}
    assert {f"{name}.md" for name in listed} == written - parts
    decisions = [name.startswith("adr/") for name in listed]
    assert decisions == sorted(decisions), "guides come before decisions"
    for name in listed:
        assert pages.text(name).startswith(("#", "---"))


@pytest.mark.parametrize(
    ("topic", "page"),
    [
        ("guides/verify", "guides/verify"),
        ("docs/format/trust.md", "format/trust"),
        ("spec", "reference/spec"),
        ("air-gapped", "guides/air-gapped"),
    ],
)
def test_a_page_is_found_by_path_or_name(topic: str, page: str) -> None:
    assert invoke("help", topic, "--json").document()["page"] == page


@pytest.mark.parametrize("topic", ["V99", "../README", "guides/../../README", "/etc/passwd"])
def test_what_is_no_page_is_a_usage_error(topic: str) -> None:
    ran = invoke("help", topic, "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_HELP_TOPIC")


@pytest.mark.parametrize("topic", ["V21", "V46", "E_KEY_KIND", "E_BUNDLE_NOT_CHECKED"])
def test_what_is_said_of_a_check_or_an_error_fits_80_columns(topic: str) -> None:
    shown = invoke("help", topic).stdout
    assert max(map(len, shown.splitlines())) <= 80


def test_a_wide_table_becomes_a_list_that_shows_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its columns once became so narrow that a key of the spec was cut off."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = invoke("help", "reference/spec").stdout
    rows = [line for line in pages.text("reference/spec").splitlines() if line.startswith("| `")]
    keys = [row.split("`")[1] for row in rows]
    assert "train.objective.undesirable_weight" in keys
    assert set(keys) <= {line.removeprefix(" • ") for line in shown.splitlines()}
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("group", ["capture", "keys", "policy", "registry", "request"])
def test_a_group_says_of_each_verb_a_whole_sentence(
    group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = invoke(group, "--help").stdout
    assert "..." not in shown.partition("Commands:")[2]
    verbs = root.get_command(click.Context(root), group)
    assert isinstance(verbs, click.Group)
    for verb in verbs.commands:
        shown += invoke(group, verb, "--help").stdout
    assert max(map(len, shown.splitlines())) <= 80
