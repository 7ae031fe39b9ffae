"""A bundle on a base that reads text alone, and one that only says so, under audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm import canonical
from kolm.actions.reporting import report
from kolm.bundle.base_root import base_root
from kolm.format.names import EVALUATION, RECEIPT
from kolm.records.verification import Verdict
from kolm.verify.policy import BUILT_IN
from tests.support.audits import NOW, World, rescoring
from tests.support.bundles import BundleParts
from tests.support.pages import Reader
from tests.support.toy_documents import make_capture, make_prediction
from tests.support.toy_text import make_text_world, text_alone, write_text_base


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_text_world(tmp_path_factory.mktemp("text"), cases=52, train=12)


@pytest.fixture
def forged(world: World) -> BundleParts:
    return world.parts.copy()


def test_an_honest_bundle_is_accepted_with_its_base_and_says_what_it_has_not(world: World) -> None:
    again = rescoring(world.parts, cases=8)
    answers = world.audit(world.parts, base=world.parts.base, rescore=again)
    assert answers.overall is Verdict.OK
    assert "no vision role" in answers["V20"].detail
    members = world.parts.members()
    receipt = canonical.loads(world.parts.receipt(), where=RECEIPT)
    assert receipt["vlm_train"]["freeze_vision"] is receipt["vlm_train"]["projector"] is None
    evaluation = canonical.loads(bytes(members[EVALUATION]), where=EVALUATION)
    assert evaluation["blind"] is None
    (floor,) = (f for f in evaluation["floors"] if f["name"] == "above_blind")
    assert floor == {"name": "above_blind", "demanded": None, "observed": None, "passed": None}
    card = bytes(members["README.md"]).decode()
    assert "| Vision tower | none: the base reads text alone |" in card
    assert "| Projector | none |" in card
    assert "| the adapter without images | not applicable | the base takes none |" in card
    assert "pipeline_tag: text-generation" in card


def test_a_tower_that_is_not_there_is_not_proven_frozen(world: World) -> None:
    policy = BUILT_IN._replace(freeze=("vision frozen",))
    answers = world.audit(world.parts, policy=policy)
    assert "V61" in answers.failed
    assert "the base has no vision role" in answers["V61"].findings[0].detail
    words = BUILT_IN._replace(freeze=("head frozen", "language adapted"))
    assert world.audit(world.parts, policy=words).overall is Verdict.OK


def test_a_projector_that_is_not_there_has_no_learning_rate(
    world: World, forged: BundleParts
) -> None:
    forged.lock["train"]["projector_learning_rate"] = "0.001"
    assert world.audit(forged).failed == {"V28"}


def test_a_policy_that_asks_for_a_blind_run_is_not_answered_with_a_number(world: World) -> None:
    answers = world.audit(world.parts, policy=BUILT_IN._replace(floors={"above_blind": "0.1"}))
    assert "V62" in answers.blind
    (demand,) = (d for d in answers.report.demands if d.name == "above_blind")
    assert demand.observed is None


@pytest.mark.parametrize(
    ("key", "value"), [("vision", True), ("vision", False), ("projector", "frozen")]
)
def test_a_role_that_the_family_lacks_is_not_said_to_be_frozen(
    forged: BundleParts, world: World, key: str, value: object
) -> None:
    train = forged.lock["train"]
    (train["freeze"] if key == "vision" else train)[key] = value
    answers = world.audit(forged)
    assert "V28" in answers.failed | answers.blind
    assert answers.overall is Verdict.FAILED


def test_captures_with_pictures_under_a_base_of_text_alone_are_refused(
    forged: BundleParts, world: World
) -> None:
    forged.declare([make_capture(number, "eval") for number in range(52)])
    for row in forged.predictions:
        row["blind"] = None
    forged.rescore()
    assert world.audit(forged).failed == {"V28"}


def test_a_blind_run_of_a_base_of_text_alone_is_refused(forged: BundleParts, world: World) -> None:
    forged.predictions = [make_prediction(case, n) for n, case in enumerate(forged.cases)]
    forged.rescore()
    assert "V31" in world.audit(forged).failed


def test_a_blind_run_for_some_cases_alone_is_refused(forged: BundleParts, world: World) -> None:
    forged.predictions[3]["blind"] = dict(forged.predictions[3]["adapter"])
    answers = world.audit(forged)
    assert "V31" in answers.failed
    assert answers.overall is Verdict.FAILED


# -- a base with a tower, called one of text alone


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("seeing"), cases=52, train=12)


def test_a_tower_that_the_records_hide_is_attested_without_the_base(seeing: World) -> None:
    hidden = seeing.parts.copy()
    text_alone(hidden)
    answers = seeing.audit(hidden)
    assert answers.overall is Verdict.OK
    assert "V42" in answers.skipped
    assert seeing.audit(hidden, base=hidden.base).failed == {"V41"}  # its counts
    facts = base_root(hidden.base)
    hidden.lock["base"] |= {"parameters": facts.parameters, "tensors": len(facts.tensors)}
    assert seeing.audit(hidden).failed == {"V29"}  # the rows do not hold so many
    assert seeing.audit(hidden, base=hidden.base).failed == {"V29", "V42", "V43"}


def test_a_base_whose_config_hides_its_tower_too_is_refused(seeing: World, tmp_path: Path) -> None:
    """The publisher hands out a base whose `model_type` was changed, and names it in the lock."""
    hidden = seeing.parts.copy()
    text_alone(hidden)
    hidden.base = write_text_base(tmp_path / "hidden", tower=True)
    facts = base_root(hidden.base)
    hidden.lock["base"] |= {
        "files": [{"digest": file.digest, "name": file.name} for file in facts.files],
        "root": facts.root,
    }
    assert seeing.audit(hidden).overall is Verdict.OK
    assert seeing.audit(hidden, base=hidden.base).failed == {"V41"}
    hidden.lock["base"] |= {"parameters": facts.parameters, "tensors": len(facts.tensors)}
    answers = seeing.audit(hidden, base=hidden.base)
    assert answers.failed == {"V29", "V42"}
    assert "visual" in str(answers["V42"].findings)


def test_a_tower_listed_under_a_family_of_text_alone_has_no_role(seeing: World) -> None:
    """Without the base: what is listed of the tower is in no line of the table."""
    hidden = seeing.parts.copy()
    tower = [dict(r) for r in hidden.modules if r["module"].startswith("model.visual.blocks")]
    text_alone(hidden)
    hidden.modules = sorted((*hidden.modules, *tower), key=lambda row: row["module"])
    assert "V21" in seeing.audit(hidden).failed


def test_a_blind_run_is_not_left_out_of_a_base_that_takes_pictures(seeing: World) -> None:
    forged = seeing.parts.copy()
    forged.lock["evaluation"]["floors"]["above_blind"] = None
    for row in forged.predictions:
        row["blind"] = None
    forged.rescore()
    assert seeing.audit(forged).failed == {"V31"}


def test_of_an_unknown_family_a_blind_run_that_is_missing_is_not_taken_for_one_that_cannot_be(
    seeing: World,
) -> None:
    forged = seeing.parts.copy()
    forged.lock["base"]["family"] = "something_new"
    for row in forged.predictions:
        row["blind"] = None
    forged.rescore()
    assert "V31" in seeing.audit(forged).blind


def test_a_lock_that_says_null_of_a_tower_that_is_there_is_refused(seeing: World) -> None:
    forged = seeing.parts.copy()
    forged.lock["train"]["freeze"]["vision"] = None
    assert "V28" in seeing.audit(forged).failed


def test_a_report_says_that_a_floor_above_a_blind_run_does_not_apply(world: World) -> None:
    text = Reader(report(world.seal(), trust=world.trust, now=NOW).page).text
    assert "not applicable: no blind run" in text
    assert "without the picture" not in text


@pytest.mark.heavy
def test_a_plan_without_weights_reads_the_shapes_of_a_base_of_text_alone(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from kolm.models.unweighted import parameter_shapes
    from tests.support import families

    base = families.save("llama", tmp_path / "base")
    model = families.model("llama")
    expected = [(name, tuple(own.shape)) for name, own in model.named_parameters()]
    assert parameter_shapes(base) == expected
