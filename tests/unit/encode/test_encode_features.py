"""Cached vision features: the same bits as the live path, computed once, and never stale."""

import io
import os
from functools import cache

import pytest

from kolm import digest
from kolm.capture.images import pixels_digest
from kolm.encode import features
from kolm.encode.examples import ImageUse
from kolm.encode.features import build_features, distinct_uses, recording_key, tower_facts
from kolm.encode.kept_features import KeptFeatures
from kolm.encode.pictures import PictureReader
from kolm.errors import Refused
from kolm.events import Silent
from kolm.models.base import make_forward
from kolm.models.taps import Recording, Tower
from kolm.roles import family
from tests.support import tiny_vlm

torch = pytest.importorskip("torch")
PROCESSOR = tiny_vlm.make_pictures()
SIZES = [(32, 32), (48, 32), (32, 32), (64, 48), (16, 64), (48, 32), (32, 32)]


def as_file(picture):
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


PICTURES = {
    digest.of_bytes(bytes([number])): tiny_vlm.make_picture(number, *size)
    for number, size in enumerate(SIZES)
}
FILES = {file: as_file(picture) for file, picture in PICTURES.items()}


def make_uses():
    uses = []
    for file, picture in PICTURES.items():
        run = PROCESSOR.run(picture.height, picture.width)
        pixels = pixels_digest(picture)
        uses.append(
            ImageUse(
                file=file,
                pixels=pixels,
                form=run.form,
                max_pixels=None,
                start=0,
                tokens=run.tokens,
                shown=run.shown,
            )
        )
    return distinct_uses(uses)


FACTS = digest.of_bytes(b"facts")
PLENTY = 1 << 30


@cache
def forward_of(model):
    return make_forward(model, family("qwen2_5_vl"))


def reader_of(read=FILES.__getitem__):
    return PictureReader(processor=PROCESSOR, read=read)


def build(model, uses, kept=None, facts=FACTS, read=FILES.__getitem__):
    return build_features(
        forward_of(model), reader_of(read), uses, facts=facts, kept=kept, reporter=Silent()
    )


def live(model, uses):
    with torch.no_grad():
        return forward_of(model).features(reader_of().shown_together(uses))


def cached(model, table, uses):
    with torch.no_grad():
        return forward_of(model).features(table.gather(uses))


def same(one, other):
    return (
        len(one.outputs) == len(other.outputs) > 0
        and all(torch.equal(a, b) for a, b in zip(one.outputs, other.outputs, strict=True))
        and one.inputs.keys() == other.inputs.keys()
        and all(torch.equal(one.inputs[name], other.inputs[name]) for name in one.inputs)
    )


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    "options",
    [{}, {"window_size": 32, "full_blocks": (1,)}],
    ids=["full attention", "windowed attention"],
)
def test_projected_features_equal_the_live_path_for_every_image(options):
    model, uses = tiny_vlm.make_model(**options), make_uses()
    table = build(model, uses)
    for use in uses:
        assert torch.equal(cached(model, table, [use]), live(model, [use]))
    # In the company of others the bits may differ, and nothing else.
    for group in uses, uses[::-1]:
        torch.testing.assert_close(cached(model, table, group), live(model, group))


def test_the_features_of_an_image_are_those_of_any_run_that_shows_it():
    model, uses = tiny_vlm.make_model(), make_uses()
    whole = build(model, uses)
    for use in uses:
        assert same(build(model, [use]).gather([use]), whole.gather([use]))


def test_features_that_differ_from_the_live_path_are_refused(monkeypatch):
    model = tiny_vlm.make_model()
    norm = type(model.model.visual.merger.ln_q)
    monkeypatch.setattr(norm, "forward", lambda self, x: x * self.weight + torch.rand(()))
    with pytest.raises(Refused) as caught:
        build(model, make_uses())
    assert caught.value.code == "E_ENCODE_FEATURES_DIFFER"


def test_a_picture_that_changed_is_refused():
    other = tiny_vlm.make_picture(99)
    with pytest.raises(Refused) as caught:
        build(tiny_vlm.make_model(), make_uses(), read=lambda file: as_file(other))
    assert caught.value.code == "E_ENCODE_IMAGE_CHANGED"


@pytest.fixture
def calls(monkeypatch):
    """The sizes of the tower calls that were made, in images."""
    made = []
    honest = Tower.record
    monkeypatch.setattr(Tower, "record", lambda *a: made.append(a[2]) or honest(*a))
    return made


