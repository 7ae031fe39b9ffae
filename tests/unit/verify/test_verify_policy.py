"""V60–V67 and policy files: one negative case a clause."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, digest, whole_schema
from kolm.cli.verification_summary import summarise
from kolm.errors import Refused, Unreadable, Usage
from kolm.records import codec
from kolm.records.verification import Verdict
from kolm.score.cases import answer_type
from kolm.sign import making, predicates
from kolm.sign.private_keys import PrivateKey, generate
from kolm.sign.trust import TrustStore
from kolm.verify import foresight
from kolm.verify.demands import SLICE_CASES
from kolm.verify.policy import BUILT_IN, ClaimDemand, PackDemand, load_policy, read_policy
from tests.support.audits import World, trusting
from tests.support.bundles import BundleParts
from tests.support.forgeries import FORGERIES

OTHER = (digest.of_bytes(b"other"),)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("policy"))


@pytest.mark.parametrize(
    ("number", "clause"),
    [
        ("V60", {"base_roots": OTHER}),
        ("V60", {"families": ("llava",)}),
        ("V60", {"licenses": ("GPL-3.0-only",)}),
        ("V61", {"methods": ("ia3",)}),
        ("V61", {"freeze": ("projector frozen",)}),
        ("V62", {"metrics": ("anls",)}),
        ("V62", {"minimum_eval_cases": 1000}),
        ("V62", {"eval_pack_roots": OTHER}),
        ("V62", {"floors": {"accuracy_lower_bound": "0.99"}}),
        ("V62", {"floors": {"better_than_base_p": "0"}}),
        ("V62", {"floors": {"k": "0.9999"}}),
        ("V63", {"licenses": ("Apache-2.0",)}),
        ("V64", {"environment_classes": OTHER}),
    ],
)
def test_v60_to_v64_a_clause_that_is_not_met_is_a_no(
    world: World, number: str, clause: dict[str, Any]
) -> None:
    answers = world.audit(policy=BUILT_IN._replace(**clause))
    assert number in answers.failed
    assert {check for check in answers.failed if check < "V60"} == set()


def test_clauses_that_are_met_are_accepted(world: World) -> None:
    lock = world.parts.lock
    policy = BUILT_IN._replace(
        base_roots=(lock["base"]["root"],),
        families=("qwen2_5_vl",),
        licenses=("Apache-2.0", "MIT"),
        methods=("lora",),
        freeze=("vision frozen",),
        metrics=("exact",),
        minimum_eval_cases=1,
        eval_pack_roots=(world.parts.pack_root(),),
        floors={"accuracy_lower_bound": "0.1", "k": "0.1"},
        environment_classes=(lock["environment"]["class"],),
        text="published",
    )
    assert world.audit(policy=policy).overall is Verdict.OK


@pytest.mark.parametrize(
    ("tolerance", "holds"), [("0.05", True), ("0.0500001", True), ("0.0499999", False)]
)
def test_v62_a_metric_that_tolerates_more_than_the_policy_is_a_no(
    world: World, tolerance: str, holds: bool
) -> None:
    accepted = ("exact", {"kind": "relaxed", "tolerance": tolerance})
    tolerant = world.parts.copy()
    tolerant.lock["evaluation"]["metric"] = {"kind": "relaxed", "tolerance": "0.05"}
    tolerant.rescore()
    answers = world.audit(tolerant, policy=BUILT_IN._replace(metrics=accepted))
    assert (answers.overall is Verdict.OK) == holds
    assert ("V62" in answers.failed) != holds


def test_v62_a_bound_on_the_relaxed_metric_accepts_no_other_metric(world: World) -> None:
    lax = {"kind": "relaxed", "tolerance": "1"}
    assert world.audit(policy=BUILT_IN._replace(metrics=("exact", lax))).overall is Verdict.OK
    assert world.audit(policy=BUILT_IN._replace(metrics=(lax,))).failed == {"V62"}


def test_v62_a_failed_gate_is_a_no_under_the_built_in_policy(world: World) -> None:
    failing = world.parts.copy()
    failing.lock["evaluation"]["floors"]["accuracy_lower_bound"] = "0.99"
    failing.rescore()
    assert world.audit(failing).failed == {"V62"}
    assert world.audit(failing, policy=BUILT_IN._replace(gate="any")).overall is Verdict.OK


def _swapped(parts: BundleParts) -> None:
    """The base answers what the adapter did, and the adapter answers nothing right."""
    for item in parts.predictions:
        item["base"]["output"], item["adapter"]["output"] = item["adapter"]["output"], "nonsense"
    parts.rescore()


def test_v62_a_significantly_worse_adapter_is_not_better_than_its_base(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    policy = BUILT_IN._replace(
        gate="any", lower_bound_above=None, floors={"better_than_base_p": "0.05"}
    )
    assert world.audit(policy=policy).overall is Verdict.OK
    _swapped(world.parts)
    assert Decimal(world.parts.evaluation["paired"]["p"]) < Decimal("0.05")
    assert world.audit(policy=policy).failed == {"V62"}


def test_v62_the_publisher_cannot_leave_slices_out_of_a_policys_floor(tmp_path: Path) -> None:
    world = World.make(tmp_path, cases=120)
    parts = world.parts
    parts.lock["evaluation"]["floors"]["worst_slice_minimum_cases"] = 1_000_000
    tag = next(s for s in parts.evaluation["slices"] if s["kind"] == "answer_type")["value"]
    for item in parts.predictions:
        case = next(c for c in parts.cases if digest.of_value(c) == item["case"])
        answer = case["messages"][-1]["content"][0]["text"]
        if answer_type(answer) == tag:
            item["adapter"]["output"] = "nonsense"
    parts.rescore()
    wrong = next(s for s in parts.evaluation["slices"] if s["value"] == tag)
    assert wrong["cases"] >= SLICE_CASES
    assert wrong["accuracy"] == "0"
    policy = BUILT_IN._replace(gate="any", floors={"worst_slice": "0.01"})
    assert world.audit(parts, policy=policy).failed == {"V62"}


def test_v62_a_gate_that_nobody_who_counts_measured_was_not_looked_at(world: World) -> None:
    failing = world.parts.copy()
    failing.lock["evaluation"]["floors"]["accuracy_lower_bound"] = "0.99"
    failing.rescore()
    absent = BUILT_IN._replace(measurements=world.stranger.public.keyid)
    assert world.audit(failing, policy=absent).blind == {"V62"}
    undemanded = BUILT_IN._replace(claims=BUILT_IN.claims[:1])
    only_provenance = failing.claims(world.publisher, change=_provenance_alone)
    assert world.audit(failing, claims=only_provenance, policy=undemanded).blind == {"V62"}


def _provenance_alone(said: dict[str, dict[str, Any]]) -> None:
    for kind in [kind for kind in said if kind != predicates.PROVENANCE]:
        del said[kind]


def test_v62_withheld_text_is_a_no_when_the_policy_wants_it(world: World) -> None:
    closed = world.parts.copy()
    closed.lock["publish"]["text"] = False
    closed.without.add("evalcases.jsonl")
    assert world.audit(closed, policy=BUILT_IN._replace(text="published")).failed == {"V62"}


def test_v63_withheld_licences_could_not_be_looked_at(world: World) -> None:
    closed = world.parts.copy()
    closed.lock["publish"]["text"] = False
    closed.without.add("evalcases.jsonl")
    policy = BUILT_IN._replace(licenses=("MIT", "Apache-2.0"))
    assert "V63" in world.audit(closed, policy=policy).blind


PACK = digest.of_bytes(b"a hospital's own cases")


def scored_by(
    world: World,
    key: PrivateKey,
    *,
    gate: str,
    on: str = "2026-02-01T00:00:00Z",
    pack: str = PACK,
    owner: str = "evaluator",
) -> bytes:
    """A K-score of `key` on cases that are not in the bundle."""
    said = world.parts.predicates()[predicates.KSCORE]
    said.update(
        pack={"owner": owner, "root": pack},
        evaluation=digest.of_bytes(b"their evaluation"),
        measured_on=on,
    )
    if gate == "failed":
        said["gate"] = {**said["gate"], "floors_passed": False, "verdict": "failed"}
    made = making.statement(world.parts.content_id(), "toy", predicates.KSCORE, said)
    return making.seal(made, key)


class Hospital:
    """An evaluator with cases of their own, and a policy that names both."""

    def __init__(self, world: World) -> None:
        self.key = generate()
        self.trust = TrustStore((trusting(world.publisher), trusting(self.key, name="hospital")))
        demand = PackDemand(evaluator=self.key.public.keyid, pack=PACK)
        self.policy = BUILT_IN._replace(packs=(demand,))


def test_a_later_score_by_the_maker_does_not_date_the_build_anew(world: World) -> None:
    claims = world.parts.claims(world.publisher)
    (maker,) = world.audit(claims=claims).report.signers
    later = scored_by(world, world.publisher, gate="passed", on="2026-03-01T00:00:00Z")
    (again,) = world.audit(claims=[*claims, later]).report.signers
    assert maker.stated_at is not None
    assert again.stated_at == maker.stated_at < "2026-02"


def test_v66_a_score_that_failed_on_a_named_pack_is_a_no(world: World) -> None:
    hospital = Hospital(world)
    claims = [*world.parts.claims(world.publisher), scored_by(world, hospital.key, gate="failed")]
    named = world.audit(claims=claims, policy=hospital.policy, trust=hospital.trust)
    assert named.failed == {"V66"}
    visible = world.audit(claims=claims, trust=hospital.trust)
    assert visible.overall is Verdict.OK
    assert "FAILED on cases that hospital brought" in visible.report.conclusions.scores.detail
    assert [(s.by, s.owner, s.gate) for s in visible.report.scored] == [
        ("publisher", "publisher", "passed"),
        ("hospital", "evaluator", "failed"),
    ]


def test_a_score_on_other_cases_is_told_with_who_measured_it_and_hides_nobody(
    world: World,
) -> None:
    keys = sorted((generate() for _ in range(2)), key=lambda key: key.public.keyid)
    named = [trusting(key, name=f"buyer{n}") for n, key in enumerate(keys)]
    claims = world.parts.claims(world.publisher)
    claims += [scored_by(world, key, gate="passed") for key in keys]
    report = world.audit(
        claims=claims, trust=TrustStore((trusting(world.publisher), *named))
    ).report
    told = summarise(report, paint=lambda text, _: text)
    for number, key in enumerate(keys):
        by = f"key {key.public.keyid[:16]} (buyer{number})"
        assert f"accuracy {report.scored[0].accuracy}, attested by {by}" in told
    assert f"signed by      key {world.publisher.public.keyid[:16]}, called publisher" in told
    assert "UTC, as the signer says; no time stamp" in told


def test_v66_one_junk_pack_vetoes_nothing(world: World) -> None:
    hospital = Hospital(world)
    junk = digest.of_bytes(b"junk")
    claims = [
        *world.parts.claims(world.publisher),
        scored_by(world, hospital.key, gate="passed"),
        scored_by(world, hospital.key, gate="failed", pack=junk, on="2026-02-02T00:00:00Z"),
    ]
    answers = world.audit(claims=claims, policy=hospital.policy, trust=hospital.trust)
    assert answers.overall is Verdict.OK
    assert answers["V66"].by == ("hospital",)


@pytest.mark.parametrize(("newest", "accepted"), [("passed", True), ("failed", False)])
def test_v66_the_newest_score_of_an_evaluator_on_a_pack_counts(
    world: World, newest: str, accepted: bool
) -> None:
    hospital = Hospital(world)
    older = "failed" if accepted else "passed"
    claims = [
        *world.parts.claims(world.publisher),
        scored_by(world, hospital.key, gate=newest, on="2026-02-02T00:00:00Z"),
        scored_by(world, hospital.key, gate=older),
    ]
    answers = world.audit(claims=claims, policy=hospital.policy, trust=hospital.trust)
    assert (answers.overall is Verdict.OK) == accepted


def test_v66_another_owners_name_keeps_no_older_score(world: World) -> None:
    """The owner is a text of the signer's; which pack it is says its root."""
    hospital = Hospital(world)
    for passed, failed in (("a", "z"), ("z", "a")):
        claims = [
            *world.parts.claims(world.publisher),
            scored_by(world, hospital.key, gate="passed", owner=passed),
            scored_by(world, hospital.key, gate="failed", owner=failed, on="2026-02-02T00:00:00Z"),
        ]
        answers = world.audit(claims=claims, policy=hospital.policy, trust=hospital.trust)
        assert answers.failed == {"V66"}


