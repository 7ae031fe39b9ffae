"""Record what the rules of a version give on its vectors.

    python -m tests.vectors.formats.record                     after a change before its release
    python -m tests.vectors.formats.record --release 0.2.0     once, with the release
    python -m tests.vectors.formats.record --inputs            makes the inputs anew from the toy

Each `vN.json` holds for each rule the digest of what it gives on `vN.inputs.json`, the documents of
a toy compile, and on variations of them that stand here. Of a released version neither the inputs
nor a digest is ever written again: its bundles are with people who verify them. A metric, family or
method that is new to it adds lines of its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from kolm import canonical, digest, roles
from kolm.errors import KolmError
from kolm.format.base import BaseFile, BaseTensor
from kolm.format.checkpoint import Learned
from kolm.format.groups import Captures, Member
from kolm.format.order import reading_of
from kolm.format.outline import Outline, of_modules
from kolm.format.schedule import Happening
from kolm.format.sights import Read, Sight
from kolm.format.versions import FORMATS, rules_of
from kolm.methods import method_of
from kolm.records.documents import KscoreInputs
from kolm.whole_schema import load as load_schema
from tests.vectors.formats import tables

FOLDER = Path(__file__).parent
Rules = Any  # the class of a version
Given = Mapping[str, Any]
TEXTS = (
    "yes", "Yes.", "no", "12", "12.5", "12%", "0.12", "-12", "1e3", "red", "a red car", "Red, blue",
    "cafe\u0301", "CAFÉ", "stop sign", "stop sgin", "", " ", ".", "\u200b", "Straße", "strasse",
)  # fmt: skip


def name_of(artifact_type: str) -> str:
    """The vectors of a version: ``v1`` for ``application/vnd.kolm.bundle.v1``."""
    return artifact_type.rpartition(".")[2]


def inputs_of(artifact_type: str) -> Given:
    """The recorded documents of a version."""
    given: Given = json.loads((FOLDER / f"{name_of(artifact_type)}.inputs.json").read_text())
    return given


def digests(artifact_type: str) -> dict[str, str]:
    """What each rule of a version gives on the recorded inputs, digested."""
    given = inputs_of(artifact_type)
    rules = rules_of(artifact_type)
    return dict(sorted((gather(rules, given) | dict(tables_digests())).items()))


def tables_digests() -> Iterator[tuple[str, str]]:
    """The digest of each line of the tables."""
    for name, said in tables.answers():
        yield name, digest.of_value(_plain(said))


def gather(rules: Rules, given: Given) -> dict[str, str]:
    """The digest of what each rule gives; of those that judge answers, for each metric."""
    found = {name: digest.of_value(_plain(made(rules, given))) for name, made in RECIPES.items()}
    for name, by_metric in METRIC_RECIPES.items():
        for kind, choices in _metrics().items():
            said = [_plain(by_metric(rules, given, _settings(given, one))) for one in choices]
            found[f"{name}: {kind}"] = digest.of_value(said)
    return found


def _plain(value: Any) -> Any:
    """A rule's answer as JSON: errors by code and place, records by their fields."""
    if isinstance(value, KolmError):
        return [value.code, value.where, value.expected, value.found]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, int) or value is None:
        return value
    if isinstance(value, str):
        return str(value)  # of an enumeration
    if isinstance(value, Decimal | float):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return digest.of_bytes(value)
    return [_plain(item) for item in value]


def _or_error(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except KolmError as error:
        return error


def _locks(given: Given) -> Iterator[dict[str, Any]]:
    """The lock, and ones with other settings that steps, rates and order depend on."""
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"schedule": "linear", "warmup_steps": 3, "steps": 37, "segments": 5},
        {"schedule": "constant", "steps": 12, "accumulation": 3},
        {"schedule": "cosine", "warmup_steps": 7, "steps": 50, "learning_rate": "0.000123"},
        {"steps": 20, "freeze": {"vision": True, "projector": True, "projector_after_steps": None}},
        {"steps": 20, "freeze": {"vision": True, "projector_after_steps": 9}},
        {"steps": 20, **_looking("loss")},
        {"steps": 20, **_looking("metric")},
    )
    for change in changes:
        yield {**given["lock"], "train": {**given["lock"]["train"], **change}}


