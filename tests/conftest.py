"""Fixtures that several parts of the tests share, and one core for each process that runs tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.lines import STEPS, Line, coloured

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("kolm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kolm")


def pytest_configure(config: pytest.Config) -> None:
    """Pin this process and its children to a core of its own, where tests run in several.

    Two programs that each compute on every core wait for each other more than they compute.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A project on the embedded base with its signed bundle, made by the real commands."""
    pytest.importorskip("torch")
    line = Line.make(tmp_path_factory.mktemp("compiled"), rows=coloured(200), steps=STEPS)
    line.demand("compile")
    return line
