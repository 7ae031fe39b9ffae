import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import canonical, digest, whole_schema
from kolm.errors import KolmError, Refused
from kolm.format.words import ROLES, claimed_words
from kolm.sign import making, predicates, statement
from tests.support.bundles import audit_of

SUBJECT = digest.of_bytes(b"manifest")
A, B, C = (digest.of_bytes(letter) for letter in (b"a", b"b", b"c"))
BUILD = making.Build(
    name="easy-vqa",
    spec=A,
    lock=B,
    base_id="kolm/nano-1",
    base_root=C,
    snapshot=A,
    snapshot_root=B,
    environment={"class": C, "python": "3.11", "threads": 2, "cpu": None},
    version="0.1.0",
    started=datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC),
    finished=datetime(2026, 1, 2, 5, 0, 0, tzinfo=timezone(timedelta(hours=1))),
    measured={"train_seconds": "12.5", "peak_memory_bytes": 10},
)
MODULES = making.modules(modules=A, base_root=B, words=["vision frozen", "language adapted"])
TEST_RESULT = making.test_result(
    passed=["k", "accuracy"], failed=[], configuration={"spec.lock.json": B, "evaluation.json": A}
)
SUMMARY = audit_of(SUBJECT)
ENTRY = {
    "name": "demo/easy-vqa",
    "version": "1.0.0",
    "bundle": SUBJECT,
    "file": {"digest": A, "size": 10},
    "claims": [A],
    "previous": None,
    "sequence": 1,
    "state": "active",
}
COMPUTE = {
    "flops": {
        "adapter": "1", "attention": "2", "head": "3", "language": "4", "projector": "5",
        "reference": "0", "total": "21", "tower": "6",
    },
    "measured": {
        "energy": {"joules": "12.5", "meters": ["nvml", "rapl"]},
        "from_step": 0, "observed_peak_bytes": 10, "seconds": "1.5",
    },
    "modifier_test": {"base_flops": None, "exceeds": False, "limit": "3", "words": "Less."},
    "predicted_peak_bytes": 10,
    "shared_prompts": False,
}  # fmt: skip
KINDS = {
    predicates.PROVENANCE: making.provenance(BUILD),
    predicates.MODULES: MODULES,
    predicates.COMPUTE: COMPUTE,
    predicates.TEST_RESULT: TEST_RESULT,
    predicates.VERIFICATION_SUMMARY: SUMMARY,
    predicates.ENTRY: ENTRY,
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_statement_of_each_kind_comes_back(kind):
    data = making.statement(SUBJECT, "demo", kind, KINDS[kind])
    said = statement.parse(data)
    assert (said.subject, said.name, said.predicate_type) == (SUBJECT, "demo", kind)
    assert said.predicate == KINDS[kind]


def test_provenance_names_inputs_times_and_measurements():
    made = making.provenance(BUILD)
    definition, run = made["buildDefinition"], made["runDetails"]
    assert definition["buildType"] == "urn:kolm:compile:v1"
    assert definition["externalParameters"] == {"name": "easy-vqa", "spec": A}
    base, snapshot = definition["resolvedDependencies"]
    assert base["digest"] == {"merkleSha256": digest.hex_of(C)}
    assert snapshot["digest"] == {
        "merkleSha256": digest.hex_of(B),
        "sha256": digest.hex_of(A),
    }
    assert run["metadata"] == {
        "startedOn": "2026-01-02T03:04:05Z",
        "finishedOn": "2026-01-02T04:00:00Z",
    }
    assert run["byproducts"][0]["annotations"]["peak_memory_bytes"] == 10


def test_a_time_without_a_zone_is_an_error():
    with pytest.raises(ValueError, match="zone"):
        predicates.instant(datetime(2026, 1, 1))  # noqa: DTZ001 - this is the point


def test_a_fraction_is_not_signed():
    with pytest.raises(TypeError):
        making.statement(SUBJECT, "d", predicates.MODULES, {**MODULES, "words": [0.5]})


def test_one_failed_floor_makes_the_result_failed():
    made = making.test_result(passed=["a"], failed=["b"], configuration={"x": A})
    assert (made["result"], made["failedTests"]) == ("FAILED", ["b"])
    assert TEST_RESULT["result"] == "PASSED"
    assert [item["name"] for item in TEST_RESULT["configuration"]] == [
        "evaluation.json",
        "spec.lock.json",
    ]


def test_claimed_words_take_the_strongest_state_of_each_role():
    rows = [
        ("vision", "frozen"),
        ("language", "frozen"),
        ("language", "adapted"),
        ("head", "adapted"),
        ("head", "trained"),
    ]
    assert claimed_words(rows) == ["vision frozen", "language adapted", "head trained"]
    assert claimed_words([]) == []


@pytest.mark.parametrize("state", ["frozen", "adapted", "trained"])
def test_every_role_has_its_word_in_the_claim_and_in_a_policy(state):
    words = claimed_words((role, state) for role in ROLES)
    claim = whole_schema.load("predicate_modules")["properties"]["words"]
    asked = whole_schema.load("policy")["properties"]["freeze"]
    assert len(words) == len(ROLES) <= claim["maxItems"]
    for allowed in (claim, asked):
        assert all(re.fullmatch(allowed["items"]["pattern"], word) for word in words)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (predicates.PROVENANCE, lambda p: p["buildDefinition"].update(buildType="other")),
        (
            predicates.PROVENANCE,
            lambda p: p["buildDefinition"]["externalParameters"].update(extra="x"),
        ),
        (predicates.PROVENANCE, lambda p: p["buildDefinition"]["resolvedDependencies"].pop()),
        (predicates.PROVENANCE, lambda p: p["runDetails"]["metadata"].pop("finishedOn")),
        (predicates.MODULES, lambda p: p.update(words=[])),
        (predicates.MODULES, lambda p: p.update(words=["vision melted"])),
        (predicates.MODULES, lambda p: p.update(modules="sha256:xyz")),
        (predicates.COMPUTE, lambda p: p["flops"].update(language="0.5")),
        (predicates.COMPUTE, lambda p: p["flops"].pop("tower")),
        (predicates.COMPUTE, lambda p: p["measured"].update(energy={})),
        (predicates.COMPUTE, lambda p: p["measured"]["energy"].update(meters=["guess"])),
        (predicates.TEST_RESULT, lambda p: p.update(result="WARNED")),
        (predicates.TEST_RESULT, lambda p: p.update(configuration=[])),
        (
            predicates.VERIFICATION_SUMMARY,
            lambda p: p.update(verifiedLevels=["SLSA_BUILD_LEVEL_3"]),
        ),
        (
            predicates.VERIFICATION_SUMMARY,
            lambda p: p.update(inputAttestations=[{"uri": "urn:claim"}]),
        ),
        (predicates.ENTRY, lambda p: p.update(state="Yanked")),
        (predicates.ENTRY, lambda p: p.update(sequence=0)),
        (predicates.ENTRY, lambda p: p.update(name="../x")),
    ],
)
def test_a_predicate_that_does_not_fit_its_kind_is_refused(kind, change):
    value = canonical.loads(canonical.dumps(KINDS[kind]), where="test")
    change(value)
    with pytest.raises(Refused) as caught:
        making.statement(SUBJECT, "demo", kind, value)
    assert caught.value.code == "E_SCHEMA"


