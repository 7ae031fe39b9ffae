"""``kolm report``: what stands on the page, what does not, and that it asks nobody for anything."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from kolm import canonical
from kolm.actions.reporting import Report, report
from kolm.sign.trust import TrustStore
from tests.support.audits import NOW, World
from tests.support.commands import invoke
from tests.support.pages import Reader, demand_alone

HOSTILE = (
    '</bdi></p><script src="https://x.example/a.js">alert(1)</script><img src=x onerror=y>\u202e'
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("report"))


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return world.home(tmp_path, monkeypatch)


def make(world: World, path: Path | None = None, trust: TrustStore | None = None) -> Report:
    return report(path or world.seal(), trust=trust or world.trust, now=NOW)


def read(made: Report) -> Reader:
    return Reader(made.page)


def test_the_page_says_the_verdict_and_who_vouches_for_what(world: World) -> None:
    text = read(make(world)).text
    for words in (
        "Accepted",
        f"attested by key {world.publisher.public.keyid[:16]} (publisher)",
        "recomputed",
        "What this does not show",
        "Worst cases",
        "kolm verify",
        world.parts.content_id(),
    ):
        assert words in text
    assert "Refused" not in text


def test_the_same_bundle_gives_the_same_bytes(world: World) -> None:
    path = world.seal()
    assert make(world, path).page == make(world, path).page


def test_a_page_has_no_script_and_no_address_outside_itself(world: World) -> None:
    parts = world.parts.copy()
    parts.publish_images()
    demand_alone(read(make(world, world.seal(parts))))


def test_a_hostile_prompt_is_shown_and_does_nothing(world: World) -> None:
    parts = world.parts.copy()
    case = parts.cases[0]
    case["messages"][0]["content"][1]["text"] = HOSTILE
    case["messages"][1]["content"][0]["text"] = HOSTILE
    parts.declare(parts.cases)
    made = make(world, world.seal(parts))
    page = read(made)
    assert {"script", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    assert "alert(1)</script>" in page.text
    assert "⟨U+202E⟩" in page.text
    assert HOSTILE not in made.page.decode()


def test_published_pictures_stand_on_the_page_and_others_are_said_to_be_missing(
    world: World,
) -> None:
    assert "which is not published" in read(make(world)).text
    parts = world.parts.copy()
    parts.publish_images()
    page = read(make(world, world.seal(parts)))
    shown = [a["src"] for tag, a in page.tags if tag == "img"]
    assert shown
    assert all((src or "").startswith("data:image/png;base64,") for src in shown)
    first = base64.b64decode((shown[0] or "").split(",")[1])
    assert first.startswith(b"picture ")


def test_withheld_cases_are_said_to_be_withheld(world: World) -> None:
    parts = world.parts.copy()
    parts.withhold()
    text = read(make(world, world.seal(parts))).text
    assert "does not publish its cases" in text


def test_a_forged_bundle_is_refused_on_the_page_too(world: World, home: Path) -> None:
    forged = world.parts.copy()
    forged.evaluation["covered"] = 1
    path = world.seal(forged)
    ran = invoke("report", path, "-o", "page.html")
    assert ran.code == 1
    text = Reader((home / "page.html").read_bytes()).text
    assert "Refused" in text
    assert "Accepted" not in text


def test_without_a_trusted_key_the_page_is_undecided(world: World, tmp_path: Path) -> None:
    made = make(world, trust=TrustStore(()))
    text = read(made).text
    assert "Undecided" in text
    assert "a key whose word does not count for the auditor" in text


def test_the_command_writes_beside_and_overwrites_nothing(world: World, home: Path) -> None:
    path = world.seal()
    ran = invoke("report", path, "--json")
    assert ran.code == 0
    answer = canonical.loads(ran.stdout.encode(), where="answer")
    page = home / f"{path.stem}.html"
    assert answer["file"] == page.name
    assert answer["bytes"] == page.stat().st_size
    page.write_bytes(b"mine")
    assert invoke("report", path).code == 2
    assert page.read_bytes() == b"mine"
    assert invoke("report", path, "--force").code == 0
    assert page.read_bytes() != b"mine"


def test_what_is_no_bundle_has_no_page(home: Path) -> None:
    (home / "notes.kolm").write_text("hello")
    ran = invoke("report", "notes.kolm")
    assert ran.code == 3
    assert not (home / "notes.html").exists()


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(world: World) -> None:
    shown = Reader(make(world)._repr_html_().encode())
    assert [tag for tag, _ in shown.tags] == ["iframe"]
    assert "sandbox" in shown.tags[0][1]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_browser_draws_it_on_a_telephone_without_scrolling_sideways(
    world: World, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    parts = world.parts.copy()
    parts.publish_images()
    probe = b"<p id=probe></p><script>document.title=document.documentElement.scrollWidth</script>"
    # The page itself forbids scripts: the probe needs one, so its own copy goes without the rule.
    written = make(world, world.seal(parts)).page.replace(b"http-equiv", b"data-was")
    page.write_bytes(written.replace(b"</body>", probe + b"</body>"))
    ran = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=500,900",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    width = int(ran.stdout.split("<title>")[1].split("</title>")[0])
    assert width <= 500
