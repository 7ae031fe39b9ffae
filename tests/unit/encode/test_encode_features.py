"""Cached vision features: the same bits as the live path, computed once, and never stale."""

import pytest

from kolm import digest
from kolm.capture.images import pixels_digest
from kolm.encode import features
from kolm.encode.examples import ImageUse
from kolm.encode.features import build_features, distinct_uses, tower_key
from kolm.errors import Lacking, Refused
from kolm.events import Silent
from kolm.models.family import runtime
from tests.support import tiny_vlm

torch = pytest.importorskip("torch")
FAMILY = runtime("qwen2_5_vl")
PROCESSOR = tiny_vlm.make_image_processor()
SIZES = [(32, 32), (48, 32), (32, 32), (64, 48), (16, 64), (48, 32), (32, 32)]
PICTURES = {
    digest.of_bytes(bytes([number])): tiny_vlm.make_picture(number, *size)
    for number, size in enumerate(SIZES)
}


def make_uses():
    uses = []
    for file, picture in PICTURES.items():
        grid = FAMILY.image_grid(PROCESSOR, picture.height, picture.width, None)
        tokens = FAMILY.image_tokens(PROCESSOR, grid)
        pixels = pixels_digest(picture)
        uses.append(
            ImageUse(file=file, pixels=pixels, grid=grid, max_pixels=None, start=0, tokens=tokens)
        )
    return distinct_uses(uses)


def build(model, uses, folder=None, key=None, pictures=PICTURES.__getitem__):
    return build_features(
        model, FAMILY, PROCESSOR, pictures, uses,
        key=key or digest.of_bytes(b"key"), folder=folder, reporter=Silent(),
    )  # fmt: skip


def live(model, uses):
    pixels = [FAMILY.pixel_values(PROCESSOR, PICTURES[use.file], None)[0] for use in uses]
    with torch.no_grad():
        return FAMILY.live_features(model, torch.cat(pixels), [use.grid for use in uses])


def cached(model, table, uses):
    with torch.no_grad():
        return FAMILY.project(model, table.gather(uses), [use.grid for use in uses])


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
    assert len(table) == len(uses)
    for grid in {use.grid for use in uses}:
        same = [use for use in uses if use.grid == grid]  # those that share a tower call
        assert torch.equal(cached(model, table, same), live(model, same))
    # In other company the bits may differ, and nothing else.
    for some in ([use] for use in uses), [uses], [uses[::-1]]:
        for group in some:
            torch.testing.assert_close(cached(model, table, group), live(model, group))


def test_windows_lie_in_another_order_than_the_image_is_read():
    model = tiny_vlm.make_model(window_size=32, full_blocks=(1,))
    [use] = [use for use in make_uses() if use.grid == (1, 6, 8)]
    pixels, grid = FAMILY.pixel_values(PROCESSOR, PICTURES[use.file], None)
    [features] = FAMILY.tower_features(model, pixels, [grid])
    with torch.no_grad():
        unordered = model.model.visual.merger(features)
    assert not torch.allclose(unordered, live(model, [use]))
    assert torch.allclose(FAMILY.project(model, features, [grid]), live(model, [use]))


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
        build(tiny_vlm.make_model(), make_uses(), pictures=lambda file: other)
    assert caught.value.code == "E_ENCODE_IMAGE_CHANGED"


def test_a_large_table_lies_in_a_file_that_the_next_process_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "MEMORY_BYTES", 100)
    model, uses = tiny_vlm.make_model(), make_uses()
    first = build(model, uses, tmp_path)
    calls = []
    honest = type(FAMILY).__getattribute__(FAMILY, "tower_features")
    monkeypatch.setattr(FAMILY, "tower_features", lambda *a: calls.append(len(a[2])) or honest(*a))
    again = build(model, uses, tmp_path)
    assert calls == [1]  # only the probe for the width
    assert torch.equal(first.gather(uses), again.gather(uses))
    build(model, uses, tmp_path, key=digest.of_bytes(b"other"))
    assert len(calls) > 2


def test_more_than_the_disk_limit_is_refused(monkeypatch):
    monkeypatch.setattr(features, "DISK_BYTES", 100)
    with pytest.raises(Lacking) as caught:
        build(tiny_vlm.make_model(), make_uses())
    assert caught.value.code == "E_ENCODE_FEATURES_TOO_LARGE"


def test_the_key_changes_with_everything_that_features_depend_on():
    uses = make_uses()
    facts = {"base_root": "a", "processor": digest.of_bytes(b"p"), "versions": {"torch": "1"}}
    keys = {
        tower_key(uses=uses, **facts),
        tower_key(uses=uses[1:], **facts),
        tower_key(uses=uses, **{**facts, "base_root": "b"}),
        tower_key(uses=uses, **{**facts, "processor": digest.of_bytes(b"q")}),
        tower_key(uses=uses, **{**facts, "versions": {"torch": "2"}}),
    }
    assert len(keys) == 5


def test_equal_pixels_are_one_image():
    uses = make_uses()
    assert distinct_uses([*uses, *uses]) == uses
