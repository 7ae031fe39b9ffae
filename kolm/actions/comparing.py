"""The compositions: what differs between two bundles, read without believing either."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kolm import canonical, digest
from kolm.actions.pictures import showing
from kolm.bundle.reader import Bundle
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format import names
from kolm.report.comparison import SHOWN_CASES, render, split_cases
from kolm.score.cases import reference_of
from kolm.score.paired import compare
from kolm.score.rounding import in_millionths
from kolm.spec.diff import diff as differences

if TYPE_CHECKING:
    from kolm.records.answers import (
        Diff,
        DiffAnswer,
        DiffBundle,
        DiffCaptures,
        DiffCase,
        DiffModule,
        DiffPaired,
        DiffRate,
        DiffTensors,
    )
    from kolm.records.documents import Capture
    from kolm.records.documents import SnapshotRowSplit as Side


def diff(left: str | Path, right: str | Path) -> Diff:
    """What differs between two bundles: settings, captures, modules, tensors, scores, cases.

    Containers and schemas are checked; whether what is said is true is the question of `verify`.

    Args:
        left: a bundle's file.
        right: another's; a case is worse when the right one scores lower on it.

    Raises:
        Unreadable, Refused: one of them is no intact bundle.
    """
    return compare_bundles(Bundle.open(Path(left)), Bundle.open(Path(right)))


def diff_page(
    left: str | Path, right: str | Path, *, captures: str | Path | None = None
) -> tuple[Diff, bytes]:
    """The same, and as one page of HTML with the pictures of the cases that differ.

    Args:
        left: a bundle's file.
        right: another's.
        captures: folder of a capture store, for pictures that neither bundle publishes.
    """
    opened = Bundle.open(Path(left)), Bundle.open(Path(right))
    found = compare_bundles(*opened)
    with showing(opened, captures) as pictures:
        parts = split_cases(found["cases"])
        shown = {case["case"] for part in parts for case in part[:SHOWN_CASES]}
        return found, render(found, _published(opened, shown), pictures)


def compare_bundles(left: Bundle, right: Bundle) -> Diff:
    """As `diff`, of open bundles."""
    cases, paired, reason = _scores(left, right)
    return {
        "left": _identity(left),
        "right": _identity(right),
        "spec": [
            {"path": found.path, "left": _written(found.left), "right": _written(found.right)}
            for found in differences(left.document(names.LOCK), right.document(names.LOCK))
        ],
        "captures": _captures(left, right),
        "modules": list(_modules(left, right)),
        "tensors": _tensors(left, right),
        "accuracy": {"left": _rate(left), "right": _rate(right)},
        "paired": paired,
        "not_paired": reason,
        "cases": cases,
    }


def _identity(bundle: Bundle) -> DiffBundle:
    return {
        "name": bundle.receipt["name"],
        "content_id": bundle.content_id,
        "cid": bundle.cid,
    }


def _rate(bundle: Bundle) -> DiffRate:
    found = bundle.document(names.EVALUATION)["adapter"]
    interval = found["interval"]
    return {"accuracy": found["accuracy"], "low": interval["low"], "high": interval["high"]}


def _written(value: object) -> str | None:
    """A value as people read it; None where the key is not there."""
    if value is None or isinstance(value, str):
        return value
    return canonical.dumps(value).decode("utf-8")


def _captures(left: Bundle, right: Bundle) -> DiffCaptures:
    """By sides: there may be as many names as a snapshot holds, and each is kept once."""
    added: dict[Side, list[Digest]] = defaultdict(list)
    removed: dict[Side, list[Digest]] = defaultdict(list)
    moved: dict[tuple[Side, Side], list[Digest]] = defaultdict(list)
    for name, found in groupby(merge(_sides(left, 0), _sides(right, 1)), key=itemgetter(0)):
        sides = {which: side for _, which, side in found}
        if 0 not in sides:
            added[sides[1]].append(name)
        elif 1 not in sides:
            removed[sides[0]].append(name)
        elif sides[0] != sides[1]:
            moved[sides[0], sides[1]].append(name)
    return {
        "added": [{"split": side, "captures": added[side]} for side in sorted(added)],
        "removed": [{"split": side, "captures": removed[side]} for side in sorted(removed)],
        "moved": [
            {"left": was, "right": side, "captures": moved[was, side]}
            for was, side in sorted(moved)
        ],
    }


def _sides(bundle: Bundle, which: int) -> Iterator[tuple[Digest, int, Side]]:
    """Each capture and its side, in the order of names.

    Raises:
        Refused: ``E_BUNDLE_REFERENCE``: they are not sorted, each once.
    """
    last = Digest("")
    for number, row in enumerate(bundle.rows(names.LINES), start=1):
        if row["capture"] <= last:
            raise Refused(
                "E_BUNDLE_REFERENCE",
                "captures are not sorted and unique",
                where=f"{bundle.receipt['name']}: {names.LINES}:{number}",
                hint="`kolm verify` says what else is wrong with the bundle",
            )
        last = row["capture"]
        yield last, which, row["split"]


def _modules(left: Bundle, right: Bundle) -> Iterator[DiffModule]:
    """Modules of one bundle alone, and those whose role or state differs."""
    one = {row["module"]: f"{row['role']} {row['state']}" for row in left.rows(names.MODULES)}
    other = {row["module"]: f"{row['role']} {row['state']}" for row in right.rows(names.MODULES)}
    for name in sorted({*one, *other}):
        if one.get(name) != other.get(name):
            yield {"module": name, "left": one.get(name), "right": other.get(name)}


def _tensors(left: Bundle, right: Bundle) -> DiffTensors:
    one, other = dict(_digests(left)), dict(_digests(right))
    shared = one.keys() & other.keys()
    changed = sorted(name for name in shared if one[name] != other[name])
    return {
        "same": len(shared) - len(changed),
        "changed": changed,
        "added": sorted(other.keys() - one.keys()),
        "removed": sorted(one.keys() - other.keys()),
    }


def _digests(bundle: Bundle) -> Iterator[tuple[str, Digest]]:
    """The adapter's tensors and the trained parameters, as the module list states them."""
    for row in bundle.rows(names.MODULES):
        for part in row["adapter"]:
            yield part["tensor"], part["after"]
        if row["state"] == "trained":
            for parameter in row["parameters"]:
                yield f"{row['module']}.{parameter['name']}", parameter["after"]


