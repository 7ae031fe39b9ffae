"""Whose keys are believed and what is demanded: by name, by file, and what stands for neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm.actions.signing import trust_of
from kolm.errors import KolmError
from kolm.sign.trust import TrustStore
from kolm.verify.policy import BUILT_IN, policy_of


def test_without_a_policy_the_built_in_one_is_demanded() -> None:
    assert policy_of(None) is BUILT_IN
    assert policy_of(BUILT_IN) is BUILT_IN


def test_without_a_trust_file_this_users_own_keys_are_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path))
    mine = TrustStore(())
    assert trust_of(None).keys == ()
    assert trust_of(mine) is mine


@pytest.mark.parametrize("file", ["", "none.json"])
def test_a_name_of_no_file_stands_for_neither(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KolmError):
        policy_of(file)
    with pytest.raises(KolmError):
        trust_of(file)
