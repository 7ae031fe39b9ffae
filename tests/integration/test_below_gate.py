"""A bundle that misses its gate: refused unless its user asks for it, and then said loudly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, file_digests
from kolm.actions import children, evaluating, running
from kolm.capture.store import CaptureStore
from kolm.records import codec
from kolm.registry.check import without_gate
from kolm.verify.policy import BUILT_IN
from tests.support.bundles import BundleParts, make_parts
from tests.support.commands import Ran, invoke
from tests.support.pictures import picture

LOUD = "BELOW THE GATE"


class Reached(Exception):
    """The verification let the bundle through, and the command goes on to use it."""


def _reach(*_: Any, **__: Any) -> Any:
    raise Reached


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BundleParts:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert invoke("keys", "new").code == 0
    (tmp_path / "x.png").write_bytes(picture(0))
    CaptureStore.open(tmp_path / "captures", create=True).close()
    made = make_parts(tmp_path)
    made.lock["evaluation"]["floors"]["accuracy_lower_bound"] = "0.99"
    made.rescore()
    return made


@pytest.fixture
def bundle(parts: BundleParts, tmp_path: Path) -> Path:
    from kolm.sign.keystore import KeyStore

    key = KeyStore(tmp_path / "home" / "keys").load("default", lambda _: None)
    return parts.seal(tmp_path / "toy.kolm", key=key)


def _run(bundle: Path, parts: BundleParts, *more: str) -> Ran:
    return invoke(
        "run", str(bundle), "--image", "x.png", "--prompt", "?", "--base", str(parts.base), *more
    )


def test_run_asks_for_the_flag_and_warns(
    bundle: Path, parts: BundleParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_session", _reach)
    refused = _run(bundle, parts)
    assert refused.code == 1
    assert "--allow-below-gate" in refused.stdout + refused.stderr
    with pytest.raises(Reached):
        running.load(bundle, base=parts.base, allow_below_gate=True)
    allowed = _run(bundle, parts, "--allow-below-gate")
    assert LOUD in allowed.stderr
    assert "V62" in allowed.stderr


def test_a_prompt_that_is_no_text_is_refused_before_anything_is_loaded(
    bundle: Path, parts: BundleParts
) -> None:
    ran = invoke(
        "--json", "run", str(bundle), "--image", "x.png", "--prompt", "\udcff?", "--base", "here"
    )
    assert (ran.code, ran.document()["error"]["code"]) == (1, "E_CAPTURE_TEXT")


def test_the_flag_forgives_nothing_but_the_scores(
    parts: BundleParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_session", _reach)
    parts.evaluation["covered"] = 1
    unsigned = parts.seal(tmp_path / "bad.kolm")
    ran = _run(unsigned, parts, "--allow-below-gate")
    assert ran.code == 1
    assert LOUD not in ran.stderr


def test_a_policy_of_ones_own_is_what_is_demanded(
    bundle: Path, parts: BundleParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "open_session", _reach)
    own = codec.to_document(without_gate(BUILT_IN))
    (tmp_path / "own.json").write_bytes(canonical.dumps(own))
    with pytest.raises(Reached):
        running.load(bundle, base=parts.base, policy=tmp_path / "own.json")
    own["name"], own["families"] = "strict", ["another"]
    (tmp_path / "strict.json").write_bytes(canonical.dumps(own))
    ran = _run(bundle, parts, "--policy", "strict.json", "--allow-below-gate")
    assert ran.code == 1
    assert "V60" in ran.stdout + ran.stderr


def test_eval_asks_for_the_flag(
    bundle: Path, parts: BundleParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("eval", str(bundle), "--captures", "captures", "--base", str(parts.base))
    monkeypatch.setattr(evaluating, "_write_pack", lambda *_: b"")
    monkeypatch.setattr(children, "run", _reach)
    assert invoke(*words).code == 1
    assert LOUD in invoke(*words, "--allow-below-gate").stderr


def test_publish_and_pull_ask_for_the_flag(bundle: Path, tmp_path: Path) -> None:
    assert invoke("registry", "init", "registry").code == 0
    publish = ("registry", "publish", str(bundle), "toy@1.0.0")
    assert invoke(*publish).code == 1
    done = invoke(*publish, "--allow-below-gate")
    assert done.code == 0, done.stderr
    assert LOUD in done.stderr
    pull = ("registry", "pull", "toy@1.0.0", "--output", "out.kolm")
    assert invoke(*pull).code == 1
    assert invoke(*pull, "--allow-below-gate").code == 0
    assert file_digests.of_file(tmp_path / "out.kolm") == file_digests.of_file(bundle)
