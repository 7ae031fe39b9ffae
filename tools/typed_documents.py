"""The documents as types: what docs/generate.py writes to kolm/records/ from the schemas.

An object becomes a TypedDict; it is named after its schema and its key, or after its entry in
``$defs``, and one of an array after the key's singular. Branches of a union are named after the
constant that tells them apart, or after their title.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from kolm import schema, whole_schema

NOTICE = "Written by docs/generate.py; edit schemas/ instead."
PACKAGE = Path(__file__).parent.parent / "kolm"
DIGEST = "^sha256:[0-9a-f]{64}$"
_OF_A_SCHEMA = re.compile(r"schemas/(\w+)\.schema\.json")  # how a schema says that it embeds one
SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def names(folder: str = "") -> list[str]:
    """The schemas of documents, or those of the command line's answers, ``cli/``."""
    return sorted(
        folder + path.name.split(".")[0]
        for path in (schema.folder() / folder).glob("*.schema.json")
    )


def documents_module() -> str:
    """kolm/records/documents.py."""
    return f'''"""The documents as types. For type checkers alone: at run time nothing needs them.

{NOTICE} What the type does not say of a text or a number,
the schema does.
"""

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict, final

from kolm.digest import Digest
''' + "".join(types_of(names(), _named("documents")).values())


def answers_module() -> str:
    """kolm/records/answers.py."""
    text = "".join(types_of(names("cli/"), _named("answers")).values())
    documents = [name for name in map(class_name, names()) if re.search(rf"\b{name}\b", text)]
    return f'''"""What commands answer under ``--json``, but for the schema's name, as types.

{NOTICE}
"""

from typing import Literal, NotRequired, TypedDict, final

from kolm.digest import Digest
from kolm.records.documents import {", ".join(documents)}
{text}'''


def kinds_module() -> str:
    """kolm/records/kinds.py."""
    typed = types_of(names(), _named("documents"))
    rows = "".join(
        f'{name.upper()}: Final[DocumentKind[{_of_kind(name, typed)}]] = DocumentKind("{name}")\n'
        for name in names()
    )
    return f'''"""The kinds of documents: the name of a schema, with the type of what fits it.

{NOTICE} One that no code takes apart is a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from kolm.schema import DocumentKind

if TYPE_CHECKING:
    from kolm.records import documents

{rows}'''


def _of_kind(name: str, typed: Mapping[str, str]) -> str:
    made = class_name(name)
    return f"documents.{made}" if made in typed else "Mapping[str, object]"


def _named(module: str) -> set[str]:
    """The types of a module that the code asks for, by their names."""
    return {
        alias.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom) and node.module == f"kolm.records.{module}"
        for alias in node.names
    }


def types_of(schemas: Iterable[str], named: Collection[str] | None = None) -> dict[str, str]:
    """The types of schemas, by name, inner ones first: those that are named, and what is in them.

    Types that say the same are one; a choice of constants without a name stands where it is used.

    Args:
        named: by the code; None for all of them.
    """
    made: dict[str, str] = {}
    for name in schemas:
        made |= _Types(name).made()
    named = made if named is None else named
    choices = {
        name: text.partition(" = ")[2].strip()
        for name, text in made.items()
        if name not in named and text.startswith(f"\n{name} = Literal[")
    }
    made = {name: _renamed(made[name], choices) for name in made if name not in choices}
    while shorter := _shorter(made, named):
        made = {shorter.get(name, name): _renamed(made[name], shorter) for name in made}
    kept: dict[str, str] = {}
    for name, text in reversed(made.items()):
        if name in named or any(re.search(rf"\b{name}\b", outer) for outer in kept.values()):
            kept[name] = text
    return dict(reversed(kept.items()))


def _shorter(made: Mapping[str, str], named: Collection[str]) -> dict[str, str]:
    """Of types that say the same, the name to keep for each other one: named by the code, short."""
    same: dict[str, list[str]] = {}
    for name, text in made.items():
        same.setdefault(_renamed(text, {name: "_"}), []).append(name)
    shorter = {}
    for alike in same.values():
        keep = min(alike, key=lambda name: (name not in named, len(name)))
        shorter |= {name: keep for name in alike if name != keep}
    return shorter


def _renamed(text: str, names: Mapping[str, str]) -> str:
    return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), text)


