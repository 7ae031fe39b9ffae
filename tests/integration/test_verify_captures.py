"""An audit with a real capture store: pictures are decoded, twins counted, leaves looked up."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from PIL import Image as Pillow

from kolm import canonical, digest
from kolm.actions import children, verification
from kolm.bundle.container import open_container
from kolm.capture import documents, extras, images
from kolm.capture.store import CaptureStore
from kolm.errors import Refused, Unreadable, Usage
from kolm.events import Silent
from kolm.run import folder as files
from kolm.run.names import REQUEST, ROWS
from kolm.score.evaluation import RUNS
from kolm.train import profile
from kolm.verify.ports import RescoreJob
from tests.support.audits import World
from tests.support.commands import invoke
from tests.support.pictures import capture, picture
from tests.support.stores import put


def png(colour: tuple[int, int, int], size: int = 40) -> bytes:
    stream = io.BytesIO()
    picture = Pillow.new("RGB", (size, size), colour)
    picture.paste((255, 255, 255), (0, 0, size // 2, size // 3))
    picture.save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> CaptureStore:
    return CaptureStore.open(tmp_path / "captures", create=True)


def test_a_picture_is_hashed_and_decoded_from_its_bytes(store: CaptureStore) -> None:
    data = png((200, 10, 10))
    file = put(store.blobs, data)
    facts = verification.StoreSource(store).picture(file)
    assert facts is not None
    assert (facts.file, facts.pixels) == (file, images.inspect(data).pixels)


def test_a_picture_that_is_not_there_is_none(store: CaptureStore) -> None:
    assert verification.StoreSource(store).picture(digest.of_bytes(b"nothing")) is None


def test_a_picture_that_cannot_be_decoded_is_refused(store: CaptureStore) -> None:
    file = put(store.blobs, b"no picture")
    with pytest.raises(Refused):
        verification.StoreSource(store).picture(file)


def test_near_twins_are_counted_from_the_pixels(store: CaptureStore) -> None:
    red, nearly, blue = (
        put(store.blobs, png(c)) for c in ((200, 10, 10), (201, 10, 10), (10, 10, 200))
    )
    source = verification.StoreSource(store)
    assert source.near_twins([red], [nearly, blue]) == {red}
    assert source.near_twins([red], [blue]) == frozenset()
    named = source.families({"b": red, "c": nearly, "a": blue})
    assert named == {"a": "a", "b": "b", "c": "b"}
    assert source.near_duplicate_method == "dhash-8x8-color-v1"


def test_without_an_image_library_pictures_could_not_be_looked_at(
    tmp_path: Path, store: CaptureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path)
    store.close()
    monkeypatch.setattr(verification.StoreSource, "picture", lambda *_: extras.pillow())
    monkeypatch.setitem(sys.modules, "PIL", None)
    report = verification.verify(world.seal(), trust=world.trust, captures=store.folder)
    answer = next(check for check in report.checks if check.id == "V48")
    assert answer.verdict == "could_not_look"
    assert len(answer.findings) == 1
    assert "extra 'capture'" in answer.findings[0].detail


def test_a_base_may_be_given_by_its_name(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    named, unknown = (
        verification.verify(world.seal(), trust=world.trust, base=base)
        for base in ("kolm/nano-1", "nobody/knows")
    )
    verdicts = [
        next(check for check in report.checks if check.id == "V41").verdict
        for report in (named, unknown)
    ]
    assert verdicts == ["failed", "could_not_look"]  # another base than the toy's; no base at all


def test_the_leaves_of_another_store_could_not_be_looked_at(
    store: CaptureStore, tmp_path: Path
) -> None:
    world = World.make(tmp_path)
    store.close()
    report = verification.verify(
        world.seal(), trust=world.trust, captures=store.folder, base=world.parts.base
    )
    answers = {check.id: check.verdict for check in report.checks}
    assert answers["V47"] == "could_not_look"
    assert answers["V48"] == "could_not_look"


def test_a_store_that_is_none_could_not_be_looked_at(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    with pytest.raises(Unreadable):
        verification.verify(world.seal(), trust=world.trust, captures=tmp_path / "missing")


def test_running_again_needs_pictures(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    with pytest.raises(Usage):
        verification.verify(world.seal(), trust=world.trust, rescore=1)


def test_a_base_that_was_a_folder_must_be_given(tmp_path: Path, store: CaptureStore) -> None:
    world = World.make(tmp_path)
    local = world.parts.copy()
    local.lock["base"]["id"] = "local/my-base"
    with pytest.raises(Unreadable) as refusal:
        verification.verify(world.seal(local), trust=world.trust, captures=store.folder, rescore=1)
    assert refusal.value.code == "E_VERIFY_LOCAL_BASE"


def test_the_child_is_asked_for_the_drawn_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path)
    asked = {}

    def run(task: str, folder: Path, **options: object) -> None:
        asked.update(files.read_document(folder, REQUEST), task=task)
        assert (folder / "adapter_model.safetensors").is_file()
        files.write_document(folder, ROWS, {"rows": [], "preferences": {}})

    monkeypatch.setattr(children, "run", run)
    runner = verification._Runner(captures=tmp_path, reporter=Silent())
    case = digest.of_value(world.parts.cases[0])
    cases = canonical.dump_lines(world.parts.cases)
    bundle = open_container(world.seal())
    answer = runner.rescore(
        RescoreJob(bundle=bundle, base=world.parts.base, cases=(case,), cases_file=cases)
    )
    assert asked["task"] == "rescore"
    assert asked["cases"] == [case]
    assert answer.rows == []


def test_findings_call_captures_by_the_file_and_row_that_they_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever check a capture is named by: V46 a case, V48 a picture of it."""
    world = World.make(tmp_path)
    taken = [capture(n, prompt="which?", response=f"{n}", split="eval") for n in range(50)]
    with CaptureStore.open(tmp_path / "captures", create=True) as store, store.adding() as addition:
        for number, one in enumerate(taken):
            addition.image(picture(number))
            addition.capture(one, origin=f"pairs.jsonl:{number + 1}")
        addition.commit()
        damaged = store.blobs.path(taken[7].images[0].file)
    parts = world.parts.copy()
    parts.declare([documents.to_document(one) for one in taken])
    damaged.chmod(0o644)
    damaged.unlink()

    def answer_otherwise(task: str, folder: Path, **options: object) -> None:
        asked = files.read_document(folder, REQUEST)
        rows = (
            []
            if task == "recount"
            else [
                {"case": case, "finish": "stop", "output": "other", "run": run, "tokens": 2}
                for case in asked["cases"]
                for run in RUNS
            ]
        )
        files.write_document(folder, ROWS, {"rows": rows, "preferences": {}})

    monkeypatch.setattr(children, "run", answer_otherwise)
    monkeypatch.setattr(profile, "environment_class", lambda *_, **__: parts.lock["environment"])
    (tmp_path / "trust.json").write_bytes(canonical.dumps(world.trust.to_document()))
    material = ("--captures", tmp_path / "captures", "--base", parts.base, "--rescore", "all")
    ran = invoke("verify", world.seal(parts), *material, "--trust", tmp_path / "trust.json", "-v")
    assert ran.code == 1
    lines = ran.stdout.splitlines()
    assert any(re.search(r"predictions.jsonl: pairs.jsonl:\d+ \(sha256:", line) for line in lines)
    assert any(re.search(r"pairs.jsonl:8 \(sha256:\w+\), picture sha256:", line) for line in lines)
