"""``kolm verify`` as people and scripts see it: streams, exit codes, quickness, what it imports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kolm
from kolm import canonical
from kolm.bundle.cid import cid_of
from kolm.cli.verification_summary import summarise
from kolm.extras import missing_extra
from kolm.models import resolve
from kolm.records import codec
from kolm.records.verification import Evidence, Verdict
from kolm.sign.trust import FILE_NAME, KeyRole, TrustStore
from kolm.verify.checks import ALL_CHECKS
from kolm.verify.policy import BUILT_IN
from tests.support.audits import World
from tests.support.commands import invoke

FLOOR_NAMES = (
    "accuracy_lower_bound", "worst_slice", "better_than_base_p", "above_blind", "above_majority",
    "k",
)  # fmt: skip


def _fits(text: str) -> bool:
    lines = text.splitlines()
    return len(lines) <= 25 and all(len(line) <= 80 for line in lines)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("command"))


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return world.home(tmp_path, monkeypatch)


@pytest.fixture
def bad(world: World) -> Path:
    forged = world.parts.copy()
    forged.evaluation["covered"] = 1
    return world.seal(forged)


def _publisher(world: World) -> str:
    return f"key {world.publisher.public.keyid[:16]} (publisher)"


@pytest.mark.usefixtures("home")
class TestAnswers:
    def test_an_honest_bundle_ends_in_0(self, world: World) -> None:
        ran = invoke("verify", world.seal())
        assert ran.code == 0
        assert ran.stdout.startswith("✓ accepted")
        assert ran.stderr == ""

    @pytest.mark.parametrize("asked", [(), ("-v",)])
    def test_a_key_is_shown_by_its_id_and_then_by_its_name_wherever_it_attests(
        self, world: World, asked: tuple[str, ...]
    ) -> None:
        shown = invoke("verify", world.seal(), *asked).stdout
        told = [
            line
            for line in shown.splitlines()
            if "attested by" in line or line.startswith("  attested ")
        ]
        assert len(told) >= 3
        assert [line for line in told if _publisher(world) not in line] == []
        assert "key publisher" not in shown
        assert asked or _fits(shown)

    def test_the_summary_fits_a_screen_and_names_id_and_signer_in_full(self, world: World) -> None:
        ran = invoke("verify", world.seal())
        assert cid_of(world.parts.content_id()) in ran.stdout
        assert (
            f"signed by      key {world.publisher.public.keyid[:16]}, called publisher"
            in ran.stdout
        )
        assert "2026-01-02" in ran.stdout  # when the publisher says that the build ended
        assert _fits(ran.stdout)

    def test_every_line_and_the_whole_key_id_with_verbose(self, world: World) -> None:
        ran = invoke("verify", world.seal(), "-v")
        assert ran.stdout.count(world.parts.content_id()) == 1
        assert world.publisher.public.keyid in ran.stdout
        assert all(f"\n  {check.id} " in ran.stdout for check in ALL_CHECKS)

    def test_a_forged_bundle_ends_in_1_with_why_and_next(self, bad: Path) -> None:
        ran = invoke("verify", bad)
        assert ran.code == 1
        assert "✗ refused" in ran.stdout
        assert "V33 FAILED" in ran.stdout
        assert "why " in ran.stdout
        assert "next" in ran.stdout
        assert _fits(ran.stdout)

    def test_a_demand_that_is_missed_is_told_with_both_numbers(
        self, world: World, home: Path
    ) -> None:
        policy = home / "policy.json"
        policy.write_bytes(
            canonical.dumps(codec.to_document(BUILT_IN) | {"minimum_eval_cases": 1000})
        )
        ran = invoke("verify", world.seal(), "--policy", policy)
        assert ran.code == 1
        assert "expected at least 1000, found " in ran.stdout
        assert "why   the bundle is what it says" in ran.stdout
        assert _fits(ran.stdout)

    def test_what_a_stranger_signed_is_not_called_what_it_says(
        self, world: World, home: Path
    ) -> None:
        policy = home / "policy.json"
        policy.write_bytes(
            canonical.dumps(codec.to_document(BUILT_IN) | {"minimum_eval_cases": 1000})
        )
        (home / FILE_NAME).unlink()
        ran = invoke("verify", world.seal(), "--policy", policy)
        assert ran.code == 1
        assert "is what it says" not in ran.stdout
        assert "other questions could not be answered" in " ".join(ran.stdout.split())
        assert _fits(ran.stdout)

    def test_json_is_one_document_that_fits_its_schema(self, bad: Path) -> None:
        ran = invoke("verify", bad, "--json")
        assert ran.code == 1
        report = ran.document()
        assert report["conclusions"]["overall"]["verdict"] == "failed"
        assert [c["id"] for c in report["checks"] if c["verdict"] == "failed"] == ["V33"]

    def test_json_says_who_signed_when_whom_was_believed_and_who_looked(self, world: World) -> None:
        report = invoke("verify", world.seal(), "--json").document()
        (signer,) = report["signers"]
        assert (signer["keyid"], signer["name"]) == (world.publisher.public.keyid, "publisher")
        assert signer["stated_at"].startswith("2026-01-02T")
        assert report["trust"] == world.trust.digest
        assert report["kolm"] == kolm.__version__

    def test_whose_floors_and_what_was_observed_is_said(self, world: World) -> None:
        told = invoke("verify", world.seal(), "-v").stdout
        low = world.parts.evaluation["adapter"]["interval"]["low"]
        assert re.search(
            rf"by the publisher accuracy lower bound +ok +at least 0\.5; obs.* {low}", told
        )
        assert re.search(r"by the policy +distinct questions +ok +at least 50; observed 50", told)
        brief = invoke("verify", world.seal()).stdout
        assert "policy asks    distinct questions 50 (at least 50)" in brief

    def test_all_that_a_policy_asks_is_on_the_screen(self, world: World, home: Path) -> None:
        floors = dict.fromkeys(FLOOR_NAMES, "0") | {"better_than_base_p": "0.9"}
        asked = codec.to_document(BUILT_IN) | {"floors": floors}
        (home / "policy.json").write_bytes(canonical.dumps(asked))
        parts = world.parts.copy()
        for row in parts.predictions:
            row["base"]["output"] = "nothing"
        parts.rescore()
        ran = invoke("verify", world.seal(parts), "--policy", home / "policy.json")
        told = " ".join(ran.stdout.split())
        said = parts.evaluation
        for name in FLOOR_NAMES:
            assert f"{name.replace('_', ' ')} " in told
        assert f"swapped {said['swapped']['accuracy']})" in told
        assert f"majority {said['majority']['accuracy']}," in told
        assert (ran.code, _fits(ran.stdout)) == (0, True)

    def test_floors_of_nothing_do_not_pass_the_built_in_policy(self, world: World) -> None:
        forged = world.parts.copy()
        nothing = dict.fromkeys(forged.lock["evaluation"]["floors"])
        forged.lock["evaluation"]["floors"] = {**nothing, "worst_slice_minimum_cases": 30}
        for row in forged.predictions[1:]:
            row["adapter"]["output"] = "nonsense"
        forged.rescore()
        ran = invoke("verify", world.seal(forged))
        assert ran.code == 1
        assert "V62 FAILED" in ran.stdout
        assert _fits(ran.stdout)

    def test_withheld_text_is_undecided_and_says_what_to_do(
        self, world: World, tmp_path: Path
    ) -> None:
        closed = world.parts.copy()
        closed.withhold()
        path = world.seal(closed)
        ran = invoke("verify", path)
        assert ran.code == 3
        assert f"scores         not checked    attested by {_publisher(world)}" in ran.stdout
        assert "add --captures with the publisher's store" in ran.stdout
        assert _fits(ran.stdout)
        trusting = {**codec.to_document(BUILT_IN), "name": "trusting", "reach": ["delta_scope"]}
        for clause in ("minimum_eval_cases", "lower_bound_above"):
            del trusting[clause]
        policy = tmp_path / "policy.json"
        policy.write_bytes(canonical.dumps(trusting))
        ran = invoke("verify", path, "--policy", policy)
        assert (ran.code, f"attested by {_publisher(world)}" in ran.stdout) == (0, True)

    def test_scores_that_predictions_do_not_give_are_refused_without_text_too(
        self, world: World, tmp_path: Path
    ) -> None:
        forged = world.parts.copy()
        said = forged.evaluation
        for row in forged.predictions:
            row["adapter"]["output"] = "nonsense"
        forged.rescore()
        forged.evaluation = said
        forged.withhold()
        ran = invoke("verify", world.seal(forged))
        assert (ran.code, "V33 FAILED" in ran.stdout) == (1, True)

    def test_quiet_says_the_verdict_alone(self, world: World) -> None:
        assert invoke("verify", world.seal(), "-q").stdout == "ok\n"

    def test_verbose_lists_what_was_not_asked_one_by_one(self, world: World) -> None:
        assert "V51 not checked" in invoke("verify", world.seal(), "-v").stdout

    def test_the_base_and_the_id_can_be_given(self, world: World) -> None:
        ran = invoke(
            "verify", world.seal(), "--base", world.parts.base, "--id", world.parts.content_id()
        )
        assert ran.code == 0
        assert "byte for byte" in ran.stdout

    def test_another_id_ends_in_1(self, world: World) -> None:
        assert invoke("verify", world.seal(), "--id", "sha256:" + "0" * 64).code == 1

    def test_an_id_that_is_none_is_a_usage_error(self, world: World) -> None:
        ran = invoke("verify", world.seal(), "--id", "latest", "--json")
        assert ran.code == 2
        assert ran.error()["code"] == "E_VERIFY_ID"

    def test_a_policy_file_is_honoured(self, world: World, tmp_path: Path) -> None:
        policy = tmp_path / "strict.json"
        demands = {**codec.to_document(BUILT_IN), "minimum_eval_cases": 1000, "name": "strict"}
        policy.write_bytes(canonical.dumps(demands))
        ran = invoke("verify", world.seal(), "--policy", policy)
        assert ran.code == 1
        assert "V62 FAILED" in ran.stdout
        assert re.search(r"policy +strict", ran.stdout)

    def test_rescoring_without_pictures_is_a_usage_error(self, world: World) -> None:
        ran = invoke("verify", world.seal(), "--rescore", "3", "--json")
        assert ran.code == 2
        assert ran.error()["code"] == "E_VERIFY_RESCORE_PICTURES"

    def test_a_missing_file_ends_in_3_with_an_empty_stdout(self, tmp_path: Path) -> None:
        ran = invoke("verify", tmp_path / "missing.kolm", "--json")
        assert ran.code == 3
        assert ran.stdout == ""
        assert ran.error()["code"] == "E_FILE_MISSING"


def test_without_trust_material_the_answer_is_3(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "empty"))
    ran = invoke("verify", world.seal())
    assert ran.code == 3
    assert "? undecided" in ran.stdout
    assert _fits(ran.stdout)
    assert "kolm keys trust" in ran.stdout


def test_a_trust_file_can_be_given(world: World, tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(canonical.dumps(TrustStore(world.trust.keys).to_document()))
    assert invoke("verify", world.seal(), "--trust", path).code == 0


def test_the_advice_fits_what_was_asked(world: World, tmp_path: Path) -> None:
    path, policy = tmp_path / "trust.json", tmp_path / "policy.json"
    path.write_bytes(canonical.dumps(world.trust.to_document()))
    demands = {**codec.to_document(BUILT_IN), "reach": ["delta_scope", "base_identity"]}
    policy.write_bytes(canonical.dumps(demands))
    bundle = world.seal()
    another = invoke("verify", bundle, "--trust", path, "--id", f"sha256:{'0' * 64}")
    assert (another.code, "another bundle than the one that --id names" in another.stdout) == (
        1,
        True,
    )
    unreached = invoke("verify", bundle, "--trust", path, "--policy", policy)
    assert (unreached.code, "base_identity needs --base" in unreached.stdout) == (3, True)


def test_a_key_without_a_role_is_told_from_a_stranger(world: World, tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    (publisher,) = world.trust.keys
    lesser = TrustStore((publisher._replace(roles=frozenset({KeyRole.BUILDER})),))
    path.write_bytes(canonical.dumps(lesser.to_document()))
    ran = invoke("verify", world.seal(), "--trust", path)
    assert ran.code == 1
    assert "name all its roles" in ran.stdout


def test_a_broken_trust_file_is_no_verdict_on_the_bundle(world: World, tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_text('{"keys": [')
    ran = invoke("verify", world.seal(), "--trust", path, "--json")
    assert (ran.code, ran.error()["code"]) == (3, "E_TRUST_BROKEN")


FORBIDDEN = ("torch", "transformers", "peft", "PIL", "numpy", "jsonschema", "rich", "http.client")


def test_the_default_path_imports_nothing_heavy(world: World, home: Path) -> None:
    code = (
        "import sys\n"
        "from kolm.cli.main import main\n"
        f"code = main(['verify', '-q', {str(world.seal())!r}])\n"
        f"heavy = [name for name in {FORBIDDEN!r} if name in sys.modules]\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KOLM_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_the_report_does_not_depend_on_the_process(
    world: World, home: Path, seed: str, bad: Path
) -> None:
    code = "import sys; from kolm.cli.main import main; main(['verify', '--json', sys.argv[1]])"
    reports = []
    for variables in ({"PYTHONHASHSEED": "7"}, {"PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"}):
        ran = subprocess.run(
            [sys.executable, "-c", code, str(bad)],
            env={**os.environ, "KOLM_HOME": str(home), **variables},
            capture_output=True,
            check=False,
        )
        report = canonical.loads(ran.stdout, where="stdout")
        reports.append({**report, "checked_at": ""})
    assert reports[0] == reports[1]


def test_a_stranger_s_bundle_is_told_of_in_whole_sentences(world: World) -> None:
    """The summary once cut questions and details although the screen had room for them."""
    ran = invoke("verify", world.seal(key=world.stranger))
    assert ran.code == 3
    told = " ".join(ran.stdout.split())
    assert "signed by a trusted key in a role that may make it?" in told
    assert "can change the declared modules and nothing else" in told
    assert "give --base PATH to compare the base on this machine; the publisher calls it" in told
    assert _fits(ran.stdout)


def test_a_base_that_cannot_be_looked_for_without_an_extra_ends_like_one_that_is_not_here(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked_base(_: object) -> None:
        raise missing_extra("train", "bases from the hub need an optional part of kolm")

    monkeypatch.setattr(resolve, "locked_base", locked_base)
    ran = invoke("verify", world.seal(), "--rescore", "1", "--captures", home, "--json")
    assert (ran.code, ran.error()["code"]) == (3, "E_BASE_NOT_FOUND")
    assert "its extra 'train'" in ran.error()["hint"]
    assert "--base PATH" in ran.error()["hint"]


def test_hostile_names_and_many_failures_still_fit_a_screen(world: World) -> None:
    forged = world.parts.copy()
    forged.lock["name"] = "n" * 60
    forged.evaluation["covered"] = 1
    forged.trace = forged.trace[:1]
    ran = invoke("verify", world.seal(forged, key=world.stranger))
    assert ran.code in (1, 3)
    assert _fits(ran.stdout)


@pytest.mark.parametrize("material", [(), ("base_identity",), ("base_identity", "process")])
def test_a_summary_fits_however_long_its_parts_are(world: World, material: tuple[str, ...]) -> None:
    report = world.look(world.seal()).report
    reached = {name: getattr(report.conclusions, name) for name in report.conclusions._fields}
    for name, conclusion in reached.items():
        if name != "overall" and (conclusion.verdict is Verdict.OK or name in material):
            reached[name] = conclusion._replace(
                verdict=Verdict.OK, evidence=Evidence.RECOMPUTED, detail="a long detail " * 20
            )
    looked = {"base_identity": ("V40", "V41", "V42", "V43"), "process": ("V51", "V53")}
    numbers = {number for name in material for number in looked[name]}
    report = report._replace(
        conclusions=type(report.conclusions)(**reached),
        checks=tuple(
            check._replace(verdict=Verdict.OK) if check.id in numbers else check
            for check in report.checks
        ),
        demands=tuple(
            demand._replace(name=demand.name + "_of_a_long_name") for demand in report.demands
        ),
    )
    assert _fits(summarise(report, paint=lambda text, tone: text))