def _looking(on: str) -> dict[str, Any]:
    """A training that looks at the validation side, answers some of it, and stops early."""
    answers = {"cases": 3, "max_new_tokens": 4, "metric": {"kind": "exact"}}
    return {
        "validation": {"every_steps": 3, "answers": answers},
        "early_stopping": {"patience": 2, "on": on},
    }


def _seeds(rules: Rules, given: Given) -> Any:
    nonces = ({**given["lock"], "nonce": letter * 64} for letter in "0f")
    return [rules.derive_seeds(lock) for lock in (*_locks(given), *nonces)]


def _training_root(rules: Rules, given: Given) -> Any:
    lines = [(row["split"], canonical.dumps(row)) for row in given["lines"]]
    return [rules.training_root(lines[:count]) for count in range(len(lines) + 1)]


def _pack_root(rules: Rules, given: Given) -> Any:
    lines = [(row["split"], canonical.dumps(row)) for row in given["lines"]]
    return [rules.pack_root(lines[:count]) for count in range(len(lines) + 1)]


def _assign(rules: Rules, given: Given) -> Any:
    stream = digest.Stream(digest.of_bytes(b"kolm vectors: captures"))
    pictures = [digest.of_value(["picture", number]) for number in range(120)]
    members = [
        Member(
            digest.of_value(["capture", number]),
            tuple((pictures[stream.below(120)],) * 2 for _ in range(stream.below(3))),
            ("train", "eval", None)[stream.below(2)] if number % 2 else "train",
        )
        for number in range(200)
    ]
    for policy in ("report", "group"):
        for held in ("0.1", "0.25"):
            rule = {"kind": "hash", "eval": held, "validation": "0.1"}
            header = {"rule": rule, "near_duplicates": {"policy": policy}}
            yield _by_id(members, rules.assign(Captures.of(members), header))
    alone = [member._replace(images=()) for member in members]
    header = {
        "rule": {"kind": "official", "validation": "0.05"},
        "near_duplicates": {"policy": "report"},
    }
    yield _by_id(alone, rules.assign(Captures.of(alone), header))
    yield _or_error(lambda: rules.assign(Captures.of(members), header))
    for rule in (header["rule"], {"kind": "hash", "eval": "0.2", "validation": "0.1"}):
        asked = {**header, "rule": {**rule, "nonce": "5e" * 32}}
        yield _by_id(alone, rules.assign(Captures.of(alone), asked))


def _by_id(members: list[Member], sides: list[str]) -> dict[str, str]:
    return dict(sorted(zip((member.id for member in members), sides, strict=True)))


