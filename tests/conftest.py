"""Fixtures that several parts of the tests share: one small bundle that was really compiled."""

from __future__ import annotations

import pytest

from tests.support.lines import STEPS, Line, coloured


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A project on the embedded base with its signed bundle, made by the real commands."""
    pytest.importorskip("torch")
    line = Line.make(tmp_path_factory.mktemp("compiled"), rows=coloured(200), steps=STEPS)
    line.demand("compile")
    return line
