"""The compiled checkers give the verdicts of jsonschema, for every schema of the project."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import canonical, schema, whole_schema
from kolm.errors import Refused

NAMES = sorted(
    str(p.relative_to(schema.folder())).removesuffix(".schema.json")
    for p in schema.folder().rglob("*.schema.json")
)
keys = st.sampled_from(["a", "b", "schema", "x"])
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "ab", "A", "0.5"])
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=4) | st.dictionaries(keys, v, max_size=3),
    max_leaves=8,
)
schemas = st.recursive(
    st.sampled_from(
        [
            True,
            False,
            {"type": "string", "pattern": "^[a-z]+$", "minLength": 1, "maxLength": 3},
            {"type": ["integer", "null"], "minimum": 0, "maximum": 3},
            {"enum": [1, True, "ab"]},
            {"const": False},
            {"$ref": "#/$defs/leaf"},
        ]
    ),
    lambda s: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": s, "maxItems": st.just(3)}),
        st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.dictionaries(keys, s, max_size=2),
                "required": st.lists(keys, max_size=1),
                "additionalProperties": st.one_of(st.booleans(), s),
            }
        ),
        st.fixed_dictionaries({"anyOf": st.lists(s, min_size=1, max_size=3)}),
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(schemas, values)
def test_compiled_checker_agrees_with_jsonschema(body, value):
    document = {"$defs": {"leaf": {"type": "array", "items": {"type": "integer"}}}, "allOf_": 0}
    document.pop("allOf_")
    if isinstance(body, bool):
        document = body
    else:
        document |= body
    root = document if isinstance(document, dict) else {}
    compiled = schema._compile(document, root, {})
    wanted = jsonschema.Draft202012Validator(document).is_valid(value)
    assert (compiled(value) is None) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_valid_and_closed(name):
    document = whole_schema.load(name)
    jsonschema.Draft202012Validator.check_schema(document)
    schema.checker(name)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert '"additionalProperties": true' not in json.dumps(document)
    data = (schema.folder() / f"{name}.schema.json").read_bytes()
    assert canonical.loads(data, where=name, floats=True) == canonical.loads_own(data)


def test_the_place_of_a_problem_is_a_json_pointer(monkeypatch):
    body = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}
    monkeypatch.setattr(schema, "checker", lambda name: schema._compile(body, body, {}))
    with pytest.raises(Refused) as caught:
        schema.check("x", {"a": ["", 1]}, where="f.json")
    assert caught.value.where == "f.json#/a/1"
    assert caught.value.code == "E_SCHEMA"


def _form(kind, needed):
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["kind"] if needed else [],
        "properties": {"kind": {"const": kind}, "x": {"type": "integer"}},
    }


@given(
    st.lists(st.booleans(), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["kind", "x", "y"]), st.sampled_from(["a", "b", 1, None])),
)
def test_forms_told_apart_by_their_kind_are_judged_as_any_others(needed, value):
    body = {"anyOf": [_form(kind, need) for kind, need in zip("abc", needed, strict=False)]}
    wanted = jsonschema.Draft202012Validator(body).is_valid(value)
    assert (schema._compile(body, body, {})(value) is None) == wanted


def test_a_problem_is_told_of_the_form_that_is_meant():
    body = {"anyOf": [_form("a", True), _form("b", True)]}
    assert schema._compile(body, body, {})({"kind": "b", "x": "1"})[0] == "/x"


def test_a_key_that_is_misspelt_is_named_with_the_one_that_is_meant():
    own = {"schema": "urn:kolm:policy:v1", "name": "own", "claimz": []}
    with pytest.raises(Refused, match="unknown key 'claimz': did you mean claims"):
        schema.check("policy", own, where="own.yaml")
    with pytest.raises(Refused, match="the key 'claims' is missing"):
        schema.check("policy", {key: own[key] for key in ("schema", "name")}, where="own.yaml")


def test_forms_in_files_of_their_own_are_told_apart_as_well():
    body = {"$ref": "urn:kolm:schema:methods/any:v1#/$defs/lock"}
    method = {"kind": "prefix", "virtual_tokens": "4", "targets": [], "target_expression": ""}
    problem = schema._compile(body, body, {})(method)
    assert problem == ("/virtual_tokens", "expected integer, found str")
    whole = {"anyOf": whole_schema.load("methods/any")["$defs"]["lock"]["anyOf"]}
    assert schema._compile(whole, whole, {})(method) == problem
