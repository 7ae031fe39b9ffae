"""Stored claims and trust files, each bad one refused for the reason in its name.

The private keys of the vectors were thrown away after signing; any implementation can use them.
"""

from pathlib import Path

import pytest

from kolm import canonical
from kolm.errors import KolmError
from kolm.sign import claims
from kolm.sign.trust import TrustStore

VECTORS = Path(__file__).parents[2] / "vectors"
TRUST = TrustStore.load_file(VECTORS / "envelope" / "trust.json")


def _cases(kind):
    return [pytest.param(path, id=path.stem) for path in sorted((VECTORS / kind).glob("*.json"))]


def _code(path):
    return path.stem.partition(".")[0]


def test_there_are_vectors_of_every_kind():
    for kind, least in (("envelope/valid", 5), ("envelope/invalid", 30), ("trust/invalid", 10)):
        assert len(_cases(kind)) >= least


@pytest.mark.parametrize("path", _cases("envelope/valid"))
def test_a_good_claim_is_believed(path):
    assert claims.authenticate(path.read_bytes(), TRUST).statement.name == "demo"


@pytest.mark.parametrize("path", _cases("envelope/invalid"))
def test_a_bad_claim_is_refused_for_the_reason_in_its_name(path):
    with pytest.raises(KolmError) as caught:
        claims.authenticate(path.read_bytes(), TRUST)
    assert caught.value.code == _code(path)


def _read_trust(path):
    return TrustStore.from_document(canonical.loads(path.read_bytes(), where="t"), where="t")


@pytest.mark.parametrize("path", _cases("trust/valid"))
def test_a_good_trust_file_is_read_and_written_the_same(path):
    assert canonical.dumps(_read_trust(path).to_document()) == path.read_bytes()


@pytest.mark.parametrize("path", _cases("trust/invalid"))
def test_a_bad_trust_file_is_refused_for_the_reason_in_its_name(path):
    with pytest.raises(KolmError) as caught:
        _read_trust(path)
    assert caught.value.code == _code(path)
