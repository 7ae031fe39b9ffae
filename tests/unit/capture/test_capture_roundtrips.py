"""What is exported imports to the same captures, in every format, with the images' own bytes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kolm.capture import exporters, exporting, importers, intake
from kolm.capture.store import CaptureStore
from kolm.errors import Refused, Usage
from kolm.records.capture import ImagePart, Message, TextPart
from tests.support.captures import PICTURES, captures
from tests.support.pictures import DEFAULTS, capture, facts, filled, picture

NAMES = {"jsonl": "rows.jsonl", "llava": "rows.json", "parquet": "rows.parquet"}


def test_every_format_of_any_capture_is_here() -> None:
    assert {name for name, form in exporters.TABLE.items() if not form.pairs} == NAMES.keys()


def ids(store: CaptureStore) -> list[str]:
    return [row.id for row in store.rows()]


def round_trip(folder: Path, form: str, *values) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    with filled(folder / "one", *values, pictures=PICTURES) as one:
        done = exporting.export(one, folder / NAMES[form], form=form)
        assert done.captures == len(one)
        with CaptureStore.open(folder / "two", create=True) as two:
            intake.take_in(two, importers.rows(done.file, form=form, defaults=DEFAULTS))
            assert ids(two) == ids(one)
            for row in two.rows():
                for image in row.capture.images:
                    assert two.read_image(image.file) == one.read_image(image.file)


@pytest.mark.parametrize("form", NAMES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.lists(captures(), min_size=1, max_size=4))
def test_exported_captures_import_to_the_same_captures(form: str, values) -> None:
    with TemporaryDirectory() as folder:
        round_trip(Path(folder), form, *values)


@pytest.mark.parametrize("form", NAMES)
def test_a_placeholder_that_is_mere_text_stays_text(form: str, tmp_path: Path) -> None:
    tricky = Message(
        role="user",
        content=(
            TextPart(text="the tag <image> and <image-1>\n"),
            ImagePart(image=0),
            ImagePart(image=1),
            TextPart(text="\n"),
            ImagePart(image=2),
        ),
    )
    answer = Message(role="assistant", content=(TextPart(text="<image>"),))
    round_trip(tmp_path, form, capture(0, 1, 2, messages=(tricky, answer)))


def test_images_are_written_as_their_original_bytes_once(tmp_path: Path) -> None:
    with filled(tmp_path / "s", capture(0), capture(0, prompt="else?"), capture(1)) as store:
        done = exporting.export(store, tmp_path / "rows.jsonl", form="jsonl")
    assert done.images == 2
    written = {path.read_bytes() for path in done.folder.iterdir()}
    assert written == {picture(0), picture(1)}
    assert (done.folder / exporting.image_name(facts(0))).read_bytes() == picture(0)


def test_only_captures_with_all_tags_are_exported(tmp_path: Path) -> None:
    values = [capture(0, tags=("a",)), capture(1, tags=("a", "b")), capture(2)]
    with filled(tmp_path / "s", *values) as store:
        done = exporting.export(store, tmp_path / "x.json", form="llava", tags=("a", "b"))
    assert (done.captures, done.images) == (1, 1)


def test_an_existing_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    target = tmp_path / "rows.jsonl"
    target.write_text("mine")
    with filled(tmp_path / "s", capture(0)) as store:
        with pytest.raises(Usage) as caught:
            exporting.export(store, target, form="jsonl")
        assert caught.value.code == "E_TARGET_EXISTS"
        assert target.read_text() == "mine"
        exporting.export(store, target, form="jsonl", replace=True)
    assert target.read_text() != "mine"


def test_an_empty_store_exports_an_empty_array_which_is_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        round_trip(tmp_path, "llava")
    assert caught.value.code == "E_IMPORT_EMPTY"
    assert (tmp_path / "rows.json").read_bytes() == b"[]\n"


def test_another_picture_under_an_image_name_is_not_replaced_unasked(tmp_path: Path) -> None:
    with filled(tmp_path / "s", capture(0)) as store:
        done = exporting.export(store, tmp_path / "x.jsonl", form="jsonl")
        (image,) = done.folder.iterdir()
        data = image.read_bytes()
        image.write_bytes(b"mine")
        done.folder.rename(tmp_path / "x2_images")
        with pytest.raises(Usage) as caught:
            exporting.export(store, tmp_path / "x2.jsonl", form="jsonl")
        assert caught.value.where.endswith(image.name)
        exporting.export(store, tmp_path / "x2.jsonl", form="jsonl", replace=True)
    assert (tmp_path / "x2_images" / image.name).read_bytes() == data
