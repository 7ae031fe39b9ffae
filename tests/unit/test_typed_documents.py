"""The generated types say what the schemas say."""

import json
import types
import typing
from pathlib import Path

import pytest

from kolm import schema, whole_schema
from kolm.records import documents, kinds
from tools import typed_documents

VECTORS = Path(__file__).parents[1] / "vectors"


def fits(hint, value):
    """Whether a value is of a type, strictly: no further keys, true is not 1."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if typing.is_typeddict(hint):
        fields = typing.get_type_hints(hint)
        return (
            type(value) is dict
            and hint.__required_keys__ <= value.keys() <= fields.keys()
            and all(fits(fields[name], item) for name, item in value.items())
        )
    if origin in (typing.Union, types.UnionType):
        return any(fits(choice, value) for choice in arguments)
    if origin is typing.Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin is list:
        return type(value) is list and all(fits(arguments[0], item) for item in value)
    if origin is dict:
        return type(value) is dict and all(fits(arguments[1], item) for item in value.values())
    if origin is not None or hint is object:
        return True  # of any form: the predicate of a statement, which has a schema of its own
    plain = getattr(hint, "__supertype__", hint)  # a digest is a text
    return type(value) is plain


def _type_of(name):
    """The type of a kind of documents, which a kind has if the code names it."""
    return getattr(documents, typed_documents.class_name(name), None)


def vectors():
    for name in filter(_type_of, typed_documents.names()):
        for path in sorted((VECTORS / name / "valid").glob("*.json")):
            yield pytest.param(name, path, id=f"{name}-{path.stem}")


@pytest.mark.parametrize(("name", "path"), list(vectors()))
def test_a_valid_example_is_of_its_type_and_less_or_more_is_not(name, path):
    document = json.loads(path.read_bytes())
    kind = _type_of(name)
    assert schema.check(getattr(kinds, name.upper()), document, where=name) is document
    assert fits(kind, document)
    assert not fits(kind, {**document, "no such key": 1})
    for key in document:
        less = {other: value for other, value in document.items() if other != key}
        assert fits(kind, less) == (schema.checker(name)(less) is None), key
        wrong = {**document, key: 1.5}
        assert not fits(kind, wrong), key


def test_every_form_of_a_schema_has_a_type(monkeypatch):
    one = {"type": "object", "additionalProperties": False, "required": ["kind"]}
    body = {
        **one,
        "properties": {
            "kind": {"const": "it"},
            "class": {"type": ["integer", "null"]},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "entries": {"type": "array", "items": {"$ref": "#/$defs/digest"}},
            "parts": {"type": "array", "items": {"anyOf": [
                {**one, "properties": {"kind": {"const": "a-b"}}},
                {"type": "null"},
                {**one, "properties": {"kind": {"const": "c"}, "x": {"enum": [1, "one"]}}},
            ]}},
        },
        "$defs": {"digest": {"type": "string", "pattern": typed_documents.DIGEST}},
    }  # fmt: skip
    monkeypatch.setattr(whole_schema, "load", lambda name: body)
    assert (
        "".join(typed_documents.types_of(["some_row"]).values())
        == """
class SomeRowPartAB(TypedDict):
    kind: Literal['a-b']

SomeRowPartCX = Literal[1, 'one']

class SomeRowPartC(TypedDict):
    kind: Literal['c']
    x: NotRequired[SomeRowPartCX]

SomeRow = TypedDict('SomeRow', {
    'kind': Literal['it'],
    'class': NotRequired[int | None],
    'counts': NotRequired[dict[str, int]],
    'entries': NotRequired[list[Digest]],
    'parts': NotRequired[list[SomeRowPartAB | SomeRowPartC | None]],
})
"""
    )


def test_two_types_of_one_name_are_refused(monkeypatch):
    inner = {"type": "object", "additionalProperties": False}
    body = {
        **inner,
        "properties": {
            "it": {**inner, "properties": {"a": {"type": "integer"}}},
            "its": {"type": "array", "items": {**inner, "properties": {"b": {"type": "string"}}}},
        },
    }
    monkeypatch.setattr(whole_schema, "load", lambda name: body)
    with pytest.raises(SystemExit, match="XIt"):
        typed_documents.types_of(["x"])


def test_only_types_that_the_code_names_are_made_and_equal_ones_once(monkeypatch):
    closed = {"type": "object", "additionalProperties": False}
    side = {**closed, "properties": {"count": {"type": "integer"}, "of": {"enum": ["a", "b"]}}}
    body = {
        **closed,
        "properties": {
            "left_side": side,
            "right": side,
            "other": {**closed, "properties": {"many": {"type": "array", "items": side}}},
        },
    }
    monkeypatch.setattr(whole_schema, "load", lambda name: body)
    assert typed_documents.types_of(["x", "unused"], {"XOther"}) == {
        "XRight": """
class XRight(TypedDict):
    count: NotRequired[int]
    of: NotRequired[Literal['a', 'b']]
""",
        "XOther": """
class XOther(TypedDict):
    many: NotRequired[list[XRight]]
""",
    }
