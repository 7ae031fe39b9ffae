"""V16–V19: do the claims that count agree with the content and with each other?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from kolm.digest import hex_of, of_value
from kolm.format.names import EVALUATION, LINES, LOCK, MODULES, SNAPSHOT, Name
from kolm.records.verification import Finding
from kolm.sign.predicates import COMPUTE, KSCORE, LOCAL_BUILDER, PROVENANCE, TEST_RESULT
from kolm.sign.predicates import MODULES as MODULES_CLAIM
from kolm.verify.check import check
from kolm.verify.demands import worst
from kolm.verify.findings import failed, passed, unless_equal
from kolm.verify.subject import MANIFEST, Subject

if TYPE_CHECKING:
    from kolm.records.documents import PredicateTestResult


@check(
    "V16",
    "Does the modules claim name this modules.jsonl and base, and do its words hold?",
    needs=("V20",),
    reads=(MODULES, LOCK),
    about=(MODULES_CLAIM,),
)
def modules_claim_holds(subject: Subject) -> Iterator[Finding]:
    """Its words are computed again over recomputed roles, never over the roles in the bundle."""
    claims = subject.claims.said(MODULES_CLAIM)
    recomputed = [(subject.role_of(row).value, row["state"]) for row in subject.modules]
    words = subject.rules.claimed_words(recomputed)
    for name, said in claims:
        yield from _differs(name, "modules", subject.digests[MODULES], said["modules"])
        yield from _differs(name, "base", subject.lock["base"]["root"], said["base"])
        if said["words"] != words:
            yield failed(
                "the claim's statements differ from those that follow from the bundle",
                where=f"modules claim by {name}",
                expected=", ".join(words),
                found=", ".join(said["words"]),
            )
    yield passed(", ".join(words), by=(name for name, _ in claims))


@check(
    "V17",
    "Does the provenance match lock, base and snapshot?",
    reads=(LOCK, SNAPSHOT),
    about=(PROVENANCE,),
)
def provenance_matches(subject: Subject) -> Iterator[Finding]:
    """Builder, external parameters, lock, environment, both dependencies and the times."""
    claims = subject.claims.said(PROVENANCE)
    lock = subject.lock
    for name, said in claims:
        build = said["buildDefinition"]
        internal = build["internalParameters"]
        yield from _differs(name, "name", lock["name"], build["externalParameters"]["name"])
        yield from _differs(name, "lock", subject.digests[LOCK], internal["lock"])
        yield from _differs(name, "environment", lock["environment"], internal["environment"])
        for due, stated in zip(_dependencies(subject), build["resolvedDependencies"], strict=True):
            yield from _differs(name, str(due["name"]), due, stated)
        builder = said["runDetails"]["builder"]["id"]
        yield from _differs(name, "builder", LOCAL_BUILDER, builder)
        times = said["runDetails"]["metadata"]
        if times["finishedOn"] < times["startedOn"]:
            yield failed("it finished before it started", where=f"provenance by {name}")
    yield passed(
        "lock, base and snapshot agree; an honest SLSA Build L1, no more",
        by=(name for name, _ in claims),
    )


def _dependencies(subject: Subject) -> list[dict[str, object]]:
    """What the provenance of this bundle lists: the base, then the snapshot."""
    base, root = subject.lock["base"], hex_of(subject.snapshot["root"])
    return [
        {
            "name": "base",
            "digest": {"merkleSha256": hex_of(base["root"])},
            "annotations": {"id": base["id"]},
        },
        {
            "name": "snapshot",
            "digest": {"merkleSha256": root, "sha256": hex_of(subject.digests[SNAPSHOT])},
        },
    ]


@check(
    "V18",
    "Do the K-score and test-result claims agree with the content and with each other?",
    reads=(EVALUATION, LINES, LOCK),
    about=(KSCORE, TEST_RESULT),
)
def scores_claims_agree(subject: Subject) -> Iterator[Finding]:
    """They name this evaluation, and one signer's verdict is one verdict."""
    scores, results = subject.claims.own_scores(), subject.claims.said(TEST_RESULT)
    if subject.claims.said(KSCORE) and not scores:
        yield failed("no K-score is about the bundle's own cases", rule="K7", where="pack#/owner")
    yield from _measured_after_the_build(subject)
    for name, said in scores:
        yield from _differs(
            name, "evaluation", subject.digests[EVALUATION], said["evaluation"], "K7"
        )
        yield from _differs(name, "pack root", subject.pack_root, said["pack"]["root"], "K7")
    for name, test in results:
        configured = [item["name"] for item in test["configuration"]]
        yield from _differs(name, "configuration", [EVALUATION, LOCK], sorted(configured), "C14")
        for item in test["configuration"]:
            held = subject.digests.get(item["name"])
            expected = hex_of(held) if held else "a member of the bundle"
            yield from _differs(name, item["name"], expected, item["digest"]["sha256"], "C14")
        yield from _floors_agree(subject, name, test)
        if (test["result"] == "PASSED") == bool(test["failedTests"]):
            yield failed(
                "the result does not follow from its tests",
                rule="C14",
                where=f"test result by {name}",
                found=test["result"],
            )
    for name in sorted({name for name, _ in results}):
        stated = {
            _verdict(test["result"].lower(), _test_of("k", test))
            for signer, test in results
            if signer == name
        }
        measured = tuple(pair for pair in scores if pair[0] == name)
        if measured:
            gate = worst(measured)[1]["gate"]  # of several from one second the one that decides
            stated.add(_verdict(gate["verdict"], gate["k_passed"]))
        if len(stated) > 1:
            yield failed(
                "one signer states two verdicts",
                rule="K6",
                where=f"claims by {name}",
                expected="one verdict",
                found=" and ".join(sorted(stated)),
            )
    if not scores and not results:
        return  # K-scores of other packs alone, which is said above
    verdict = scores[0][1]["gate"]["verdict"] if scores else results[0][1]["result"].lower()
    yield passed(f"one verdict: {verdict}", by=(name for name, _ in (*scores, *results)))


