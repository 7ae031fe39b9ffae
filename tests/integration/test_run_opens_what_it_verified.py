"""`kolm run` unpacks the very bundle that passed, also when its path names another by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolm.api import running
from kolm.errors import Refused
from tests.support.audits import World


def test_a_bundle_swapped_for_the_check_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path)
    evil = world.parts.copy()
    evil.tensors = {name: (d, s, raw[::-1]) for name, (d, s, raw) in evil.tensors.items()}
    path, honest = world.seal(evil), world.seal()

    def verify(asked: Path, **options: Any) -> Any:
        honest.replace(asked)  # the opened file is still the evil one
        answers = world.look(asked, **options)
        assert answers.failed <= {"V09"}
        return answers.report

    monkeypatch.setattr(running, "verify", verify)
    with pytest.raises(Refused) as refused:
        running.load(path, base=world.parts.base)
    assert refused.value.code == "E_BUNDLE_NOT_VERIFIED"
    assert "V09" in refused.value.found
