"""Write the pages and modules that repeat the code; `--check` fails when one is out of date.

From the code: docs/reference/cli.md (``--help``), spec.md (the spec's schema), environment.md
(the table in settings), exit-codes.md. From docs/reference/errors.d/*.md, where each part lists
its own codes: errors.md, and the table that ``kolm help E_…`` reads. From the schemas: their
documents as types (tools/typed_documents.py). From the role tables: docs/format/families.md, and
as data docs/format/tables (tools/format_tables.py). From the fragments of a table's variants, as
those in schemas/methods/: the schema of any, methods/any.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from kolm import canonical, settings, whole_schema  # noqa: E402
from kolm.cli.exit_codes import MEANINGS  # noqa: E402
from kolm.cli.main import root  # noqa: E402
from kolm.cli.table import SECTIONS  # noqa: E402
from kolm.roles import FAMILIES, Family, Stack  # noqa: E402
from kolm.roles.refused import REFUSED  # noqa: E402
from kolm.roles.shown import MARKS, Trait, traits  # noqa: E402
from tools import format_tables, layers_figure, typed_documents  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
NOTICE = "<!-- Written by docs/generate.py; edit its source instead. -->"
WIDTH = 100
SHOWN = (
    "On a tiny base of its real classes with random weights, by the tests that are named: *yes* in "
    "every run of the tests, *slow* in `make acceptance`, - where it takes no pictures. "
    "`python -m tests.support.shown` collects it from the tests."
)
PARTS = ("spec", "lock", "receipt", "trace")  # documents to which each variant has something to add


def pages() -> Iterator[tuple[Path, str]]:
    """Every generated file with the text it should have; later ones read earlier ones."""
    for folder in ("methods", "objectives"):
        yield ROOT / "schemas" / folder / "any.schema.json", any_of_page(folder)
    rows = list(error_rows())
    yield REFERENCE / "cli.md", cli_page()
    yield REFERENCE / "spec.md", spec_page()
    yield REFERENCE / "environment.md", environment_page()
    yield REFERENCE / "exit-codes.md", exit_codes_page()
    yield REFERENCE / "errors.md", errors_page(rows)
    yield ROOT / "docs" / "format" / "families.md", families_page()
    yield from format_tables.tables()
    yield ROOT / "kolm" / "cli" / "error_table.jsonl", canonical.dump_lines(rows).decode()
    yield ROOT / "docs" / "figures" / "layers.svg", layers_figure.figure()
    yield ROOT / "kolm" / "records" / "answers.py", typed_documents.answers_module()
    yield ROOT / "kolm" / "records" / "documents.py", typed_documents.documents_module()
    yield ROOT / "kolm" / "records" / "kinds.py", typed_documents.kinds_module()


def any_of_page(folder: str) -> str:
    """The schema of any of the variants whose fragments lie in a folder of the schemas."""
    files = (ROOT / "schemas" / folder).glob("*.schema.json")
    kinds = sorted({path.name.split(".")[0] for path in files} - {"any"})

    having = {
        part: [kind for kind in kinds if part in whole_schema.load(f"{folder}/{kind}")["$defs"]]
        for part in PARTS
    }

    def forms(part: str) -> dict[str, Any]:
        named = [f"urn:kolm:schema:{folder}/{kind}:v1#/$defs/{part}" for kind in having[part]]
        short = [{"enum": kinds}] if part == "spec" else []  # the name alone takes all defaults
        return {"anyOf": [*short, *({"$ref": target} for target in named)]}

    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:kolm:schema:{folder}/any:v1",
        "title": f"{folder}/any",
        "description": "Any of this folder. Written by docs/generate.py.",
        "$defs": {part: forms(part) for part in PARTS if having[part]},
    }
    return json.dumps(document, indent=2) + "\n"


def families_page() -> str:
    """The role table of every family; what depends on a base's config by its function's words."""
    return "\n\n".join([
        NOTICE,
        "# Families",
        "The tables of [roles](roles.md). Stacks list a block's linear layers as `parent.leaf`.",
        "## Shown of each",
        SHOWN,
        "\n".join(_traits_table()),
        "\n".join(map(_trait_line, traits())),
        "## Tests of each",
        "On a tiny base of its real classes, with random weights; names also at the default sizes:",
        "\n".join(every := [*_shown_of_each("EVERY", "FAMILIES")]),
        "And of each that takes pictures:",
        "\n".join(line for line in _shown_of_each("SEEING") if line not in every),
        *(_family_part(table) for table in FAMILIES.values()),
        "## Refused by name",
        "| type | why | instead |\n|---|---|---|\n"
        + "\n".join(f"| `{n}` | {r.reason} | {r.instead} |" for n, r in REFUSED.items()),
    ]) + "\n"  # fmt: skip


def _traits_table() -> Iterator[str]:
    yield f"| type | {' | '.join(trait.name for trait in traits())} |"
    yield "|---" * (1 + len(traits())) + "|"
    for name in FAMILIES:
        cells = [MARKS[trait.families[name]] for trait in traits()]
        yield f"| `{name}` | {' | '.join(cells)} |"


def _trait_line(trait: Trait) -> str:
    tests = ", ".join(f"`{test.rpartition('/')[2]}`" for test in trait.tests)
    return f"- *{trait.name}*: {trait.says} ({tests})"


def _shown_of_each(*marks: str) -> Iterator[str]:
    """What the contract tests of families with these marks hold, by the names of the tests."""
    for path in sorted((ROOT / "tests" / "contract").glob("test_*.py")):
        for part in ast.parse(path.read_text()).body:
            if isinstance(part, ast.FunctionDef) and _is_of_each(marks, part, path.name):
                yield f"- {part.name.removeprefix('test_').replace('_', ' ')} (`{path.name}`)"


def _is_of_each(marks: tuple[str, ...], test: ast.FunctionDef, file: str) -> bool:
    """Whether it runs for every family of a kind: by its parameters, or its file's fixture."""
    said = " ".join(map(ast.unparse, test.decorator_list))
    fixtures = {"world": "EVERY", "seeing": "SEEING"} if file == "test_family_forward.py" else {}
    own = {fixtures.get(argument.arg) for argument in test.args.args}
    return test.name.startswith("test_") and any(mark in said or mark in own for mark in marks)


