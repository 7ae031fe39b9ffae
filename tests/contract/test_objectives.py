"""What every objective does, whichever it is: a line in the table inherits this."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kolm import canonical, whole_schema
from kolm.bundle.reader import Bundle
from kolm.errors import Refused
from kolm.format.names import RECEIPT
from kolm.objectives import OBJECTIVES, Sides, objective_of
from kolm.objectives.refused import REFUSED
from kolm.records.codec import to_document
from kolm.records.verification import Verdict
from kolm.spec import load_spec
from kolm.spec.options import resolve_objective
from tests.support.audits import World
from tests.support.bundles import BundleParts, read_parts
from tests.support.lines import Line, coloured

each_objective = pytest.mark.parametrize("kind", OBJECTIVES)
PAIRED = [kind for kind, known in OBJECTIVES.items() if known.PAIRED]
each_paired = pytest.mark.parametrize("kind", PAIRED)
Row = dict[str, Any]


def fragment(kind: str, part: str) -> Row:
    found: Row = whole_schema.load(f"objectives/{kind}")["$defs"][part]
    return found


def fits(value: Row, kind: str, part: str) -> bool:
    whole = whole_schema.load(f"objectives/{kind}")
    return jsonschema.Draft202012Validator({**whole, "$ref": f"#/$defs/{part}"}).is_valid(value)


# -- without torch


def test_the_table_and_the_fragments_name_the_same_objectives() -> None:
    for part in ("spec", "lock", "receipt"):
        forms = whole_schema.load("objectives/any")["$defs"][part]["anyOf"]
        kinds = [form["properties"]["kind"]["const"] for form in forms if "properties" in form]
        assert sorted(kinds) == sorted(OBJECTIVES)


def chosen(objective: Any) -> Row:
    start = {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}}
    loaded = load_spec({**start, "train": {"objective": objective}}).train.objective
    return resolve_objective(loaded)


@each_objective
def test_every_way_to_choose_an_objective_comes_to_the_same_lock(kind: str) -> None:
    options = fragment(kind, "spec")["properties"]
    spelled = {name: part["default"] for name, part in options.items() if "default" in part}
    assert chosen(kind) == chosen({"kind": kind}) == chosen({**spelled, "kind": kind})


@each_objective
def test_a_lock_holds_every_option_and_resolves_to_itself(kind: str) -> None:
    block = resolve_objective({"kind": kind})
    assert fits(block, kind, "lock")
    assert fragment(kind, "spec")["properties"].keys() == block.keys()
    assert to_document(objective_of(block)) == block
    assert resolve_objective(block) == block


@each_objective
def test_what_it_states_fits_its_fragment(kind: str) -> None:
    objective = objective_of(resolve_objective({"kind": kind}))
    assert fits(objective.receipt([]), kind, "receipt")
    if objective.FACTS:
        assert sorted(fragment(kind, "trace")["properties"]) == sorted(objective.FACTS)
    else:
        assert "trace" not in whole_schema.load(f"objectives/{kind}")["$defs"]


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("form", [lambda kind: kind, lambda kind: {"kind": kind, "beta": 0.1}])
def test_an_objective_with_a_reward_model_is_refused_with_the_reason(kind: str, form: Any) -> None:
    with pytest.raises(Refused) as refused:
        chosen(form(kind))
    assert refused.value.code == "E_TRAIN_OBJECTIVE"
    assert "reward" in refused.value.message
    assert "dpo" in refused.value.hint


def test_an_objective_that_nobody_knows_is_a_wrong_value() -> None:
    with pytest.raises(Refused) as refused:
        chosen("dppo")
    assert refused.value.code == "E_SPEC_VALUE"
    assert "dpo" in refused.value.expected


# -- the formula


@pytest.mark.heavy
@each_paired
def test_slopes_are_those_of_finite_differences(kind: str) -> None:
    torch = pytest.importorskip("torch")
    objective = objective_of(resolve_objective({"kind": kind}))
    draw = torch.Generator().manual_seed(4)

    def numbers() -> Any:
        drawn = torch.rand(5, generator=draw, dtype=torch.float64)
        return (-3 * drawn - 0.1).requires_grad_()

    policy, reference = [numbers(), numbers()], [numbers().detach(), numbers().detach()]

    def losses(one: Any, other: Any) -> Any:
        return objective.terms(Sides(one, other), Sides(*reference)).losses

    assert torch.autograd.gradcheck(losses, policy)


@each_paired
def test_a_pair_that_is_told_apart_better_loses_less(kind: str) -> None:
    from tests.support.preferences import Numbers

    objective = objective_of(resolve_objective({"kind": kind}))
    reference = Sides(Numbers(-2.0), Numbers(-2.0))
    losses = [
        objective.terms(Sides(Numbers(-2 + apart), Numbers(-2 - apart)), reference).losses.mean
        for apart in (-0.2, -0.1, 0.0, 0.1, 0.2)
    ]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 5


# -- a bundle under audit


@pytest.fixture(scope="module", params=OBJECTIVES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp(request.param), objective={"kind": request.param})


@pytest.fixture(scope="module", params=PAIRED)
def paired(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp(request.param), objective={"kind": request.param})


def steps_of(parts: BundleParts) -> list[Row]:
    return [row for row in parts.trace if row["kind"] == "step"]


def refused(world: World, parts: BundleParts, *words: str) -> None:
    found = world.audit(parts)["V08"]
    assert found.verdict is Verdict.FAILED
    told = str(found.findings)
    assert all(word in told for word in words), told


def test_an_honest_bundle_is_accepted_with_its_base(world: World) -> None:
    answers = world.audit(world.parts, base=world.parts.base)
    assert answers.overall is Verdict.OK
    receipt = canonical.loads(world.parts.receipt(), where=RECEIPT)
    stated = receipt["vlm_train"]["objective"]
    kind = world.parts.lock["train"]["objective"]["kind"]
    assert stated["kind"] == kind
    if OBJECTIVES[kind].PAIRED:
        last = steps_of(world.parts)[2:]
        assert stated["last_segment"]["pairs"] == sum(len(row["positions"]) for row in last)


def test_a_receipt_that_tells_of_better_pairs_is_refused(paired: World) -> None:
    forged = paired.parts.copy()
    receipt = canonical.loads(forged.receipt(), where=RECEIPT)
    receipt["vlm_train"]["objective"]["last_segment"]["margin"] = "99"
    forged.overrides["receipt.json"] = canonical.dumps(receipt)
    assert paired.audit(forged).failed


def change_facts(parts: BundleParts, number: int, **facts: Any) -> BundleParts:
    forged = parts.copy()
    row = steps_of(forged)[number]
    row["facts"] = {**row["facts"], **facts}
    return forged


def test_facts_of_another_objective_are_refused(world: World) -> None:
    forged = world.parts.copy()
    row = steps_of(forged)[1]
    if "facts" in row:
        del row["facts"]
    else:
        pair = World.make(world.folder / "pair", objective={"kind": "dpo"})
        row["facts"] = steps_of(pair.parts)[1]["facts"]
    refused(world, forged, "S11")


def test_a_margin_that_is_no_difference_is_refused(paired: World) -> None:
    refused(paired, change_facts(paired.parts, 2, margin="77"), "S12", "difference")


def test_more_preferred_pairs_than_pairs_are_refused(paired: World) -> None:
    refused(paired, change_facts(paired.parts, 2, preferred=99), "S12", "preferred")


def test_pairs_that_are_told_apart_while_none_is_preferred_are_refused(paired: World) -> None:
    refused(paired, change_facts(paired.parts, 2, preferred=0), "S12", "preferred")


def test_a_loss_that_no_pairs_of_this_margin_have_is_refused(paired: World) -> None:
    """Below what a convex formula gives at the mean margin, or outside the bounds of another."""
    told = []
    for loss in ("0", "99"):  # in a step of several pairs
        forged = paired.parts.copy()
        later = (row for row in steps_of(forged)[1:] if len(row["positions"]) > 1)
        next(later)["loss"] = loss
        found = paired.audit(forged)["V08"]
        told += [str(found.findings)] if found.verdict is Verdict.FAILED else []
    assert told
    assert all("S12" in one and "no pairs" in one for one in told)


def test_rewards_before_anything_was_learned_are_refused(paired: World) -> None:
    if objective_of(paired.parts.lock["train"]["objective"]).reference is None:
        pytest.skip("nothing is compared with the start")
    forged = change_facts(
        paired.parts, 0, chosen_reward="5.5", rejected_reward="5", margin="0.5", preferred=2
    )
    refused(paired, forged, "S12", "before anything was learned")


def test_a_loss_before_anything_was_learned_is_that_of_equal_answers(paired: World) -> None:
    if objective_of(paired.parts.lock["train"]["objective"]).reference is None:
        pytest.skip("nothing is compared with the start")
    for loss in ("0.01", "30"):
        forged = paired.parts.copy()
        steps_of(forged)[0]["loss"] = loss
        refused(paired, forged, "S12")


def test_a_reference_point_before_anything_was_learned_is_refused(paired: World) -> None:
    if "reference_point" not in objective_of(paired.parts.lock["train"]["objective"]).FACTS:
        pytest.skip("it has none")
    refused(paired, change_facts(paired.parts, 0, reference_point="77"), "S12", "reference point")


def test_virtual_tokens_in_front_begin_as_something_else_than_the_reference(tmp_path: Path) -> None:
    """The base without them is the reference, so that the first rewards need not be 0."""
    method = {"kind": "prompt", "virtual_tokens": 3}
    world = World.make(tmp_path, objective={"kind": "dpo"}, method=method)
    first = steps_of(world.parts)[0]
    first["facts"] |= {"chosen_reward": "-1.5", "rejected_reward": "-1", "margin": "-0.5"}
    first["loss"] = "1.1"
    assert world.audit(world.parts).overall is Verdict.OK


def test_a_step_on_one_pair_has_the_loss_of_that_pair(paired: World) -> None:
    one = paired.parts.copy()
    one.lock["train"]["batch_size"] = 1
    one.follow()
    assert paired.audit(one).overall is Verdict.OK
    for number in (1, 2):
        forged = one.copy()
        row = steps_of(forged)[number]
        row["loss"] = canonical.decimal(float(row["loss"]) * 1.2 + 0.01, 6)
        refused(paired, forged, "S12", "one pair")


def test_rows_without_a_rejected_answer_are_refused(paired: World) -> None:
    forged = paired.parts.copy()
    del forged.examples[0]["rejected"]
    refused(paired, forged, "rejected")


def test_answers_behind_two_prompts_are_refused(paired: World) -> None:
    forged = paired.parts.copy()
    forged.examples[0]["rejected"]["tokens"] += 1
    refused(paired, forged, "one prompt")


def test_an_objective_that_reads_one_answer_has_rows_without_another(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    forged = world.parts.copy()
    forged.examples[0]["rejected"] = {"labels": 2, "tokens": 20}
    refused(world, forged, "rejected")
    forged = world.parts.copy()
    forged.examples[0] = {"dropped": "same_answers", "side": "train"}
    refused(world, forged, "same_answers")


def test_settings_of_another_objective_do_not_fit_the_lock(paired: World) -> None:
    forged = copy.deepcopy(paired.parts)
    forged.lock["train"]["objective"]["gamma_of_tomorrow"] = "5"
    assert "V06" in paired.audit(forged).failed


# -- preferences of eval cases


def measured(parts: BundleParts) -> Row:
    return next(row for row in parts.predictions if "preference" in row)


def test_the_evaluation_says_how_often_the_reference_answer_is_preferred(world: World) -> None:
    evaluation = world.parts.evaluation
    if not OBJECTIVES[world.parts.lock["train"]["objective"]["kind"]].PAIRED:
        assert "preference" not in evaluation
        return
    stated = evaluation["preference"]
    rows = [row["preference"] for row in world.parts.predictions if "preference" in row]
    assert stated["cases"] == len(rows) == sum("rejected" in case for case in world.parts.cases)

    def apart(row: Row, run: str) -> float:
        return float(row[run]["chosen"]) - float(row[run]["rejected"])

    for run in ("adapter", "base"):
        share = sum(apart(row, run) > 0 for row in rows) / len(rows)
        assert float(stated[run]["accuracy"]) == pytest.approx(share, abs=1e-6)
    moved = [apart(row, "adapter") - apart(row, "base") for row in rows]
    assert float(stated["margin"]) == pytest.approx(sum(moved) / len(moved), abs=1e-6)
    share = sum(one > 0 for one in moved) / len(moved)
    assert float(stated["implicit"]["accuracy"]) == pytest.approx(share, abs=1e-6)
    assert b"rejected answer" in bytes(world.parts.members()["README.md"])


def test_a_better_preference_than_the_rows_give_is_refused(paired: World) -> None:
    forged = paired.parts.copy()
    forged.evaluation["preference"]["base"]["accuracy"] = "0"
    assert "V33" in paired.audit(forged).failed
    forged = paired.parts.copy()
    measured(forged)["preference"]["adapter"]["rejected"] = "-99"
    assert "V33" in paired.audit(forged).failed


def test_a_case_whose_likelihoods_are_left_out_is_refused(paired: World) -> None:
    forged = paired.parts.copy()
    del measured(forged)["preference"]
    forged.rescore()
    found = paired.audit(forged)["V31"]
    assert found.verdict is Verdict.FAILED
    assert "P8" in str(found.findings)


def test_likelihoods_of_a_case_with_one_answer_are_refused(world: World) -> None:
    forged = world.parts.copy()
    one = next(row for row in forged.predictions if "preference" not in row)
    low = {"chosen": "-1", "rejected": "-2"}
    one["preference"] = {"adapter": low, "base": low}
    forged.rescore()
    assert "V31" in world.audit(forged).failed


def test_a_likelihood_above_certainty_does_not_fit(paired: World) -> None:
    forged = paired.parts.copy()
    measured(forged)["preference"]["adapter"]["chosen"] = "0.5"
    assert "V06" in paired.audit(forged).failed


# -- the whole line on the embedded base


def pairs(count: int) -> list[Row]:
    """Coloured squares, each with the answer of another colour as the rejected one."""
    rows = coloured(count)
    others = [row["response"] for row in rows]
    return [{**row, "rejected": others[number - 1]} for number, row in enumerate(rows)]


# One of them in `make test`; the others are the same line with another formula.
@pytest.mark.heavy
@pytest.mark.parametrize(
    "kind",
    [kind if kind == "dpo" else pytest.param(kind, marks=pytest.mark.slow) for kind in PAIRED],
)
def test_a_compile_is_sealed_and_verified_with_its_base(kind: str, tmp_path: Path) -> None:
    line = Line.make(
        tmp_path, rows=pairs(48), steps=24, learning_rate=0.003, more=f"  objective: {kind}\n"
    )
    line.compile("--allow-below-gate")
    told = line.kolm(
        "verify", line.bundle, "--base", "kolm/nano-1", "--captures", "captures", "--json"
    ).document()
    failed = {check["id"] for check in told["checks"] if check["verdict"] == "failed"}
    demands = {check["id"] for check in told["checks"] if check["family"] == "policy"}
    assert failed <= demands, told
    evaluation = Bundle.open(line.bundle).document("evaluation.json")
    preference = evaluation["preference"]
    assert preference["cases"] == evaluation["cases"]
    steps = steps_of(read_parts(line.bundle, tmp_path))
    if "supervised_loss" in OBJECTIVES[kind].FACTS:
        # Few steps teach what answers look like, the rejected ones too.
        first, last = (float(row["facts"]["supervised_loss"]) for row in (steps[0], steps[-1]))
        assert last < first / 2
    else:
        assert float(preference["margin"]) > 0


@pytest.mark.heavy
def test_rows_without_a_rejected_answer_stop_a_check_and_a_compile(tmp_path: Path) -> None:
    rows = pairs(24)
    del rows[3]["rejected"], rows[7]["rejected"]
    line = Line.make(tmp_path, rows=rows, steps=4, more="  objective: dpo\n")
    for words in (("check",), ("compile",)):
        ran = line.kolm(*words)
        assert ran.code == 1, ran
        said = ran.stdout + ran.stderr
        assert "has no rejected one (2 captures)" in " ".join(said.split())
        assert "pairs.jsonl" in said
    assert not line.stage_folders("train")