def test_v66_of_two_scores_from_one_second_the_failed_one_decides(world: World) -> None:
    hospital = Hospital(world)
    claims = [
        *world.parts.claims(world.publisher),
        scored_by(world, hospital.key, gate="passed"),
        scored_by(world, hospital.key, gate="failed"),
    ]
    answers = world.audit(claims=claims, policy=hospital.policy, trust=hospital.trust)
    assert answers.failed == {"V66"}


def test_v66_a_named_score_that_is_not_there_is_a_no(world: World) -> None:
    hospital = Hospital(world)
    assert world.audit(policy=hospital.policy, trust=hospital.trust).failed == {"V66"}
    assert world.audit(policy=hospital.policy).blind == {"V66"}  # nobody knows that key


@pytest.mark.parametrize(
    ("clause", "failing"),
    [
        ({"minimum_eval_cases": 50}, False),
        ({"minimum_eval_cases": 51}, True),
        ({"lower_bound_above": ("majority",)}, False),
        ({"lower_bound_above": ("base",)}, True),
    ],
)
def test_v62_minima_are_the_policys_own(
    tmp_path: Path, clause: dict[str, Any], failing: bool
) -> None:
    """The publisher's floors of nothing change none of them."""
    world = World.make(tmp_path)
    world.parts.lock["evaluation"]["floors"].update(
        above_blind="-1", above_majority="-1", accuracy_lower_bound="0", better_than_base_p="1",
        k="0", worst_slice="0",
    )  # fmt: skip
    for row in world.parts.predictions:
        row["base"]["output"] = row["adapter"]["output"]
    world.parts.rescore()
    policy = BUILT_IN._replace(gate="any", **clause)
    assert ("V62" in world.audit(policy=policy).failed) == failing