def _schedule(rules: Rules, given: Given) -> Any:
    for lock in _locks(given):
        schedule = rules.read_schedule(lock)
        patience = schedule.new_patience()
        happened: list[Any] = []
        for kind, step in schedule.happenings(patience):
            happened.append([kind.value, step])
            if kind is Happening.VALIDATION and patience:
                patience.tell(("3", "2", "2.5", "1", "1.5", "2")[step // 3 % 6])
        steps = range(1, schedule.steps + 1)
        yield happened
        yield [[schedule.rate(step), schedule.projector_rate(step)] for step in steps]
        yield [sorted(schedule.boundaries()), schedule.order_seed]


def _batch_order(rules: Rules, given: Given) -> Any:
    """Orders of more examples than one group of batches holds, over several epochs."""
    stream = digest.Stream(digest.of_bytes(b"kolm vectors: lengths"))
    lengths = [20 + stream.below(200) for _ in range(500)]
    for batch_size, accumulation in ((1, 1), (2, 3), (64, 1)):
        seed = digest.of_value(batch_size)
        order = rules.batch_order(lengths, seed=seed, batch_size=batch_size)
        yield [[*order.window(step, accumulation)] for step in range(1, 600 // batch_size + 12)]


def _forged(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The rows; the rows without the first or last; and with each field of some changed."""
    yield rows
    yield rows[1:]
    yield rows[:-1]
    for place in sorted({0, 1, len(rows) // 2, len(rows) - 1}):
        for key, value in rows[place].items():
            changed = {
                int: lambda old: old + 1,
                list: lambda old: old[1:],
                str: lambda old: digest.of_value(old) if old.startswith("sha256:") else "0.5",
            }.get(type(value))
            if changed is not None and key not in ("kind", "side"):
                yield [*rows[:place], {**rows[place], key: changed(value)}, *rows[place + 1 :]]


def _examples(rules: Rules, given: Given) -> Any:
    train = given["lock"]["train"]
    for rows in _forged(given["examples"]):
        yield list(rules.examples_follow(rows, given["lines"], train))
    tight = {**train, "max_seq_length": 21, "max_images": 0}
    yield list(rules.examples_follow(given["examples"], given["lines"], tight))


def _trace(rules: Rules, given: Given) -> Any:
    for lock in (given["lock"], *list(_locks(given))[1:]):
        reading = reading_of(rules.read_schedule(lock), given["examples"])
        for rows in _forged(given["trace"]):
            yield list(rules.trace_follows(rows, reading, lock["train"]))


def _checkpoints(rules: Rules, given: Given) -> Any:
    learned = {"delta": Learned(False, 4), "whole": Learned(True, 4)}
    for lock in _locks(given):
        schedule = rules.read_schedule(lock)
        for wrong in (-1, 0, 1):

            def read(name: str, wrong: int = wrong) -> dict[str, Any]:
                step = int(name[11:19])
                counts = {tensor: max(0, step + wrong) for tensor in learned}
                return {
                    "step": step,
                    "patience": None,
                    "updates": counts,
                    "gradient_steps": counts,
                }

            yield list(rules.checkpoints_follow(read, given["trace"], schedule, learned))


def _cases(rules: Rules, given: Given) -> Any:
    return rules.build_cases((digest.of_value(case), case) for case in given["cases"])


def _root_of(rules: Rules, given: Given) -> Any:
    tensors = [
        BaseTensor(digest.of_value([name]), "F32", f"{name}.safetensors", f"key {name}", (2, 3), 6)
        for name in "cab"
    ]
    files = tuple(BaseFile(digest.of_value([name]), name) for name in ("b.json", "a.json"))
    for count in range(len(tensors) + 1):
        yield rules.root_of(tensors[:count], files)


def _fingerprints(rules: Rules, given: Given) -> Any:
    """Which of some captures ask the same, and which answer the same."""
    found = []
    for text in (*TEXTS, "which colour?", "Which\u200b  colour??", "WHICH COLOUR ?", "ﬁg", "fig"):
        asked = {"type": "text", "text": text}
        for pictures in ([], given["cases"][0]["images"]):
            shown = [{"type": "image", "image": 0}] if pictures else []
            messages = [
                {"role": "user", "content": [*shown, asked]},
                {"role": "assistant", "content": [asked]},
            ]
            found.append(rules.fingerprints({"images": pictures, "messages": messages}))
    for place in (0, 1):
        part = [fingerprint[place] for fingerprint in found]
        yield [part.index(one) for one in part]


def _said_of_cases(rules: Rules, given: Given) -> Any:
    """The cases; of what they ask, which of them ask the same."""
    cases = _cases(rules, given)
    asked, worded = [case.question for case in cases], [case.wording for case in cases]
    for case in cases:
        yield [case.case, case.reference, case.tags, case.images]
        yield [case.image_size, case.answer_type]
        yield [asked.index(case.question), worded.index(case.wording)]


_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "choice": [{"choices": ["A", "B", "C"]}, {"choices": ["red", "12"]}],
    "regex": [{"pattern": "[0-9]+"}, {"pattern": "(?:is )?([a-z]{2,}?)\\b"}],
}


def _metrics() -> dict[str, list[dict[str, Any]]]:
    """Each metric, with two values of its options."""
    found = {}
    for form in load_schema("metric")["anyOf"]:
        kind = form["properties"]["kind"]["const"]
        names = [name for name in form["properties"] if name != "kind"]
        shares = [dict.fromkeys(names, share) for share in ("0.05", "0.5")] if names else [{}]
        found[kind] = [{"kind": kind, **options} for options in _OPTIONS.get(kind, shares)]
    return found


def _settings(given: Given, metric: Mapping[str, Any]) -> dict[str, Any]:
    return {**given["lock"]["evaluation"], "metric": metric}


def _judge(rules: Rules, given: Given, settings: Given) -> Any:
    judge = rules.judge(settings)
    for tokens, finish in ((1, "stop"), (1, "length"), (10**6, "stop")):
        for output in TEXTS:
            said = {"output": output, "tokens": tokens, "finish": finish}
            yield [judge.judge(said, (reference,)) for reference in TEXTS]


def _rows(given: Given) -> list[dict[str, Any]]:
    """The predictions, with answers of every kind among them."""
    rows = [dict(row) for row in given["predictions"]]
    for place, row in enumerate(rows):
        for run, shift in (("adapter", 0), ("base", 3), ("blind", 7)):
            text = TEXTS[(place + shift) % len(TEXTS)]
            if (place + shift) % 3:
                row[run] = {**row[run], "output": text}
    return rows


def _evaluate(rules: Rules, given: Given, settings: Given) -> Any:
    cases = _cases(rules, given)
    yield rules.evaluate(given["predictions"], cases, settings)
    yield rules.evaluate(_rows(given), cases, settings)
    yield _or_error(lambda: rules.evaluate(given["predictions"][1:], cases, settings))


def _evaluate_stated(rules: Rules, given: Given, settings: Given) -> Any:
    cases = _cases(rules, given)
    pictures = {case.case: case.images for case in cases}
    stated = rules.evaluate(given["predictions"], cases, settings)
    yield rules.evaluate_stated(given["predictions"], pictures, settings, stated=stated)


def _mismatches(rules: Rules, given: Given, settings: Given) -> Any:
    return rules.find_mismatches(_rows(given), _cases(rules, given), settings)


def _impossible(rules: Rules, given: Given, settings: Given) -> Any:
    for score in ("0", "0.3", "0.6", "1"):
        rows = [{**row, "adapter": {**row["adapter"], "score": score}} for row in _rows(given)]
        yield rules.find_impossible(rows, settings)


def _inputs() -> Iterator[KscoreInputs]:
    for accuracy in ("0", "0.7", "0.951234", "1"):
        for size in (100, 1024, 10**6, 2**34):
            for latency, cost in ((50, "0"), (120_000, "0.002")):
                yield {
                    "accuracy": accuracy,
                    "coverage": "0.9",
                    "size_bytes": size,
                    "p50_latency_us": latency,
                    "p95_latency_us": latency,
                    "latency_calls": 30,
                    "cost_usd_per_call": cost,
                }


def _kscore(rules: Rules, given: Given) -> Any:
    return [rules.kscore(inputs) for inputs in _inputs()]


def _decide(rules: Rules, given: Given) -> Any:
    for composite in ("0.85", "0.8499"):
        for demanded in (None, "0.85"):
            for passed in (True, False):
                yield rules.decide(composite, demanded, floors_passed=passed)


def _cost(rules: Rules, given: Given) -> Any:
    priced = {"kind": "per_token", "usd_per_1000_tokens": "0.0137"}
    for cost in ({"kind": "local"}, priced):
        yield [rules.cost_usd_per_call(cost, tokens) for tokens in ("1", "17.25", "1000")]


def _receipt(rules: Rules, given: Given) -> Any:
    for lock in _locks(given):
        yield rules.derive_receipt(
            lock=lock,
            snapshot=given["snapshot"],
            modules=given["modules"],
            examples=given["examples"],
            trace=given["trace"],
            members={
                name: (digest.of_bytes(name.encode()), len(name))
                for name in ("README.md", "adapter_model.safetensors", "spec.lock.json")
            },
        )


def _card(rules: Rules, given: Given) -> Any:
    cases = _cases(rules, given)
    for receipt in _receipt(rules, given):
        lock = given["lock"]
        said = rules.evaluate(given["predictions"], cases, lock["evaluation"])
        yield rules.render_card(receipt=receipt, lock=lock, evaluation=said)


def _adapter_config(rules: Rules, given: Given) -> Any:
    return [rules.derive_adapter_config(lock, given["modules"]) for lock in _locks(given)]


def _expand(rules: Rules, given: Given) -> Any:
    modules = [row["module"] for row in given["modules"]]
    for globs in ([], ["*"], ["model.*"], ["*.layers.*.*"], modules[:3], ["*.0.*", "*.1.*"]):
        yield _or_error(lambda globs=globs: rules.expand(globs, modules))


def _words(rules: Rules, given: Given) -> Any:
    states = ("frozen", "adapted", "trained")
    rows = [(role, state) for role in ("head", "audio", "vision", "other") for state in states]
    for count in range(len(rows) + 1):
        yield [rules.claimed_words(part) for part in (rows[:count], rows[count:], rows[count::2])]
    yield rules.claimed_words((row["role"], row["state"]) for row in given["modules"])


def _base_and_method(given: Given) -> tuple[Outline, Any]:
    family = roles.family(given["lock"]["base"]["family"])
    return of_modules(given["modules"], family), method_of(given["lock"]["train"]["method"])


def _recount(rules: Rules, given: Given) -> Any:
    base, method = _base_and_method(given)
    for lock in _locks(given):
        for projector in ("frozen", "lora", "full"):
            changed = {**lock, "train": {**lock["train"], "projector": projector}}
            reading = reading_of(rules.read_schedule(changed), given["examples"])
            yield rules.recount(
                lock=changed, reading=reading, trace=given["trace"], base=base, method=method,
                shared=False,
            )  # fmt: skip


def _modifier_test(rules: Rules, given: Given) -> Any:
    for declared in (None, "6e24 FLOP, its model card", "1.5e3 FLOP, a guess"):
        dossier = {"dossier": {"base_compute": declared}} if declared else {}
        for total in (0, 499, 500, 501, 10**23 // 3, 10**23 // 3 + 1):
            yield rules.modifier_test(total, {**given["lock"], **dossier})


def _tower(rules: Rules, given: Given) -> Any:
    base, method = _base_and_method(given)
    pictures = [Sight((str(n % 5), 0, False), 1 + n % 2, 96 + 24 * (n % 3)) for n in range(40)]
    train = {position: pictures[position : position + 2] for position in range(32)}
    for lock in _locks(given):
        for frozen in (True, False):
            freeze = {**lock["train"]["freeze"], "vision": frozen}
            changed = {**lock, "train": {**lock["train"], "freeze": freeze}}
            read = Read(train, [pictures[32:34], pictures[33:]], given["trace"])
            yield rules.tower_operations(changed, base, method, read)


RECIPES: dict[str, Callable[[Rules, Given], Any]] = {
    "assign": _assign,
    "batch_order": _batch_order,
    "build_cases": _said_of_cases,
    "checkpoints_follow": _checkpoints,
    "claimed_words": _words,
    "cost_usd_per_call": _cost,
    "decide": _decide,
    "derive_adapter_config": _adapter_config,
    "derive_receipt": _receipt,
    "derive_seeds": _seeds,
    "examples_follow": _examples,
    "expand": _expand,
    "fingerprints": _fingerprints,
    "kscore": _kscore,
    "modifier_test": _modifier_test,
    "pack_root": _pack_root,
    "read_schedule": _schedule,
    "recount": _recount,
    "trace_follows": _trace,
    "render_card": _card,
    "root_of": _root_of,
    "tower_operations": _tower,
    "training_root": _training_root,
}
METRIC_RECIPES: dict[str, Callable[[Rules, Given, Given], Any]] = {
    "evaluate": _evaluate,
    "evaluate_stated": _evaluate_stated,
    "find_impossible": _impossible,
    "find_mismatches": _mismatches,
    "judge": _judge,
}


def _toy_inputs() -> dict[str, Any]:
    from tests.support.bundles import make_parts

    with tempfile.TemporaryDirectory() as folder:
        parts = make_parts(Path(folder), cases=24, train=9)
        return {
            "cases": parts.cases,
            "examples": parts.examples,
            "lines": parts.snapshot_rows,
            "lock": parts.lock,
            "modules": parts.modules,
            "predictions": parts.predictions,
            "snapshot": parts.snapshot,
            "trace": parts.trace,
        }


def main(arguments: Iterable[str]) -> int:
    """Record every version that is not released; release the current one if asked."""
    words = list(arguments)
    release = words[words.index("--release") + 1] if "--release" in words else None
    for artifact_type in FORMATS:
        path = FOLDER / f"{name_of(artifact_type)}.json"
        known = json.loads(path.read_text()) if path.exists() else {"released": None, "rules": {}}
        released = known["released"]
        if not released and ("--inputs" in words or not path.exists()):
            inputs = json.dumps(_toy_inputs(), sort_keys=True, separators=(",", ":"))
            (FOLDER / f"{name_of(artifact_type)}.inputs.json").write_text(inputs + "\n")
        rules = digests(artifact_type)
        if released:
            rules |= known["rules"]  # what is recorded stays; a new metric adds its own lines
        made = {"released": released or release, "rules": rules}
        path.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
        print(f"{artifact_type}: recorded, released with {made['released'] or 'nothing yet'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
