"""The model card says by which objective it was learned, and that a training went before."""

import pytest

from kolm import canonical
from kolm.format import card
from tests.support.audits import World

STATE = f"sha256:{'a' * 64}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("card"))


def written(world: World, *, kind: str = "sft", state: str | None = None) -> str:
    parts = world.parts.copy()
    receipt = canonical.loads(parts.receipt(), where="receipt.json")
    receipt["vlm_train"]["objective"] = {"kind": kind}
    parts.lock["train"]["continues"] = state and {"state": state, "chain": STATE}
    evaluation = parts.evaluation
    return card.render(receipt=receipt, lock=parts.lock, evaluation=evaluation).decode()  # type: ignore[arg-type]


def test_an_objective_other_than_the_default_is_named(world: World) -> None:
    assert "| Objective | dpo |" in written(world, kind="dpo")
    assert "Objective" not in written(world)


def test_a_training_that_goes_on_says_so_with_its_state(world: World) -> None:
    shown = written(world, state=STATE)
    assert "| Goes on from | an earlier training, whose captures are not listed here" in shown
    assert STATE in shown
    assert "Goes on from" not in written(world)


def test_the_licence_of_the_base_is_not_said_of_the_adapter(world: World) -> None:
    shown = written(world)
    assert "\nlicense: " not in shown
    assert (
        "| Licence of the adapter | not declared |\n| Licence of the base | Apache-2.0 |" in shown
    )
    parts = world.parts.copy()
    parts.lock["base"]["license"] = ""
    receipt = canonical.loads(parts.receipt(), where="receipt.json")
    shown = card.render(receipt=receipt, lock=parts.lock, evaluation=parts.evaluation).decode()  # type: ignore[arg-type]
    assert "| Licence of the base | not stated |" in shown


def test_what_the_publisher_declares_stands_in_the_card_and_is_no_markup(world: World) -> None:
    assert "Declared" not in written(world)
    parts = world.parts.copy()
    parts.lock["dossier"] = {"provider": "# <b>Example</b>\n[x](y)", "license": "MIT"}
    receipt = canonical.loads(parts.receipt(), where="receipt.json")
    shown = card.render(receipt=receipt, lock=parts.lock, evaluation=parts.evaluation).decode()  # type: ignore[arg-type]
    assert "\nlicense: mit\n" in shown
    assert "| Licence of the adapter | MIT |\n| Licence of the base | Apache-2.0 |" in shown
    declared = "- license: MIT\n- provider: # &lt;b\\>Example&lt;/b\\> \\[x\\](y)\n"
    assert shown.endswith("## Declared by the publisher\n\n" + declared)