def test_the_report_says_who_demands_what_and_what_was_observed(world: World) -> None:
    demands = world.audit(policy=BUILT_IN._replace(floors={"k": "0.1"})).report.demands
    told = {(d.by, d.name): (d.demanded, d.observed, d.evidence) for d in demands}
    low = world.parts.evaluation["adapter"]["interval"]["low"]
    assert told["policy", "distinct_questions"] == ("at least 50", "50", "recomputed")
    assert told["policy", "lower_bound_above_majority"] == ("above 0.34", low, "recomputed")
    assert told["publisher", "accuracy_lower_bound"] == ("at least 0.5", low, "recomputed")
    assert told["policy", "k"][2] == told["publisher", "k"][2] == "attested"


@pytest.mark.parametrize(
    ("floors", "verdict"),
    [
        ({"clustered_lower_bound": "0.5"}, Verdict.OK),
        ({"clustered_lower_bound": "0.999"}, Verdict.FAILED),
        ({"f1": "0.1"}, Verdict.COULD_NOT_LOOK),  # the metric of the toy has none
    ],
)
def test_v62_a_policy_holds_the_intervals_by_pictures_and_figures(
    world: World, floors: dict[str, str], verdict: Verdict
) -> None:
    policy = BUILT_IN._replace(floors=floors, gate="any")
    demands = world.audit(policy=policy).report.demands
    (found,) = [demand for demand in demands if demand.name in floors and demand.by == "policy"]
    assert found.verdict is verdict


