"""Who signed, for people: each key by its id, then by what the auditor's trust file calls it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kolm.records.verification import SignedBy
from kolm.sign.keys import shown


def keys(names: Iterable[str], signers: Sequence[SignedBy]) -> tuple[str, ...]:
    """The keys of these names as they are shown, ``key 1f3b5d7a9c0e2468 (anna)``.

    Args:
        names: of the trust store.
        signers: of the audited bundle; a name that is none of theirs stays as it is.
    """
    ids = {signer.name: signer.keyid for signer in signers}
    return tuple(shown(ids[name], name) if name in ids else name for name in names)