def _scores(left: Bundle, right: Bundle) -> tuple[list[DiffCase], DiffPaired | None, str | None]:
    """The cases on which the scores differ, the worst first, and the paired test on all."""
    asked = [bundle.document(names.EVALUATION)["metric"] for bundle in (left, right)]
    if asked[0] != asked[1]:
        return [], None, "they are scored by different metrics"
    one, other = _answers(left), _answers(right)
    shared = sorted(one.keys() & other.keys())
    if not shared:
        return [], None, "they have no case in common"
    scores = [
        (
            in_millionths(one[case]["score"]),
            in_millionths(other[case]["score"]),
        )
        for case in shared
    ]
    binary = all(score in (0, 1_000_000) for pair in scores for score in pair)
    found = compare([a for a, _ in scores], [b for _, b in scores], binary=binary)
    differing = sorted(
        (after - before, case)
        for case, (before, after) in zip(shared, scores, strict=True)
        if before != after
    )
    texts = _texts((left, right), {case for _, case in differing})
    return (
        [_case(case, one[case], other[case], texts) for _, case in differing],
        {
            "cases": len(shared),
            "left_only": found["adapter_only"],
            "right_only": found["base_only"],
            "p": found["p"],
            "method": found["method"],
        },
        None,
    )


def _answers(bundle: Bundle) -> dict[Digest, DiffAnswer]:
    """What the adapter answered in each case: all that is compared of its row."""
    return {
        row["case"]: {"output": row["adapter"]["output"], "score": row["adapter"]["score"]}
        for row in bundle.rows(names.PREDICTIONS)
    }


def _published(bundles: Iterable[Bundle], wanted: Collection[Digest]) -> dict[Digest, Capture]:
    """The published ones of the wanted cases by id; all of them take ten times their bytes."""
    return dict(_found(bundles, wanted))


def _texts(bundles: Iterable[Bundle], wanted: Collection[Digest]) -> dict[Digest, tuple[str, str]]:
    """Prompt and reference of the wanted cases, where they are published."""
    return {
        case: (_prompt(capture), reference_of(capture, where=case))
        for case, capture in _found(bundles, wanted)
    }


def _found(
    bundles: Iterable[Bundle], wanted: Collection[Digest]
) -> Iterator[tuple[Digest, Capture]]:
    for bundle in bundles:
        if wanted and names.CASES in bundle.names:
            data = bundle.member(names.CASES)
            for _, line, row in canonical.read_lines(data, where=names.CASES):
                if (case := digest.of_bytes(line)) in wanted:
                    yield case, cast("Capture", row)


def _case(
    case: Digest,
    one: DiffAnswer,
    other: DiffAnswer,
    texts: Mapping[Digest, tuple[str, str]],
) -> DiffCase:
    prompt, reference = texts.get(case, (None, None))
    return {"case": case, "prompt": prompt, "reference": reference, "left": one, "right": other}


def _prompt(capture: Capture) -> str:
    """The last thing that was asked."""
    asked = [message for message in capture["messages"][:-1] if message["role"] == "user"]
    parts = asked[-1]["content"] if asked else []
    return "".join(part["text"] for part in parts if part["type"] == "text")