def _statement(**changes):
    value = canonical.loads(
        making.statement(SUBJECT, "demo", predicates.MODULES, MODULES), where="test"
    )
    return canonical.dumps({**value, **changes})


@pytest.mark.parametrize("time", ["9999-99-99T99:99:99Z", "2026-02-30T00:00:00Z"])
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (predicates.PROVENANCE, lambda p, t: p["runDetails"]["metadata"].update(startedOn=t)),
        (predicates.PROVENANCE, lambda p, t: p["runDetails"]["metadata"].update(finishedOn=t)),
        (predicates.VERIFICATION_SUMMARY, lambda p, t: p.update(timeVerified=t)),
    ],
)
def test_a_time_that_no_clock_shows_is_refused(kind, change, time):
    value = canonical.loads(canonical.dumps(KINDS[kind]), where="test")
    change(value, time)
    with pytest.raises(Refused) as caught:
        making.statement(SUBJECT, "demo", kind, value)
    assert caught.value.code == "E_CLAIM_TIME"


def test_a_summary_can_name_the_claims_that_were_read():
    said = audit_of(SUBJECT, claims=[b"a claim"])
    data = making.statement(SUBJECT, "demo", predicates.VERIFICATION_SUMMARY, said)
    assert statement.parse(data).predicate == said


SUBJECT_ITEM = {"name": "demo", "digest": {"sha256": digest.hex_of(SUBJECT)}}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "E_SCHEMA"),
        ({"extra": 1}, "E_SCHEMA"),
        ({"subject": []}, "E_SCHEMA"),
        ({"subject": [SUBJECT_ITEM, SUBJECT_ITEM]}, "E_SCHEMA"),
        ({"subject": [{**SUBJECT_ITEM, "name": "demo\nok   3 entries"}]}, "E_SCHEMA"),
        ({"subject": [{**SUBJECT_ITEM, "name": "\x1b[32mdemo"}]}, "E_SCHEMA"),
        ({"subject": [{**SUBJECT_ITEM, "digest": {}}]}, "E_SCHEMA"),
        ({"subject": [{**SUBJECT_ITEM, "digest": {"sha256": "AB"}}]}, "E_SCHEMA"),
        ({"subject": [{**SUBJECT_ITEM, "digest": {"sha512": "0" * 128}}]}, "E_SCHEMA"),
        ({"predicate": []}, "E_SCHEMA"),
        ({"predicateType": "https://example.com/other"}, "E_PREDICATE_UNKNOWN"),
        ({"predicateType": predicates.TEST_RESULT}, "E_SCHEMA"),
    ],
)
def test_a_statement_that_breaks_a_rule_is_refused(changes, code):
    with pytest.raises(Refused) as caught:
        statement.parse(_statement(**changes))
    assert caught.value.code == code


def test_a_statement_that_is_not_canonical_is_refused():
    with pytest.raises(Refused) as caught:
        statement.parse(_statement() + b" ")
    assert caught.value.code == "E_JSON_NOT_CANONICAL"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_statements_raise_only_typed_errors(data):
    with pytest.raises(KolmError):
        statement.parse(data)