@pytest.mark.parametrize("memory_bytes", [PLENTY, 100], ids=["in memory", "mapped"])
def test_a_later_run_finds_the_features_of_an_earlier_one(
    tmp_path, monkeypatch, calls, memory_bytes
):
    monkeypatch.setattr(features, "MEMORY_BYTES", memory_bytes)
    model, uses = tiny_vlm.make_model(), make_uses()
    first = build(model, uses, KeptFeatures(tmp_path, PLENTY))
    calls.clear()
    again = build(model, uses, KeptFeatures(tmp_path, PLENTY))
    assert calls == [1]  # only the one that shows what is read of the tower
    assert same(first.gather(uses), again.gather(uses))
    calls.clear()
    build(model, uses, KeptFeatures(tmp_path, PLENTY), facts=digest.of_bytes(b"other"))
    assert sum(calls) == 1 + len(uses)


@pytest.mark.parametrize("damage", ["flipped", "cut", "longer"])
def test_kept_features_are_checked_when_they_are_read(tmp_path, calls, damage):
    model, uses = tiny_vlm.make_model(), make_uses()
    first = build(model, uses, KeptFeatures(tmp_path, PLENTY))
    path = min(tmp_path.iterdir())
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    damaged = {"flipped": data, "cut": data[:-1], "longer": path.read_bytes() + b"0"}[damage]
    path.write_bytes(damaged)
    calls.clear()
    again = build(model, uses, KeptFeatures(tmp_path, PLENTY))
    assert len(calls) == 2  # the first, and the image whose file was damaged
    assert same(first.gather(uses), again.gather(uses))


@pytest.mark.parametrize("budget_bytes", [0, 20_000])
def test_over_the_budget_images_are_shown_to_the_tower_when_they_are_needed(
    tmp_path, monkeypatch, calls, budget_bytes
):
    model, uses = tiny_vlm.make_model(), make_uses()
    whole = build(model, uses)
    made = len(calls) - 1
    monkeypatch.setattr(features, "MEMORY_BYTES", 100)
    monkeypatch.setattr(features, "CHECKED_IMAGES", 0)
    calls.clear()
    table = build(model, uses, KeptFeatures(tmp_path, budget_bytes))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= budget_bytes
    for use in uses:
        assert same(table.gather([use]), whole.gather([use]))
    assert len(calls) - 1 == made  # each once, live or kept


def test_what_was_used_longest_ago_makes_room(tmp_path):
    keys = [digest.of_bytes(bytes([number])) for number in range(4)]
    rows = {key: Recording(pictures=5, inputs={}, outputs=(torch.rand(25, 10),)) for key in keys}
    assert KeptFeatures(tmp_path, PLENTY).save(keys[0], rows[keys[0]])
    (size,) = (path.stat().st_size for path in tmp_path.iterdir())
    kept = KeptFeatures(tmp_path, 3 * size)
    for age, key in enumerate(keys[:3]):
        assert kept.save(key, rows[key])
        os.utime(tmp_path / f"{digest.hex_of(key)}.features", (age, age))
    later = KeptFeatures(tmp_path, 3 * size)
    assert same(later.load(keys[0], 5), rows[keys[0]])
    assert later.save(keys[3], rows[keys[3]])
    here = [later.load(key, 5) is not None for key in keys]
    assert here == [True, False, True, True]
    assert not later.save(digest.of_bytes(b"one more"), rows[keys[0]])  # all are in use now


def test_the_key_changes_with_everything_that_features_depend_on():
    uses = make_uses()
    stated = {"base_root": "a", "processor": FACTS, "environment": "c", "precision": "float32"}
    changes = {**dict.fromkeys(stated, "other"), "processor": digest.of_bytes(b"q")}
    keys = {
        recording_key(tower_facts(**{**stated, name: changes[name]}), uses[0]) for name in stated
    }
    keys |= {recording_key(tower_facts(**stated), use) for use in uses}
    assert len(keys) == 4 + len(uses)


def test_a_listing_of_long_ago_does_not_fill_the_budget(tmp_path, monkeypatch):
    """Sizes are remembered between listings, also those of this run's own files."""
    rows = Recording(pictures=1, inputs={}, outputs=(torch.rand(25, 10),))
    keys = [digest.of_bytes(bytes([number])) for number in range(9)]
    KeptFeatures(tmp_path, PLENTY).save(keys[0], rows)
    (size,) = (path.stat().st_size for path in tmp_path.iterdir())
    kept = KeptFeatures(tmp_path, 4 * size)
    assert [kept.save(key, rows) for key in keys[1:]] == [True] * 4 + [False] * 4
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 4 * size
    assert not list(tmp_path.glob("*.part"))


def test_equal_pixels_are_one_image():
    uses = make_uses()
    assert distinct_uses([*uses, *uses]) == uses