def _measured_after_the_build(subject: Subject) -> Iterator[Finding]:
    started = subject.claims.began
    for state in subject.claims.holding(KSCORE):
        if state.stated_at < started:
            yield failed(
                "the K-score was measured before the build began",
                rule="K4",
                where=f"K-score by {state.name}#/measured_on",
                expected=f"{started} or later",
                found=state.stated_at,
            )


def _verdict(gate: str, k_passed: bool | None) -> str:
    words = {True: "passed", False: "failed", None: "not demanded"}
    return f"gate {gate}, k {words[k_passed]}"


def _test_of(name: str, said: PredicateTestResult) -> bool | None:
    """How a test result has a test: passed, failed, or not at all."""
    if name in said["passedTests"]:
        return True
    return False if name in said["failedTests"] else None


def _floors_agree(subject: Subject, name: str, said: PredicateTestResult) -> Iterator[Finding]:
    """Floors that the test result names stand on the side where the evaluation has them.

    What the lock does not demand is no test.
    """
    demanded = [f for f in subject.evaluation["floors"] if f["passed"] is not None]
    for floor in demanded:
        sides = (("passedTests", said["passedTests"]), ("failedTests", said["failedTests"]))
        (side, here), (other, there) = sides if floor["passed"] else sides[::-1]
        if floor["name"] in there or floor["name"] not in here:
            yield failed(
                "a floor is reported differently than in the evaluation",
                rule="C14",
                where=f"test result by {name}",
                expected=f"{floor['name']} in {side}",
                found=other if floor["name"] in there else "nowhere",
            )
    tests = [*said["passedTests"], *said["failedTests"]]  # one on both sides counts twice
    known: set[str] = {floor["name"] for floor in demanded}
    if subject.lock["evaluation"]["floors"]["k"] is not None:
        known.add("k")
    yield from _differs(name, "list of tests", sorted(known), sorted(tests), "C14")


# What any signer of a kind can recompute, so that two must say the same.
RECOMPUTABLE: dict[Name[object], tuple[tuple[str, ...], ...]] = {
    PROVENANCE: (("buildDefinition", "internalParameters", "lock"),),
    MODULES_CLAIM: (("base",), ("modules",)),
    COMPUTE: (("flops",), ("modifier_test",)),
    KSCORE: (
        ("evaluation",),
        ("inputs", "accuracy"),
        ("inputs", "coverage"),
        ("inputs", "size_bytes"),
        ("axes", "A"),
        ("axes", "S"),
        ("axes", "V"),
        ("gate", "k"),
        ("gate", "floors_passed"),
    ),
}


@check("V19", "Do several claims of one kind agree on what can be recomputed?", reads=(MANIFEST,))
def claims_of_a_kind_agree(subject: Subject) -> Iterator[Finding]:
    """Measured fields may differ between machines; recomputable ones may not."""
    several = 0
    for predicate_type, paths in RECOMPUTABLE.items():
        own = predicate_type == KSCORE
        claims = subject.claims.own_scores() if own else subject.claims.said(predicate_type)
        several += len(claims) > 1
        for path in paths:
            stated = {of_value(_at(said, path)): name for name, said in claims}
            if len(stated) > 1:
                yield failed(
                    f"two claims differ in {'/'.join(path)}",
                    where=predicate_type,
                    found=" and ".join(sorted(stated.values())),
                )
    yield passed(f"{several} kinds with several claims")


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        value = cast("Mapping[str, object]", value)[key]
    return value


def _differs(
    name: str, field: str, expected: object, found: object, rule: str = ""
) -> Iterator[Finding]:
    detail = f"the claim states another {field}"
    yield from unless_equal(expected, found, detail, rule=rule, where=f"claim by {name}")
