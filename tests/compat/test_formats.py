"""What a version of the format gives on its recorded vectors, it gives for ever."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolm import digest
from kolm.bundle import layout, limits, members, tensors
from kolm.bundle.manifest import Member, build_manifest
from kolm.format import v1, versions
from kolm.format.versions import CURRENT, FORMATS
from kolm.methods.ia3 import Ia3
from kolm.methods.lora import Lora
from kolm.records.verification import Verdict
from kolm.roles import FAMILIES, Role
from tests.support.audits import World
from tests.support.bundles import write_raw
from tests.vectors.formats import record, tables

KOLM = Path(v1.__file__).parents[1]
# What reads bundles of any version; the rest of kolm/bundle writes the current one.
READERS = [KOLM / "bundle" / f"{name}.py" for name in ("references", "checkpoint_rules", "reader")]
RULES = sorted(name for name in vars(v1.Rules) if not name.startswith("_"))
HOW = """
{released}: its rules gave {recorded} for {rule!r}, and now give {found}.
Bundles of this version are with people who verify them, so its rules do not change. To go on:
1. put the function back as it was, in a module of kolm/format that the class of v1 names;
2. write the new rule beside it, and kolm/format/v2.py: a class that inherits and names it;
3. add its line to FORMATS in kolm/format/versions.py, and make CURRENT that line;
4. python -m tests.vectors.formats.record, and a page in docs/adr.
"""
UNRELEASED = """
{rule!r} gives {found}, recorded is {recorded}. No release has these rules yet, so they may change:
python -m tests.vectors.formats.record
(with --inputs where a document has another shape), and look at which lines of the record differ.
"""


@pytest.mark.parametrize("artifact_type", FORMATS)
def test_the_rules_give_what_is_recorded(artifact_type: str) -> None:
    path = record.FOLDER / f"{record.name_of(artifact_type)}.json"
    recorded = json.loads(path.read_text())
    found = record.digests(artifact_type)
    new = set() if recorded["released"] else found.keys() - recorded["rules"].keys()
    for rule in sorted((recorded["rules"].keys() | found.keys()) - new):  # a release records all
        says = {"rule": rule, "recorded": recorded["rules"].get(rule), "found": found.get(rule)}
        released = f"{artifact_type} was released with {recorded['released']}"
        text = HOW if recorded["released"] else UNRELEASED
        assert says["recorded"] == says["found"], text.format(released=released, **says)


def test_every_rule_has_vectors() -> None:
    assert [*RULES] == sorted(record.RECIPES.keys() | record.METRIC_RECIPES.keys())


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_gives_something_else_is_noticed(rule: str) -> None:
    """The vectors use the rule: without its answer, or with another one, their digest differs."""
    changed: Any = type("Changed", (v1.Rules,), {rule: staticmethod(lambda *_, **__: "changed")})
    given = record.inputs_of(CURRENT)
    recorded = record.digests(CURRENT)
    try:
        found = record.gather(changed, given)
    except (AttributeError, TypeError, ValueError):
        return
    assert {name for name in found if found[name] != recorded[name]} >= {
        name for name in recorded if name.partition(":")[0] == rule
    }


OTHER_MEMBERS = (*members.TABLE[:-1], members.TABLE[-1]._replace(limit=limits.CLAIMS))


def _change(owner: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(owner, name, value)


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("members", _change(members, "TABLE", OTHER_MEMBERS)),
        ("limits", _change(limits, "CASES_BYTES", limits.CASES_BYTES._replace(value=1))),
        ("container", _change(layout, "TAG", "v2")),
        ("tensors", _change(tensors, "tensor_digest", lambda *_: digest.EMPTY)),
        ("schema: lock", _change(tables, "_schema", lambda name: {"type": "object", "of": name})),
        ("method: lora", _change(Lora, "receipt", lambda self: {})),
        ("method: ia3", _change(Ia3, "counts", lambda *_: True)),
        *(
            (f"family: {name}", lambda patch, table=table, name=name: patch.setattr(
                f"kolm.roles.{name}.FAMILY",
                table._replace(prefixes={**table.prefixes, Role.OTHER: ("x",)}),
            ))
            for name, table in FAMILIES.items()
        ),
    ],
)  # fmt: skip
def test_a_table_that_says_something_else_is_noticed(
    line: str, change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = json.loads((record.FOLDER / "v1.json").read_text())["rules"]
    assert dict(record.tables_digests())[line] == recorded[line]
    change(monkeypatch)
    assert dict(record.tables_digests())[line] != recorded[line]


@pytest.mark.parametrize("same", [True, False])
def test_a_bundle_is_judged_by_the_rules_of_its_own_version(
    same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A made-up second version has other seeds; nothing changes for the first."""

    class Second(v1.Rules):
        if not same:
            derive_seeds = staticmethod(lambda lock: dict.fromkeys(lock["seeds"], lock["nonce"]))

    second = "application/vnd.kolm.bundle.v2"
    monkeypatch.setitem(versions.FORMATS, second, lambda: Second)  # type: ignore[arg-type]
    world = World.make(tmp_path)
    stored = {"receipt.json": world.parts.receipt(), **world.parts.members()}
    described = [Member(n, digest.of_bytes(data), len(data)) for n, data in stored.items()]
    manifest = build_manifest(described, second)
    answers = world.look(write_raw(tmp_path / "second.kolm", manifest, stored))
    assert answers["V05"].verdict is Verdict.OK
    assert (answers["V08"].verdict is Verdict.OK) == same
    assert world.audit()["V08"].verdict is Verdict.OK


@pytest.mark.parametrize(
    "path",
    [*(KOLM / "verify").rglob("*.py"), *READERS],
    ids=lambda path: path.relative_to(KOLM).as_posix(),
)
def test_verify_takes_rules_from_the_table_alone(path: Path) -> None:
    """What is imported by name would be the current version's, whatever the bundle states."""
    rules = [getattr(v1.Rules, rule) for rule in RULES]
    functions = {rule.__name__ for rule in rules}
    modules = {rule.__module__.rpartition(".")[2] for rule in rules}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not functions & {name.name for name in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr not in functions or node.value.id not in modules