def _family_part(table: Family) -> str:
    def names(listed: Iterable[str]) -> str:
        return " ".join(f"`{name}`" for name in listed) or "none"

    def stack(own: Stack) -> str:
        pairs = [(parent, leaf) for leaf, parents in own.leaves.items() for parent in parents]
        leaves = sorted(f"{parent}.{leaf}".lstrip(".") for parent, leaf in pairs)
        return f"{names((own.blocks, *own.more))}: {names(leaves)}"

    rows = [
        *((role.value, names(prefixes)) for role, prefixes in table.prefixes.items()),
        ("language stack", stack(table.language)),
        ("vision stack", stack(table.vision) if table.vision else "none: it reads text alone"),
        ("`ia3` by default on", names((*table.key_values, *table.fed_forward))),
        ("`bottleneck` by default on", names((*table.mixed, *table.fed_forward))),
        *[("experts, in each block", names(table.experts)) for _ in table.experts[:1]],
        *[("trained whole", names(table.projector_modules)) for _ in table.projector_modules[:1]],
        *[("stays frozen", names(table.bare)) for _ in table.bare[:1]],
        *((f"`{memory}` also as", names(also)) for memory, also in table.spellings.items()),
        *((f"`{name}` may share", names([other])) for name, other in table.aliases.items()),
        *((f"`{pattern}`", "may have its last two axes swapped") for pattern in table.swapped),
        *((f"`{name}`", f"may come in parts: {names(of)}") for name, of in table.parts.items()),
        *((f"`{pattern}`", "are no parameters") for pattern in table.left_out),
        *(
            (f"template option `{key}`", f"{value}")
            for key, value in table.template_options.items()
        ),
        *[
            ("before a picture", f"`{table.number}`, with its number in the conversation, from 0")
            for _ in [table.number]
            if _
        ],
        *[
            ("template", "kolm's own where the base's cannot be trained on")
            for _ in table.training_templates[:1]
        ],
        *(
            (f"pictures, beside the text of `{own.reader}`", names((own.states, own.mask)))
            for own in [table.beside]
            if own
        ),
        *[("taps", " ".join((table.taps.__doc__ or "").split())) for _ in [table.vision] if _],
        ("unreachable", " ".join((table.unreachable.__doc__ or "none").split())),
        ("licences", table.license_note),
        ("papers", ", ".join(table.papers)),
    ]
    body = "\n".join(f"| {name} | {text} |" for name, text in rows)
    return f"## {table.model_type}\n\n| what | names |\n|---|---|\n{body}"


def cli_page() -> str:
    """Every command's help, as it is printed on a terminal of 100 columns."""
    parts = [NOTICE, "# Command line", _console("kolm", _context(root, "kolm", None))]
    top = _context(root, "kolm", None)
    for section in SECTIONS:
        for name, _ in section.commands:
            parts.extend(_command_parts(name, top))
    return "\n\n".join(parts) + "\n"


def _command_parts(name: str, parent: click.Context) -> Iterator[str]:
    group = parent.command
    assert isinstance(group, click.Group)
    child = group.get_command(parent, name)
    assert child is not None
    context = _context(child, name, parent)
    level = "#" * (1 + len(context.command_path.split()))
    yield f"{level} {context.command_path}"
    yield _console(context.command_path, context)
    if isinstance(child, click.Group):
        for below in child.list_commands(context):
            yield from _command_parts(below, context)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    fixed = {**root.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, info_name=name, parent=parent, **fixed)


