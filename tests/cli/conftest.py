"""A project in which every command has real work, apart from what needs a trained model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from kolm import paths
from kolm.actions.running import RunAnswer
from kolm.cli import flags
from kolm.sign import private_keys
from kolm.sign.keystore import KeyStore
from tests.support.bundles import BundleParts, make_parts
from tests.support.commands import invoke
from tests.support.openssh import ssh_key
from tests.support.stamping import Authority

SPEC = """\
kolm: 1
name: toy
base: kolm/nano-1
data: {captures: captures}
"""


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BundleParts]:
    """The project as every test starts with it, and the parts of its bundle."""
    folder = tmp_path_factory.mktemp("project")
    patch = pytest.MonkeyPatch()
    patch.setenv("KOLM_HOME", str(folder / ".kolm"))
    patch.chdir(folder)
    (folder / "kolm.yaml").write_text(SPEC)
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").save(folder / "picture.png")
    Image.radial_gradient("L").resize((16, 16)).convert("RGB").save(folder / "other.png")
    row = {"image": "picture.png", "prompt": "what?", "response": "this", "split": "eval"}
    other = {"image": "other.png", "prompt": "what?", "response": "that", "split": "train"}
    (folder / "pairs.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")
    assert invoke("keys", "new").code == 0
    assert invoke("keys", "new", "--name", "approver").code == 0
    (folder / "stranger.pem").write_text(private_keys.generate("ed25519").public.pem)
    (folder / "id_ed25519").write_bytes(ssh_key())
    (folder / "chain.pem").write_text(Authority.make(folder / "authority").chain)
    assert invoke("capture", "import", "pairs.jsonl").code == 0
    parts = make_parts(folder / "toy")
    own = KeyStore(paths.config_folder() / "keys").load("default", lambda _: None)
    parts.seal(folder / "toy.kolm", key=own)
    assert invoke("registry", "init", "registry").code == 0
    assert invoke("registry", "publish", "toy.kolm", "demo/toy@1.0.0").code == 0
    assert invoke("policy", "new", "--for", "release", "-o", "own.policy.yaml").code == 0
    scored = ("--images", ".", "--split", "eval", "--store", "pack")
    (folder / "cases.jsonl").write_text(json.dumps({**row, "prompt": "which?"}) + "\n")
    assert invoke("capture", "import", "cases.jsonl", *scored).code == 0
    policy = Path("own.policy.yaml").read_text()
    assert "minimum_eval_cases: 200" in policy  # the pack has one
    few = policy.replace("minimum_eval_cases: 200", "minimum_eval_cases: 1")
    Path("own.policy.yaml").write_text(few)
    asked = ("--policy", "own.policy.yaml", "--pack", "pack", "-o", "own.request.json")
    assert invoke("request", "new", *asked).code == 0
    row = {"file": "toy.kolm", "verdict": "accepted", "checks": [], "only_by": None}
    (folder / "corpus").mkdir()
    (folder / "corpus" / "corpus.json").write_text(
        json.dumps({"schema": "urn:kolm:corpus:v1", "trust": "trust.json", "bundles": [row]})
    )
    patch.undo()
    return folder, parts


@pytest.fixture
def project(
    made_once: tuple[Path, BundleParts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the project as the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(made_once[0], folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KOLM_HOME", str(folder / ".kolm"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("KOLM_OFFLINE", raising=False)
    _replace_models(made_once[1], monkeypatch)
    yield folder
    flags.reset()


def _replace_models(parts: BundleParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the functions of `kolm.actions` that train or load a model."""
    from kolm import actions
    from kolm.sign import predicates

    kscore = parts.predicates()[predicates.KSCORE]
    common = {
        "content_id": parts.content_id(),
        "gate_passed": True,
        "evaluation": parts.evaluation,
        "kscore": kscore,
    }

    def compile_(spec: Any, *, reporter: Any, dry_run: bool = False, **_: Any) -> Any:
        reporter.noted("compiling")
        sealed = Path("toy.kolm")
        return SimpleNamespace(
            bundle=None if dry_run else sealed,
            cid="b" + "a" * 58,
            lock=parts.lock,
            failing_cases=(),
            state=parts.trace[-1].get("state", parts.content_id()),
            states=Path(".kolm/runs/train-0123456789abcdef/checkpoints"),
            seconds=1.25,
            peak_memory_bytes=2**30,
            **common,
        )

    def evaluate_bundle(bundle: Path, *, reporter: Any, **_: Any) -> Any:
        reporter.noted("scoring")
        overlap = {"cases": 6, "seen_cases": 0, "captures": 0, "images": 0, "near_twins": None}
        pack = {**kscore["pack"], "owner": "evaluator", "overlap": overlap}
        scored = {**common, "kscore": {**kscore, "pack": pack}}
        return SimpleNamespace(bundle=bundle, **scored)

    def sweep(spec: Any, grid: Any, *, reporter: Any, **_: Any) -> Any:
        from kolm.actions.sweep_files import Written
        from kolm.actions.sweep_results import PointResult, Scores
        from kolm.actions.sweep_table import rank

        reporter.noted("sweeping")
        results = [
            PointResult(
                number=number,
                settings=(("train.method.rank", str(value)),),
                label=f"rank {value}",
                steps=4,
                trained_numbers=100 * value,
                loss="0.5",
                curve=((4, "0.5"),),
                scores=Scores((1_000_000, 0), 2),
                state=parts.content_id(),
            )
            for number, value in enumerate(grid["train.method.rank"], start=1)
        ]
        planned = SimpleNamespace(lock=parts.lock, cases=b"{}\n{}\n", points=results)
        files = Written(*map(Path, ("table.md", "table.csv", "loss.svg", "kolm.best.yaml")))
        return SimpleNamespace(
            planned=planned, table=rank(results), files=files, jobs=None, missing=()
        )

    def make_pairs(store: Path, *, into: Path, how: Any, reporter: Any, **_: Any) -> Any:
        reporter.noted("answering")
        digest = common["content_id"]
        record = {
            "schema": "urn:kolm:pairs:v1", "better": "reference", "by": {"kind": "exact"},
            "captures": digest, "environment": digest, "judge": None,
            "counts": {
                "captures": 2, "samples": 8, "pairs": 1, "cut": 0, "equal": 3, "unusable": 0,
                "unscored": 0, "no_candidates": 0, "none_worse": 1, "longer": 0,
            },
            "model": {"kind": "base", "name": "kolm/nano-1", "digest": digest},
            "settings": {
                "batch_size": how.batch_size, "max_new_tokens": how.max_new_tokens,
                "max_seq_length": how.max_seq_length, "noise": how.noise,
                "samples": how.samples, "seed": how.seed, "temperature": str(how.temperature),
            },
        }  # fmt: skip
        file = Path(into) / "made" / "0123456789abcdef.json"
        return SimpleNamespace(captures=1, total=1, record=record, file=file)

    def judge_captures(store: Path, *, judge: Any, reporter: Any, **_: Any) -> Any:
        reporter.noted("judging")
        digest = common["content_id"]
        who = {"kind": "base", "name": judge.model, "digest": digest, "url": None}
        file = Path("captures") / "judgements" / "0123456789abcdef.jsonl"
        return SimpleNamespace(
            found=SimpleNamespace(new=2, too_long=0, file=file, judge=who),
            answers=2, unread=1, below=None, kept=None, agreement=None, preferred=None,
            means={"accuracy": "4.5", "completeness": "3", "relevance": "5"},
        )  # fmt: skip

    def run(bundle: Path, *, reporter: Any, **_: Any) -> Any:
        return RunAnswer(
            content_id=common["content_id"], text="red", tokens=2, finish="stop", cut_tokens=0
        )

    def check(spec: Any, *, reporter: Any, **_: Any) -> Any:
        reporter.noted("checking")
        return [{"name": "data", "verdict": "ok", "message": "2 captures"}]

    for name, stand_in in (
        ("compile", compile_),
        ("evaluate_bundle", evaluate_bundle),
        ("sweep", sweep),
        ("run", run),
        ("make_pairs", make_pairs),
        ("judge_captures", judge_captures),
        ("check", check),
    ):
        monkeypatch.setitem(vars(actions), name, stand_in)  # the real ones stay unimported
