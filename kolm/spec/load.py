"""Spec: the user's YAML file, or a dict from Python, to a `Spec` with every default.

Unknown keys are refused with their place and the nearest valid name; see docs/format/spec.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from kolm import canonical, schema, system, whole_schema
from kolm.errors import Refused, Unreadable, did_you_mean
from kolm.methods import DEFAULT
from kolm.metrics import METRICS
from kolm.metrics.patterns import compiled
from kolm.records.codec import from_document
from kolm.records.spec import Spec
from kolm.score.floors import F1
from kolm.spec.problems import find_problems
from kolm.spec.source import Part, SpecText, of_python, read_yaml


def load_spec(spec: Path | str | Mapping[str, Any]) -> Spec:
    """Read and check a spec.

    Args:
        spec: the path of a YAML file, or the same content as a dict.

    Raises:
        Unreadable: ``E_SPEC_MISSING``, there is no such file; ``E_SPEC_VERSION``, it is written
            for another kolm.
        Refused: not YAML, unknown key, value out of range, contradiction; the first in line
            order, with file:line.
    """
    source = read_source(spec)
    problems = problems_of(source)
    if problems:
        raise _first_of(problems)
    return from_document(Spec, _with_plain_forms(source.value))


def read_source(spec: Path | str | Mapping[str, Any]) -> SpecText:
    """The spec's plain value with its lines, not yet checked.

    Raises:
        Unreadable: ``E_SPEC_MISSING``, there is no such file; ``E_SPEC_VERSION``, it is written
            for another kolm.
        Refused: not YAML.
    """
    source = of_python(spec) if isinstance(spec, Mapping) else _read_file(Path(spec))
    stated = source.value.get("kolm") if isinstance(source.value, dict) else None
    known = whole_schema.load("spec")["properties"]["kolm"]["const"]
    if type(stated) is int and stated != known:
        raise Unreadable(
            "E_SPEC_VERSION",
            "the spec is of a version that this kolm does not read",
            where=source.place(("kolm",)),
            expected=f"kolm: {known}",
            found=f"kolm: {stated}",
            hint="use the kolm that it was written for, or write it anew: kolm help spec",
        )
    return source


def _read_file(path: Path) -> SpecText:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise Unreadable(
            "E_SPEC_MISSING",
            "there is no spec here",
            where=str(path),
            hint=did_you_mean(
                path.name,
                [near.name for near in path.parent.glob("*.yaml")],
                otherwise="kolm init DIR   starts a project with one",
            ),
        ) from None
    except OSError as error:
        raise system.error_of(error, where=path) from None
    return read_yaml(data, name=path.name)


def problems_of(source: SpecText) -> tuple[Refused, ...]:
    """Everything that is wrong with a spec by itself: its shape first, then contradictions."""
    return find_problems(source) or tuple(_contradictions(source))


def _first_of(problems: tuple[Refused, ...]) -> Refused:
    first = problems[0]
    if len(problems) == 1:
        return first
    more = f"{len(problems) - 1} more in this spec: kolm check lists them all"
    hint = f"{first.hint}\n{more}" if first.hint else more
    return Refused(
        first.code,
        first.message,
        where=first.where,
        expected=first.expected,
        found=first.found,
        hint=hint,
    )


def _contradictions(source: SpecText) -> Iterator[Refused]:
    """What no schema can say: keys that exclude each other, a value known and refused."""
    value = source.value
    data, train = value["data"], value.get("train", {})
    freeze = train.get("freeze", {})

    def conflict(dotted: str, message: str, hint: str) -> Refused:
        where = source.place(tuple(dotted.split(".")))
        return Refused("E_SPEC_CONFLICT", message, where=where, hint=hint)

    if "steps" in train and "epochs" in train:
        yield conflict("train.epochs", "steps and epochs exclude each other", "keep one of them")
    if isinstance(data.get("split"), dict) and "validation" in data:
        hint = "write it inside split: {eval: …, validation: …}"
        yield conflict("data.validation", "data.validation is for an official split", hint)
    if data.get("near_duplicates") == "group" and not isinstance(data.get("split"), dict):
        hint = "use drop, or let kolm split: split: {eval: 0.2}"
        message = "near twins are grouped only in a split by hash; an official one stays as stated"
        yield conflict("data.near_duplicates", message, hint)
    yield from _half_precision(train, source)
    yield from _looks(train, conflict)
    yield from _asked(value, conflict)
    projector = train.get("projector", "full")
    if projector == "frozen" and "projector_after_steps" in freeze:
        hint = "projector: full or lora trains it until that step"
        dotted = "train.freeze.projector_after_steps"
        yield conflict(dotted, "the projector is frozen from the start", hint)
    if projector == "frozen" and "projector_learning_rate" in train:
        dotted = "train.projector_learning_rate"
        yield conflict(dotted, "a frozen projector has no learning rate", "remove one of the two")
    method = train.get("method", {})
    kind = method.get("kind", DEFAULT) if isinstance(method, dict) else method
    if projector == "lora" and kind != "lora":
        message, hint = "an adapter has one kind of delta", f"full or frozen go with {kind}"
        yield conflict("train.projector", message, hint)
    evaluation = value.get("evaluation", {})
    yield from _of_metric(
        metric_with_defaults(evaluation.get("metric", "exact")), evaluation, source
    )
    if "quantisation" in train and isinstance(method, dict) and method.get("dora"):
        hint = "remove one of the two"
        yield conflict("train.method.dora", "DoRA needs the weights themselves, not 4 bits", hint)


def _half_precision(train: Part, source: SpecText) -> Iterator[Refused]:
    """Half precision is bfloat16's."""
    if train.get("precision") == "float16":
        yield Refused(
            "E_TRAIN_FLOAT16",
            "float16 is not trained in: small gradients vanish in it, and kolm scales no losses",
            where=source.place(("train", "precision")),
            expected="float32 or bfloat16",
            found="float16",
            hint="precision: bfloat16, which has the range of float32; or float32, where the "
            "device does not compute in it",
        )


