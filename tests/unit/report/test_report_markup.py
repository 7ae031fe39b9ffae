"""Whatever a text holds, it stays a text on the page."""

from hypothesis import given
from hypothesis import strategies as st

from kolm.report.figures import Whisker, bars, curve, intervals
from kolm.report.markup import element, said, serialise, visible
from tests.support.pages import Reader


@given(st.text())
def test_a_text_makes_no_tag_and_is_read_as_it_was_written(text: str) -> None:
    page = Reader(serialise(element("p", said(text), title=text)))
    assert [tag for tag, _ in page.tags] == ["p", "bdi"]
    assert page.text.removeprefix("\n").removesuffix("\n") == visible(text).replace("\r", "\n")
    assert page.tags[0][1]["title"] == visible(text)


@given(st.text())
def test_nothing_on_a_page_is_unseen(text: str) -> None:
    shown = visible(text)
    assert not set(shown) & set(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B)))
    assert all(c in "\n\t" or (ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0) for c in shown)
    assert visible(shown) == shown


def test_a_turned_text_shows_what_turned_it() -> None:
    assert visible("ab\u202ecd") == "ab⟨U+202E⟩cd"
    assert visible("ab\x00") == "ab⟨U+0000⟩"
    assert visible("naïve 日本 🙂") == "naïve 日本 🙂"


def test_children_stand_in_their_order() -> None:
    made = element("p", "a", element("b", "c"), None, "d", ["e", element("i")], "f")
    assert serialise(made) == b"<!DOCTYPE html>\n<p>a<b>c</b>de<i></i>f</p>\n"


def test_a_curve_of_many_points_stays_small_and_keeps_its_ends() -> None:
    drawing = curve([(step, 1 / step) for step in range(1, 20_001)], [(20_000, 0.5)], title="loss")
    (line,) = drawing.iter("polyline")
    places = line.get("points", "").split()
    assert 200 <= len(places) <= 300
    across = [float(place.split(",")[0]) for place in places]
    assert across == sorted(across)


def test_a_curve_of_one_point_and_a_loss_that_is_no_number_are_drawn() -> None:
    for value in (0.0, float("inf"), float("nan")):
        assert list(curve([(1, value)], [], title="loss").iter("polyline"))


def test_intervals_stand_between_nothing_and_all() -> None:
    drawing = intervals([Whisker("a", 0.0, 0.0, 1.0)], title="rates")
    lines = [line for line in drawing.iter("line") if line.get("class") == "whisker"]
    assert [(line.get("x1"), line.get("x2")) for line in lines] == [("210.0", "616.0")]
    assert len(list(bars([("a", 0.5, "half"), ("b", 2.0, "more than all")], title="t"))) == 9