def test_v62_a_policy_holds_f1_where_the_metric_has_it(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    world.parts.lock["evaluation"]["metric"] = {"kind": "pope"}
    for number, case in enumerate(world.parts.cases):
        case["messages"][-1]["content"][0]["text"] = "yes" if number % 2 else "no"
    world.parts.declare(world.parts.cases)
    for row in world.parts.predictions:
        row["adapter"]["output"] = "yes"
    world.parts.rescore()
    for least, verdict in (("0.6", Verdict.OK), ("0.7", Verdict.FAILED)):
        demands = world.audit(policy=BUILT_IN._replace(floors={"f1": least})).report.demands
        (found,) = [demand for demand in demands if (demand.by, demand.name) == ("policy", "f1")]
        assert (found.observed, found.verdict) == ("0.666667", verdict)


def test_v62_blind_is_no_bar_where_no_case_has_a_picture(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    parts = world.parts
    spoken = []
    for number, case in enumerate(parts.cases):
        text = {"text": f"question {number}?", "type": "text"}
        user = {"content": [text], "role": "user"}
        spoken.append({**case, "images": [], "messages": [user, case["messages"][-1]]})
    parts.declare(spoken)
    for row in parts.predictions:
        row["blind"]["output"] = row["adapter"]["output"]
    parts.lock["evaluation"]["floors"]["above_blind"] = "-1"
    parts.rescore()
    names = {demand.name for demand in world.audit(parts).report.demands if demand.by == "policy"}
    assert names == {
        "distinct_questions",
        "lower_bound_above_majority",
        "lower_bound_above_swapped",
    }


def test_v62_answers_that_follow_from_the_question_miss_only_what_swapped_demands(
    world: World,
) -> None:
    """Better than no picture and than the most frequent answer of all, under every metric."""
    name = "an adapter that gives the most frequent answer to its question"
    parts = world.parts.copy()
    forge = next(forgery.parts for forgery in FORGERIES if forgery.name == name)
    assert forge is not None
    forge(parts)
    answers = world.audit(parts, policy=BUILT_IN._replace(gate="any"))
    asked = [demand for demand in answers.report.demands if demand.by == "policy"]
    assert [d.name for d in asked if d.verdict is not Verdict.OK] == ["lower_bound_above_swapped"]
    assert len(asked) == 4


@pytest.mark.parametrize("scope", ["base_identity", "process"])
def test_v65_a_demanded_verdict_that_nobody_reached_is_not_a_pass(world: World, scope: str) -> None:
    answers = world.audit(policy=BUILT_IN._replace(reach=(scope,)))
    assert answers.blind == {"V65"}


def test_v65_a_reached_verdict_is_accepted(world: World) -> None:
    policy = BUILT_IN._replace(reach=("delta_scope", "base_identity"))
    assert world.audit(policy=policy, base=world.parts.base).overall is Verdict.OK


def test_the_built_in_policy_is_a_policy_document() -> None:
    document = canonical.loads(canonical.dumps(codec.to_document(BUILT_IN)), where="policy")
    assert read_policy(document, where="policy") == BUILT_IN


def test_a_policy_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(canonical.dumps(codec.to_document(BUILT_IN._replace(name="mine"))))
    assert load_policy(path).name == "mine"


@pytest.mark.parametrize("data", [b"{", b'{"schema":"urn:kolm:policy:v1"}', b"\xff"])
def test_a_broken_policy_file_says_nothing_about_a_bundle(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(data)
    with pytest.raises(Unreadable) as caught:
        load_policy(path)
    assert caught.value.code == "E_POLICY_BROKEN"
    assert path.name in caught.value.where


def test_a_missing_policy_file_could_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        load_policy(tmp_path / "missing.json")


@pytest.mark.parametrize(
    "change",
    [{"surprise": 1}, {"gate": "maybe"}, {"claims": []}, {"base_roots": ["not a digest"]}],
)
def test_a_policy_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        read_policy({**codec.to_document(BUILT_IN), **change}, where="policy")


def test_a_threshold_beyond_the_listed_keys_is_a_usage_error() -> None:
    document = canonical.loads(canonical.dumps(codec.to_document(BUILT_IN)), where="policy")
    document["claims"][0].update(keys=["0" * 64], threshold=2)
    with pytest.raises(Usage):
        read_policy(document, where="policy")


def test_v67_a_declaration_that_the_policy_demands_and_nobody_made_is_a_no(world: World) -> None:
    declaring = world.parts.copy()
    declaring.lock["dossier"] = {"provider": "Example GmbH", "license": "MIT"}
    met = BUILT_IN._replace(dossier=("provider", "license"))
    answers = world.audit(declaring, policy=met)
    assert answers.overall is Verdict.OK
    assert answers["V67"].by == ("publisher",)
    answers = world.audit(declaring, policy=BUILT_IN._replace(dossier=("provider", "energy")))
    assert answers.failed == {"V67"}
    (finding,) = answers["V67"].findings
    assert (finding.rule, finding.code) == ("dossier", "E_DOSSIER_NOT_STATED")
    assert (finding.expected, finding.found) == ("energy", "license, provider")
    assert world.audit(policy=met).failed == {"V67"}


def test_a_policy_demands_what_a_spec_can_declare() -> None:
    declared = whole_schema.load("declared")
    assert [*declared["properties"]] == declared["$defs"]["id"]["enum"]


def test_what_one_key_must_have_signed_is_said_by_name() -> None:
    policy = BUILT_IN._replace(
        same_signer=True,
        claims=(
            ClaimDemand(predicates.PROVENANCE, "builder", 1),
            ClaimDemand(predicates.KSCORE, "evaluator", 1),
            ClaimDemand(predicates.MODULES, "builder", 2),
        ),
    )
    asks = {clause.clause: clause.asks for clause in foresight.clauses(policy)}
    assert asks["same_signer"] == "one and the same key has signed provenance, K-score"
