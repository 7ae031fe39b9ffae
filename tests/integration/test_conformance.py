"""``kolm conformance``: who answers rightly agrees, another is told where it does not."""

import sys
from pathlib import Path

import pytest

from kolm import canonical
from kolm.actions.conformance import conformance, read_corpus
from kolm.errors import Unreadable
from tests.support import corpus
from tests.support.commands import invoke
from tests.support.demanded_bundles import DEMANDED
from tests.support.forgeries import ATTACKERS, FORGERIES
from tests.support.other_bundles import CASES

SOME = ("honest-lora", "honest-of-a-stranger", "honest-text-alone")
HELD = ("method-not-accepted", "honest-answer-to-a-request", "request-not-named")
VERIFY = [sys.executable, "-m", "kolm", "verify", "--json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the honest bundles, a few forgeries, and a few that are held to something."""
    made = tmp_path_factory.mktemp("corpus") / "corpus"
    patch = pytest.MonkeyPatch()
    patch.setattr(corpus, "FORGERIES", [f for f in FORGERIES if f.method == "lora"][::60])
    patch.setattr(corpus, "CASES", CASES[::8])
    patch.setattr(corpus, "DEMANDED", [case for case in DEMANDED if case.name in HELD])
    corpus.write(made)
    patch.undo()
    return made


def shortened(folder: Path, tmp_path: Path, names: tuple[str, ...]) -> Path:
    """The same corpus with some of its bundles alone."""
    document = read_corpus(folder)
    kept = [b for b in document["bundles"] if Path(b["file"]).stem in names]
    assert len(kept) == len(names)
    short = tmp_path / "short"
    short.mkdir()
    (short / "bundles").symlink_to(folder / "bundles")
    (short / "trust.json").write_bytes((folder / "trust.json").read_bytes())
    (short / "corpus.json").write_bytes(canonical.dumps({**document, "bundles": kept}))
    return short


def test_kolm_agrees_with_its_own_corpus(folder: Path) -> None:
    found = conformance(VERIFY, folder)
    assert found["disagreements"] == []
    assert found["agreed"] == found["bundles"] > 9


def test_a_verifier_that_accepts_everything_is_told_where(folder: Path, tmp_path: Path) -> None:
    short = shortened(folder, tmp_path, SOME)
    ran = invoke("conformance", "true", short)
    assert ran.code == 1
    assert "2 of 3 answers are those that are due" in ran.stdout
    assert "honest-of-a-stranger.kolm: due is refused or undecided, by V11" in ran.stdout


def test_what_a_bundle_is_held_to_is_handed_to_the_verifier(folder: Path, tmp_path: Path) -> None:
    short = shortened(folder, tmp_path, HELD)
    (short / "demands").symlink_to(folder / "demands")
    says = "import sys; sys.exit(' '.join(sys.argv[2:]))"
    found = conformance([sys.executable, "-c", says], short)
    trust = f"--trust {short / 'trust.json'}"
    assert [row["said"] for row in found["disagreements"]] == [
        f"{trust} --request {short / 'demands' / 'request-open.json'}"
    ]
    assert conformance(VERIFY, short)["disagreements"] == []


def test_a_verifier_that_refuses_everything_is_told_where(folder: Path, tmp_path: Path) -> None:
    short = shortened(folder, tmp_path, SOME)
    found = conformance(["false"], short, jobs=2)
    assert [row["file"] for row in found["disagreements"]] == [
        "bundles/honest-lora.kolm",
        "bundles/honest-text-alone.kolm",
    ]


def test_a_right_answer_for_a_wrong_reason_is_told(folder: Path, tmp_path: Path) -> None:
    short = shortened(folder, tmp_path, ("honest-of-a-stranger",))
    runner = tmp_path / "runner.py"
    runner.write_text('print(\'{"checks":[{"id":"V11","verdict":"ok"}]}\')\nraise SystemExit(1)\n')
    found = conformance([sys.executable, str(runner)], short)
    assert [row["found"] for row in found["disagreements"]] == ["V11 holds"]


def test_a_crash_is_no_answer(folder: Path, tmp_path: Path) -> None:
    short = shortened(folder, tmp_path, ("honest-of-a-stranger",))
    (row,) = conformance([sys.executable, "-c", "raise SystemExit(70)"], short)["disagreements"]
    assert row["found"] == "exit code 70"


def test_a_runner_or_a_corpus_that_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    assert invoke("conformance", "no-such-command", folder).code == 3
    missing = invoke("conformance", "true", tmp_path)
    assert missing.code == 3
    assert "no corpus.json" in missing.stderr
    (tmp_path / "corpus.json").write_text('{"schema":"urn:kolm:corpus:v1"}')
    with pytest.raises(Unreadable) as caught:
        conformance(["true"], tmp_path)
    assert caught.value.code == "E_CORPUS_BROKEN"


def test_the_whole_corpus_has_a_case_for_each_forgery_and_attacker() -> None:
    made = [
        (forgery.name, attacker, *corpus.answer(forgery, attacker))
        for forgery in FORGERIES
        for attacker in ATTACKERS
        if not (forgery.needs_key and attacker == "nobody")
    ]
    assert len(made) >= 150
    assert {verdict for *_, verdict, _, _ in made} == {"accepted", "not_accepted", "not_a_bundle"}