def _console(path: str, context: click.Context) -> str:
    return f"```\n$ {path} --help\n{context.command.get_help(context)}\n```"


def spec_page() -> str:
    """Every key of a spec, from its schema."""
    document = whole_schema.load("spec")
    parts: dict[str, list[dict[str, Any]]] = {}
    for path, part in _keys(document, ""):
        parts.setdefault(path, []).append(part)  # forms of a choice have keys of the same name
    rows = [
        f"| `{path}` | {_each(map(_kind, same), ' or ')} | {_each(map(_default, same), ' or ')} "
        f"| {_each((part.get('description', '') for part in same), ' ')} |"
        for path, same in parts.items()
    ]
    head = "| key | value | default | meaning |\n|---|---|---|---|"
    intro = (
        f"{document['description']} The rules are in [format/spec.md](../format/spec.md), the "
        "schema is `schemas/spec.schema.json`; an unknown key is refused with its line and the "
        "nearest valid name."
    )
    return f"{NOTICE}\n\n# Keys of a spec\n\n{intro}\n\n{head}\n" + "\n".join(rows) + "\n"


def _each(texts: Iterable[str], between: str) -> str:
    return between.join(dict.fromkeys(text for text in texts if text))


def _keys(part: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, sub in part.get("properties", {}).items():
        yield f"{prefix}{name}", sub
        for branch in (sub, *sub.get("anyOf", ())):
            yield from _keys(branch, f"{prefix}{name}.")


def _kind(part: dict[str, Any]) -> str:
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(map(_kind, part["anyOf"])))
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return " or ".join(f"`{value}`" for value in part["enum"])
    names = {
        "object": "mapping",
        "array": "list of text",
        "string": "text",
        "integer": "whole number",
    }
    kinds = [part["type"]] if isinstance(part["type"], str) else part["type"]
    text = names.get(kinds[0], kinds[0])
    bounds = [
        f"{sign} {part[keyword]}"
        for keyword, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if keyword in part
    ]
    alternatives = "".join(f" or `{kind}`" for kind in kinds[1:])
    return f"{text} {', '.join(bounds)}".strip() + alternatives


def _default(part: dict[str, Any]) -> str:
    if "default" not in part or part["default"] == {}:
        return ""
    value = part["default"]
    if isinstance(value, str) and len(value) == 64:
        return "64 zeros"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def environment_page() -> str:
    """The environment variables, from the table in settings."""
    rows = [f"| `{row.name}` | {row.purpose} | {row.default} |" for row in settings.VARIABLES]
    head = "| variable | what it does | without it |\n|---|---|---|"
    intro = "kolm reads these and no others. None of them changes the bytes of a bundle."
    return f"{NOTICE}\n\n# Environment variables\n\n{intro}\n\n{head}\n" + "\n".join(rows) + "\n"


def exit_codes_page() -> str:
    """The exit codes, from their enum."""
    rows = [f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()]
    intro = (
        "The same for every command, so that a script can tell *the answer is no* (1) from "
        "*could not look* (3 and above)."
    )
    return (
        f"{NOTICE}\n\n# Exit codes\n\n{intro}\n\n| exit | meaning |\n|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def error_rows() -> Iterator[dict[str, str]]:
    """The rows of all parts, sorted by code; a code belongs to one part."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((REFERENCE / "errors.d").glob("*.md")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.lstrip().startswith("| `E_"):
                continue
            cells = [
                cell.strip() for cell in line.replace("\\|", "¦").strip().strip("|").split("|")
            ]
            if len(cells) != 4:
                raise SystemExit(f"{path.name}: four cells are wanted: {line}")
            code, family, cause, remedy = (cell.replace("¦", "|") for cell in cells)
            code = code.strip("`")
            row = {"code": code, "family": family.strip("`"), "cause": cause, "remedy": remedy}
            if found.setdefault(code, row)["cause"] != cause:
                raise SystemExit(f"{path.name}: {code} is told differently in another part")
    yield from (found[code] for code in sorted(found))


def errors_page(rows: list[dict[str, str]]) -> str:
    """The table of all error codes."""
    lines = [
        f'| <a id="{row["code"].lower()}"></a>`{row["code"]}` | {row["family"]} | '
        f"{row['cause']} | {row['remedy']} |"
        for row in rows
    ]
    intro = (
        "`kolm help CODE` prints the same. The family decides the "
        "[exit code](exit-codes.md): Refused 1, Usage 2, Unreadable 3, Denied 4, Network 5, "
        "Lacking 6."
    )
    head = "| code | family | cause | what to do |\n|---|---|---|---|"
    return f"{NOTICE}\n\n# Error codes\n\n{intro}\n\n{head}\n" + "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` name those that differ."""
    stale = []
    for path, text in pages():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{'out of date' if '--check' in arguments else 'written'}: {path.relative_to(ROOT)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