def class_name(name: str) -> str:
    """``predictions_row`` as ``PredictionsRow``."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name))


class _Types:
    def __init__(self, name: str) -> None:
        self._name = class_name(name.rpartition("/")[2])
        self._answer = name.startswith("cli/")
        self._schema = whole_schema.load(name)
        self._made: dict[str, str] = {}
        self._known: dict[str, str] = {}

    def made(self) -> dict[str, str]:
        made = self._type(self._schema, self._name)
        if made != self._name:
            self._define(self._name, f"{self._name} = {made}\n")
        return {name: f"\n{text}" for name, text in self._made.items()}

    def _define(self, name: str, text: str) -> str:
        if self._made.setdefault(name, text) != text:
            raise SystemExit(f"two different types would be called {name}: give one a title")
        return name

    def _type(self, part: dict[str, Any], name: str) -> str:
        if "$ref" in part:
            return self._referred(part["$ref"])
        if "const" in part:
            return f"Literal[{part['const']!r}]"
        if "enum" in part:
            made = _literal(part)
            return made if len(part["enum"]) == 1 else self._define(name, f"{name} = {made}\n")
        if branches := part.get("anyOf"):
            return self._union(branches, name)
        kinds = [part["type"]] if isinstance(part["type"], str) else part["type"]
        return " | ".join(self._one(kind, part, name) for kind in kinds)

    def _referred(self, reference: str) -> str:
        if reference not in self._known:
            steps = reference.removeprefix("#/").split("/")
            target: Any = self._schema
            for step in steps:
                target = target[step]
            name = self._name + class_name(steps[-1])
            made = self._type(target, name)
            if " | " in made and made.count(name) > 1:
                made = self._define(name, f"{name} = {made}\n")
            self._known[reference] = made
        return self._known[reference]

    def _union(self, branches: list[dict[str, Any]], name: str) -> str:
        objects = [branch for branch in branches if "properties" in branch]
        made = [
            _literal(branch)
            if "enum" in branch
            else self._type(branch, name + _label(branch, objects))
            for branch in branches
        ]
        for branch, inner in zip(branches, made, strict=True):
            if "title" in branch and not self._made[inner].startswith("@"):
                self._made[inner] = "@final\n" + self._made[inner]  # so that `in` tells them apart
        choices = dict.fromkeys(choice.removesuffix(" | None") for choice in made)
        if any(choice.endswith("None") for choice in made):
            choices = dict.fromkeys([*(c for c in choices if c != "None"), "None"])
        return " | ".join(choices)

    def _one(self, kind: str, part: dict[str, Any], name: str) -> str:
        if kind == "string" and part.get("pattern") == DIGEST:
            return "Digest"
        if kind == "array":
            item = part.get("items")
            return f"list[{self._type(item, _singular(name)) if item else 'object'}]"
        return SIMPLE[kind] if kind in SIMPLE else self._object(part, name)

    def _object(self, part: dict[str, Any], name: str) -> str:
        further = part.get("additionalProperties", True)
        if further is not False:
            if further is True:
                whole = _OF_A_SCHEMA.search(part.get("description", ""))
                return class_name(whole[1]) if whole else "Mapping[str, object]"
            each = [*part.get("properties", {}).values(), further]
            return f"dict[str, {self._union(each, name)}]"
        required = part.get("required", ())
        fields = []
        for key, sub in part["properties"].items():
            if key == "schema" and self._answer:
                continue  # the command line adds it
            made = self._type(sub, name + class_name(key))
            fields.append((key, made if key in required else f"NotRequired[{made}]"))
        if all(key.isidentifier() and not keyword.iskeyword(key) for key, _ in fields):
            lines = "".join(f"    {key}: {made}\n" for key, made in fields)
            return self._define(name, f"class {name}(TypedDict):\n{lines}")
        lines = "".join(f"    {key!r}: {made},\n" for key, made in fields)
        return self._define(name, f"{name} = TypedDict({name!r}, {{\n{lines}}})\n")


def _literal(part: dict[str, Any]) -> str:
    return f"Literal[{', '.join(map(repr, part['enum']))}]"


def _label(branch: dict[str, Any], among: list[dict[str, Any]]) -> str:
    """What tells an object of a union from the others."""
    if branch not in among or len(among) == 1:
        return ""
    if "title" in branch:
        return class_name(branch["title"])
    for key, sub in branch["properties"].items():
        constants = [other["properties"].get(key, {}).get("const") for other in among]
        if "const" in sub and len(set(constants)) == len(among):
            return class_name(sub["const"])
    raise SystemExit(f"a branch of a union has neither a constant nor a title: {branch}")


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name
