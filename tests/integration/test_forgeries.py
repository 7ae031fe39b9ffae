"""Every forgery of the corpus, by every attacker, is caught by the check that the docs name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kolm import canonical, digest
from kolm.bundle.container import open_container
from kolm.errors import Unreadable
from kolm.records.verification import Verdict
from kolm.sign import predicates
from tests.support.audits import Answers, Pictures, World, rescoring
from tests.support.corpus import expected, forge, make_worlds
from tests.support.forgeries import (
    ATTACKERS,
    FORGERIES,
    Forgery,
    held_out_capture,
    leaking_capture,
)
from tests.support.toy_documents import make_captures

PAGE = Path(__file__).parents[2] / "docs" / "format" / "forgeries.md"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """By method."""
    return make_worlds(tmp_path_factory.mktemp("forgeries"))


@pytest.fixture(scope="module")
def world(worlds: dict[str, World]) -> World:
    return worlds["lora"]


# One rule of docs/format each, or none besides the check's own row: the number says it.
ONE_RULE = {"V03", "V05", "V07", "V09", "V12", "V16", "V17", "V19", "V26"}


def demand_rules(answers: Answers) -> None:
    """Whatever fails names the rule and the place; of several rules the very one."""
    for number in answers.failed:
        for finding in answers[number].findings:
            if finding.verdict is Verdict.FAILED:
                assert finding.rule, number
                assert finding.where or finding.expected, number
                assert finding.rule != number or finding.code or number in ONE_RULE, number


@pytest.mark.parametrize("attacker", ATTACKERS)
@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_the_forgery_is_caught_as_documented(
    worlds: dict[str, World], forgery: Forgery, attacker: str
) -> None:
    world = worlds[forgery.method]
    if forgery.needs_key and attacker == "nobody":
        pytest.skip("cannot be made without a key")
    path = forge(world, forgery, attacker)
    if forgery.unreadable:
        with pytest.raises(Unreadable):
            world.look(path)
        return
    answers = world.look(path)
    missed = set(expected(forgery, attacker)) - answers.failed - answers.blind
    assert not missed
    if attacker == "signer" or forgery.claims is None:
        assert set(forgery.catches) <= answers.failed
        assert set(forgery.open_) <= answers.blind
    demand_rules(answers)
    caught = bool(forgery.catches or forgery.open_) or bool(expected(forgery, attacker))
    assert (answers.overall is not Verdict.OK) == caught


@pytest.mark.parametrize(
    "forgery", [f for f in FORGERIES if f.only_by == "rescore"], ids=lambda f: f.name
)
@pytest.mark.parametrize("environment", [None, digest.of_bytes(b"another machine")])
def test_running_again_catches_it(
    worlds: dict[str, World], forgery: Forgery, environment: str | None
) -> None:
    world = worlds[forgery.method]
    path = forge(world, forgery, "signer")
    again = rescoring(world.parts, cases=40, environment=environment)
    answers = world.look(path, base=world.parts.base, rescore=again)
    assert answers.failed in ({"V46"}, {"V55"}, {"V57"})


@pytest.mark.parametrize(
    "forgery", [f for f in FORGERIES if f.only_by == "base"], ids=lambda f: f.name
)
def test_the_auditors_base_catches_it(world: World, forgery: Forgery) -> None:
    answers = world.look(forge(world, forgery, "signer"), base=world.parts.base)
    assert answers.failed & {"V27", "V40", "V41", "V42"}


@pytest.mark.parametrize(
    "forgery", [f for f in FORGERIES if f.only_by == "captures"], ids=lambda f: f.name
)
def test_the_auditors_pictures_catch_it(world: World, forgery: Forgery) -> None:
    """The store holds every capture, and those that a forger would rather not show."""
    made = [capture for capture, _ in make_captures(len(world.parts.cases), 12)]
    hidden = [leaking_capture(world.parts), held_out_capture(world.parts)]
    store = Pictures.of(world.parts, [canonical.dumps(one) for one in (*made, *hidden)])
    assert world.audit(captures=store).overall is Verdict.OK
    answers = world.look(forge(world, forgery, "signer"), captures=store)
    assert answers.overall is not Verdict.OK
    assert (answers.failed | answers.blind) & {"V32", "V47", "V48"}


def test_a_removed_claim_is_noticed(world: World) -> None:
    for missing in range(4):
        claims = world.parts.claims(world.publisher)
        del claims[missing]
        assert "V13" in world.audit(claims=claims).failed


def test_a_claim_of_another_bundle_is_noticed(world: World) -> None:
    other = world.parts.copy()
    other.lock["name"] = "other"
    claims = other.claims(world.publisher)
    assert {"V12", "V13"} <= world.audit(claims=claims).failed


def test_a_claim_of_the_wrong_type_is_noticed(world: World) -> None:
    said = world.parts.predicates()
    swapped = {predicates.MODULES: said[predicates.MODULES]}

    def keep_one(wanted: dict[str, object]) -> None:
        wanted.clear()
        wanted.update(swapped)

    claims = world.parts.claims(world.publisher, change=keep_one)  # type: ignore[arg-type]
    assert "V13" in world.audit(claims=claims).failed


def looked(world: World, path: Path) -> Answers | None:
    """The answers, or None when the file could not be looked at; another exception is a bug."""
    try:
        return world.look(path)
    except Unreadable:
        return None


def test_a_flipped_bit_anywhere_is_refused(world: World) -> None:
    honest = world.seal().read_bytes()
    path = world.path()
    chosen = random.Random(20260301)
    positions = {*range(0, 600, 7), len(honest) - 1}
    positions |= {chosen.randrange(len(honest)) for _ in range(250)}
    for position in sorted(positions):
        data = bytearray(honest)
        data[position] ^= 1 << chosen.randrange(8)
        path.write_bytes(data)
        answers = looked(world, path)
        assert answers is None or answers.overall is not Verdict.OK, position


def test_an_entry_whose_header_is_damaged_is_refused_whichever_it_is(world: World) -> None:
    """Then its blob is missing, and no check may stumble over that."""
    honest = world.seal()
    data = bytearray(honest.read_bytes())
    path = world.path()
    for entry in open_container(honest).entries:
        for place in (0, 15, 130, 156, 511):
            position = entry.offset - 512 + place
            data[position] ^= 4
            path.write_bytes(data)
            data[position] ^= 4
            answers = looked(world, path)
            assert answers is None or answers.overall is Verdict.FAILED, (entry, place)


def test_a_cut_anywhere_is_refused(world: World) -> None:
    honest = world.seal().read_bytes()
    path = world.path()
    for size in range(0, len(honest), 1499):
        path.write_bytes(honest[:size])
        answers = looked(world, path)
        assert answers is None or answers.overall is Verdict.FAILED, size


def test_the_page_tells_the_same_as_the_corpus() -> None:
    """The rows of the table in the docs are the corpus, cell by cell."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    lines = lines[: lines.index("## What a replay shows")]
    rows = [line for line in lines if line.startswith("| ") and "| forgery |" not in line]
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]
    assert told == [table_row(forgery) for forgery in FORGERIES]


def table_row(forgery: Forgery) -> list[str]:
    return [forgery.name, *(table_cell(forgery, attacker) for attacker in ATTACKERS)]


def table_cell(forgery: Forgery, attacker: str) -> str:
    if forgery.unreadable:
        return "not a bundle (exit 3)"
    if forgery.needs_key and attacker == "nobody":
        return "needs a key"
    catches = [] if forgery.claims is not None and attacker != "signer" else [*forgery.catches]
    checks = sorted({*catches, *forgery.open_, *expected(forgery, attacker)})
    if checks:
        return ", ".join(checks)
    if forgery.only_by:
        return f"only by --{forgery.only_by}"
    return f"not detectable, because {forgery.why}"
