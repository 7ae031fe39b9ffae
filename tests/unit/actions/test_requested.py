"""Which clauses of a request a lock cannot meet is known before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolm.actions.requested import unmet
from kolm.verify.policy import read_policy
from tests.support.bundles import BundleParts, make_parts
from tests.support.requests import demands_of


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> BundleParts:
    return make_parts(Path(tmp_path_factory.mktemp("requested")))


def told(parts: BundleParts, **clauses: Any) -> list[str]:
    policy = read_policy(demands_of(parts, **clauses), where="policy")
    return [error.message for error in unmet(policy, parts.lock)]  # type: ignore[arg-type]


def test_a_lock_that_meets_every_clause_is_refused_by_none(parts: BundleParts) -> None:
    lock = parts.lock
    assert (
        told(
            parts,
            families=[lock["base"]["family"]],
            licenses=[lock["base"]["license"]],
            environment_classes=[lock["environment"]["class"]],
            freeze=["vision frozen", "projector trained", "language adapted", "other frozen"],
            floors={"accuracy_lower_bound": "0.5", "better_than_base_p": "0.6", "k": "0.1"},
        )
        == []
    )


@pytest.mark.parametrize(
    ("clause", "value"),
    [
        ("base_roots", ["sha256:" + "0" * 64]),
        ("families", ["llama"]),
        ("licenses", ["MIT"]),
        ("methods", ["ia3", "prefix"]),
        ("environment_classes", ["sha256:" + "0" * 64]),
        ("metrics", ["anls", {"kind": "relaxed", "tolerance": "0.05"}]),
        ("freeze", ["projector frozen"]),
        ("freeze", ["vision adapted"]),
        ("dossier", ["provider"]),
        ("floors", {"accuracy_lower_bound": "0.50001"}),
        ("floors", {"better_than_base_p": "0.4"}),
        ("floors", {"clustered_lower_bound": "0"}),
        ("floors", {"nobody_knows": "0"}),
    ],
)
def test_each_clause_that_it_cannot_meet_is_named(
    parts: BundleParts, clause: str, value: Any
) -> None:
    assert told(parts, **{clause: value}) == [f"the request does not accept this ({clause})"]