def _asked(value: Part, conflict: Callable[[str, str, str], Refused]) -> Iterator[Refused]:
    """What contradicts a pack that is scored, or the request that is answered."""
    if "nonce" in value and "request" in value:
        yield conflict("nonce", "the request draws the nonce", "leave nonce out")
    if "pack" not in value.get("evaluation", {}):
        return
    if isinstance(value["data"].get("split"), dict):
        message = "a pack is the eval side as stated, and this split draws another"
        yield conflict("data.split", message, "leave split out: official is the default")
    if value["data"].get("near_duplicates") == "report":
        message = "near twins of a pack must not be in training"
        yield conflict("data.near_duplicates", message, "refuse (the default with a pack), or drop")


def _of_metric(metric: Part, evaluation: Part, source: SpecText) -> Iterator[Refused]:
    """A pattern that cannot be used; a floor on what the metric does not say."""
    kind = metric["kind"]
    if kind == "regex":
        try:
            compiled(metric["pattern"])
        except Refused as error:
            error.where = source.place(("evaluation", "metric", "pattern"))
            yield error
    has_f1 = F1 in getattr(METRICS[kind], "figure_names", ())
    if not has_f1 and evaluation.get("floors", {}).get(F1) is not None:
        yield Refused(
            "E_SPEC_CONFLICT",
            f"{kind} has no F1 over all cases",
            where=source.place(("evaluation", "floors", F1)),
            hint="take the floor away, or a metric with an F1: json_f1, pope",
        )


def _looks(train: Part, conflict: Callable[[str, str, str], Refused]) -> Iterator[Refused]:
    """What contradicts itself in when and how a run looks at the validation side."""
    stopping = train.get("early_stopping", {})
    every, same = train.get("validate_every"), stopping.get("every_steps")
    if every is not None and same is not None and every != same:
        message = "early stopping looks when the run looks"
        yield conflict("train.early_stopping.every_steps", message, "keep validate_every alone")
    if every is None and same is None:
        hint = "validate_every: 50"
        for key in ("validate_cases", "early_stopping"):
            if key in train:
                message = f"{key} does not say how often to look at the validation side"
                yield conflict(f"train.{key}", message, hint)
    if stopping.get("on") == "metric" and "validate_cases" not in train:
        message = "the metric judges answers, and none are asked for"
        yield conflict("train.early_stopping.on", message, "validate_cases: 64")


def _with_plain_forms(value: Part) -> Part:
    """The document of the record: short forms written out, fractions as decimal strings."""
    plain: Part = _decimals(value)
    plain["data"] = _data(plain["data"], packed="pack" in plain.get("evaluation", {}))
    if "cost" in plain:
        plain["cost"] = _cost(plain["cost"])
    if "train" in plain:
        plain["train"] = _train(plain["train"])
    evaluation = plain.get("evaluation", {})
    if "metric" in evaluation:
        plain["evaluation"] = {**evaluation, "metric": metric_with_defaults(evaluation["metric"])}
    return plain


@cache
def _whole_keys() -> frozenset[str]:
    """The keys whose numbers count something; all other numbers are fractions."""
    return frozenset(_keys_of_type(whole_schema.load("spec"), "integer")) | {"kolm"}


def _keys_of_type(part: schema.Schema, kind: str) -> Iterator[str]:
    for name, sub in part.get("properties", {}).items():
        if sub.get("type") == kind:
            yield name
        yield from _keys_of_type(sub, kind)
        for branch in sub.get("anyOf", ()):
            yield from _keys_of_type(branch, kind)


def _decimals(value: Any, name: str = "") -> Any:
    """Numbers of keys that hold fractions become decimal strings, whole ones too (1 -> "1")."""
    if isinstance(value, dict):
        return {key: _decimals(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_decimals(item) for item in value]
    counted = isinstance(value, bool) or name in _whole_keys()
    if isinstance(value, Decimal | int | float) and not counted:
        return canonical.decimal(value, None)
    return value


def _train(train: Part) -> Part:
    named = {
        key: {"kind": train[key]}
        for key in ("objective", "method", "quantisation")
        if isinstance(train.get(key), str)
    }
    return {**train, **named}


def _data(data: Part, *, packed: bool) -> Part:
    split = data.get("split", "official")
    if isinstance(split, dict):
        rule = {"kind": "hash", **split}
    else:
        own = {"validation": data["validation"]} if "validation" in data else {}
        rule = {"kind": "official", **own}
    refusing = packed or rule["kind"] == "hash"
    near = data.get("near_duplicates", "refuse" if refusing else "report")
    return {"captures": data["captures"], "split": rule, "near_duplicates": near}


def metric_with_defaults(metric: str | Part) -> Part:
    """The metric with the defaults of its options, which its form in the schema states."""
    choice = {"kind": metric} if isinstance(metric, str) else metric
    for form in whole_schema.load("metric")["$defs"]["chosen"]["anyOf"]:
        options = form.get("properties", {})
        if options and options["kind"]["const"] == choice["kind"]:
            return {**whole_schema.defaults(form), **choice}
    return choice


def _cost(cost: str | Part) -> Part:
    return {"kind": "local"} if isinstance(cost, str) else {"kind": "per_token", **cost}
