"""``kolm diff``: what differs is named, what does not is not, and the page shows the cases."""

from pathlib import Path

import pytest

from kolm import canonical, digest
from kolm.actions.comparing import diff, diff_page
from kolm.errors import Refused
from tests.support.audits import World
from tests.support.commands import invoke
from tests.support.pages import Reader
from tests.support.toy_documents import make_capture


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("diff"))


def worse(world: World, number: int) -> Path:
    """The bundle with the first answers wrong."""
    parts = world.parts.copy()
    for row in parts.predictions[:number]:
        row["adapter"]["output"] = "nothing of the kind"
    parts.rescore()
    return world.seal(parts)


def test_a_bundle_does_not_differ_from_itself(world: World) -> None:
    path = world.seal()
    found = diff(path, path)
    assert found["spec"] == found["modules"] == found["cases"] == []
    assert found["captures"] == {"added": [], "removed": [], "moved": []}
    assert found["tensors"]["changed"] == []
    assert found["tensors"]["same"] > 0
    assert found["paired"] is not None
    assert (found["paired"]["left_only"], found["paired"]["p"]) == (0, "1")
    assert "The content is the same." in invoke("diff", path, path).stdout


def test_cases_that_got_worse_are_named_and_tested(world: World) -> None:
    found = diff(world.seal(), worse(world, 6))
    assert found["paired"] is not None
    assert (found["paired"]["left_only"], found["paired"]["right_only"]) == (6, 0)
    assert found["paired"]["p"] == "0.03125"  # 2 / 2^6
    assert [case["right"]["output"] for case in found["cases"]] == ["nothing of the kind"] * 6
    assert {case["case"] for case in found["cases"]} == {
        row["case"] for row in world.parts.predictions[:6]
    }
    back = diff(worse(world, 6), world.seal())
    assert back["paired"] is not None
    assert (back["paired"]["left_only"], back["paired"]["right_only"]) == (0, 6)


def test_settings_captures_and_tensors_that_differ_are_named(world: World) -> None:
    parts = world.parts.copy()
    parts.lock["train"]["learning_rate"] = "0.5"
    dropped, *kept = parts.cases
    added = make_capture(999, "eval")
    parts.declare([*kept, added])
    name = next(iter(parts.tensors))
    kind, shape, data = parts.tensors[name]
    parts.tensors[name] = (kind, shape, bytes(len(data)))
    parts.retouch()
    found = diff(world.seal(), world.seal(parts))
    before = world.parts.lock["train"]["learning_rate"]
    assert {"path": "train.learning_rate", "left": before, "right": "0.5"} in found["spec"]
    assert found["captures"] == {
        "added": [{"captures": [digest.of_value(added)], "split": "eval"}],
        "removed": [{"captures": [digest.of_value(dropped)], "split": "eval"}],
        "moved": [],
    }
    assert len(found["tensors"]["changed"]) == 1


def test_a_capture_on_another_side_has_moved(world: World) -> None:
    parts = world.parts.copy()
    row = next(row for row in parts.snapshot_rows if row["split"] == "train")
    row["split"] = "validation"
    found = diff(world.seal(), world.seal(parts))["captures"]
    moved = [{"captures": [row["capture"]], "left": "train", "right": "validation"}]
    assert found == {"added": [], "removed": [], "moved": moved}


def test_captures_in_no_order_are_not_compared(world: World) -> None:
    parts = world.parts.copy()
    parts.snapshot_rows.reverse()
    with pytest.raises(Refused, match="not sorted") as caught:
        diff(world.seal(), world.seal(parts))
    assert caught.value.code == "E_BUNDLE_REFERENCE"
    assert caught.value.where is not None
    assert caught.value.where.endswith("snapshot.jsonl:2")


def test_settings_that_follow_from_others_are_shown_last(world: World) -> None:
    parts = world.parts.copy()
    parts.lock["train"]["learning_rate"] = "0.5"
    parts.lock["rates"]["reason"] = "another one"
    shown = invoke("diff", world.seal(), world.seal(parts)).stdout
    assert shown.index("train.learning_rate") < shown.index("rates.reason")


def test_another_metric_compares_no_case(world: World) -> None:
    parts = world.parts.copy()
    parts.lock["evaluation"]["metric"] = {"kind": "contains"}
    parts.rescore()
    found = diff(world.seal(), world.seal(parts))
    assert found["paired"] is None
    assert found["not_paired"] == "they are scored by different metrics"


def test_withheld_texts_are_compared_by_score_alone(world: World) -> None:
    left, right = world.parts.copy(), world.parts.copy()
    right.predictions[0]["adapter"]["output"] = "nothing of the kind"
    right.rescore()
    left.withhold()
    right.withhold()
    found, page = diff_page(world.seal(left), world.seal(right))
    assert [case["prompt"] for case in found["cases"]] == [None]
    assert "withheld" in Reader(page).text


def test_the_command_shows_and_writes_a_page(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    left, right = world.seal(), worse(world, 3)
    ran = invoke("diff", left, right, "-o", "page.html")
    assert ran.code == 0
    assert "left better on 3" in ran.stdout
    assert "worse" in ran.stdout
    for row in world.parts.predictions[:3]:  # as `kolm capture show` takes it
        assert f" {row['case'].removeprefix('sha256:')[:12]}  " in ran.stdout
    page = Reader((tmp_path / "page.html").read_bytes())
    assert "Cases that got worse" in page.text
    assert "script" not in {tag for tag, _ in page.tags}
    answer = canonical.loads(invoke("diff", left, right, "--json").stdout.encode(), where="answer")
    assert len(answer["cases"]) == 3
    assert invoke("diff", left, "nowhere.kolm").code == 3
