"""Why a verification did not pass: whatever check fails, its reader is told what to do."""

from __future__ import annotations

import pytest

from kolm.cli.verification_advice import advice
from kolm.cli.verification_summary import summarise
from kolm.records.verification import Finding, Verdict
from kolm.sign.trust import TrustStore
from kolm.verify.checks import ALL_CHECKS
from kolm.verify.findings import could_not_look
from kolm.verify.policy import BUILT_IN
from tests.support.audits import World

NEVER_FAIL = {"V44", "V45", "V54"}  # docs/format/verification.md


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("advice"))


@pytest.mark.parametrize("number", [c.id for c in ALL_CHECKS if c.id not in NEVER_FAIL])
def test_every_check_that_can_fail_has_a_cause_and_a_next_step(world: World, number: str) -> None:
    report = world.audit().report
    failed = tuple(
        check._replace(verdict=Verdict.FAILED) if check.id == number else check
        for check in report.checks
    )
    overall = report.conclusions.overall._replace(verdict=Verdict.FAILED)
    told = advice(
        report._replace(checks=failed, conclusions=report.conclusions._replace(overall=overall))
    )
    why, then, more = told
    assert why.startswith("why ")
    assert then.startswith("next ")
    assert more.startswith(f"more  kolm help {number}")


def test_a_missed_policy_says_what_the_open_questions_need_too(world: World) -> None:
    policy = BUILT_IN._replace(reach=("base_identity",), minimum_eval_cases=10_000)
    why, then, _ = advice(world.audit(policy=policy).report)
    assert why.startswith("why   it is not what your policy demands")
    assert "write your own" in then
    assert "--base kolm/nano-1" in then
    assert "--replay" not in then  # the policy does not demand the verdict that needs it


def test_who_wrote_the_policy_decides_what_helps_when_it_is_missed(world: World) -> None:
    report = world.audit(policy=BUILT_IN._replace(minimum_eval_cases=10_000)).report
    missed = report._replace(
        checks=tuple(c for c in report.checks if c.verdict is not Verdict.COULD_NOT_LOOK)
    )
    assert "kolm policy new --for PURPOSE" in list(advice(missed))[1]
    asked = missed._replace(
        checks=tuple(c._replace(verdict=Verdict.OK) if c.id == "V68" else c for c in missed.checks)
    )
    assert "policy new" not in list(advice(asked))[1]
    assert "another request" in list(advice(asked))[1]


def test_a_verdict_that_was_not_reached_says_what_reaches_it(world: World) -> None:
    for scope, option in (("base_identity", "--base kolm/nano-1"), ("process", "--replay all")):
        _, then, _ = advice(world.audit(policy=BUILT_IN._replace(reach=(scope,))).report)
        assert option in then


def test_a_command_stands_whole_on_a_line_and_the_check_that_decides_is_named(
    world: World,
) -> None:
    report = world.audit(trust=TrustStore(())).report
    decides = next(c.id for c in report.checks if c.verdict is report.conclusions.overall.verdict)
    lines = summarise(report, paint=lambda text, _: text).splitlines()
    assert "      kolm keys trust FILE --as NAME --role builder --role evaluator" in lines
    assert lines[-1].endswith(f"kolm help {decides}.")


def test_a_state_that_was_not_handed_over_is_no_lack_of_this_machine(world: World) -> None:
    report = world.audit().report
    finding = could_not_look("the state is not handed over", code="E_STATE_NOT_HANDED_OVER")
    open_ = tuple(
        check._replace(verdict=Verdict.COULD_NOT_LOOK, findings=(finding,))
        if check.id == "V51"
        else check
        for check in report.checks
    )
    overall = report.conclusions.overall._replace(verdict=Verdict.COULD_NOT_LOOK)
    conclusions = report.conclusions._replace(overall=overall)
    why, then, _ = advice(report._replace(checks=open_, conclusions=conclusions))
    assert "the publisher did not hand over" in why
    assert "--states PATH" in then
    assert "--replay all" in then


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.COULD_NOT_LOOK])
@pytest.mark.parametrize("many", [False, True])
def test_a_cause_is_told_whole_and_other_lines_give_way(
    world: World, verdict: Verdict, many: bool
) -> None:
    """200 characters are as many as a finding says of anything."""
    report = world.audit(policy=BUILT_IN._replace(minimum_eval_cases=9)).report
    words = {name: " ".join(f"{name[0]}{n:03}" for n in range(40)) for name in ("cause", "expect")}
    finding = Finding(
        verdict=verdict, detail=words["cause"], expected=words["expect"], found="nothing"
    )
    open_ = tuple(
        check._replace(verdict=verdict, findings=(finding,)) if many or check.id == "V33" else check
        for check in report.checks
    )
    fields = report.conclusions._asdict()
    wrong = ("overall", "scores", *(fields if many else ()))
    fields |= {name: fields[name]._replace(verdict=verdict) for name in wrong}
    conclusions = report.conclusions._replace(**fields)
    told = summarise(report._replace(checks=open_, conclusions=conclusions), paint=lambda t, _: t)
    assert f"{words['cause']} expected {words['expect']}, found nothing" in " ".join(told.split())
    assert " …" not in told
    assert len(told.splitlines()) <= 25
    assert max(map(len, told.splitlines())) <= 80
