"""The compositions: what a buyer demands of a bundle that is still to be made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kolm import outputs
from kolm.actions.signing import (
    AskPassphrase,
    Trust,
    choose_key,
    passphrase_from_environment,
    trust_of,
)
from kolm.capture.store import CaptureStore
from kolm.counting import counted
from kolm.errors import KolmError, Refused
from kolm.events import Reporter
from kolm.sign import making, predicates
from kolm.verify import foresight
from kolm.verify.policy import load_policy
from kolm.verify.requests import Request, demands, load_request, read_request, signature_problem

if TYPE_CHECKING:
    from kolm.capture.packs import Pack
    from kolm.records.answers import RequestShow
    from kolm.records.documents import Request as Said


def make_pack(
    store: str | Path,
    *,
    output: Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
) -> Pack:
    """A store's captures as a pack; with `output` written to be handed over.

    Args:
        store: folder of the capture store.
        output: a file of rows, with its images in a folder beside it; importing it gives the same
            captures, and so the same root.
        force: replace other files there.
        reporter: hears progress.

    Raises:
        Refused: the captures cannot be an eval side, or do not all state that they are.
        Usage: ``E_TARGET_EXISTS``.
    """
    from kolm.capture.exporting import export
    from kolm.capture.packs import pack_of

    with CaptureStore.open_to_read(Path(store)) as opened:
        pack = pack_of(opened)
        if output is not None:
            export(opened, output, form="jsonl", replace=force, reporter=reporter)
    return pack


def new_request(
    target: Path | None,
    *,
    pack: str | Path,
    policy: str | Path,
    sealed: bool = False,
    base: str | Path | None = None,
    name: str | None = None,
    key: str | None = None,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
    force: bool = False,
) -> tuple[Path, Request]:
    """Write a signed request.

    Args:
        target: the file; without one ``NAME.request.json`` in the current folder.
        pack: folder of the store whose captures are scored.
        policy: file of the policy that the answer must pass.
        sealed: tell the pack's root alone, and score on it once the bundle is made.
        base: folder or name of the only base that is accepted; its root is demanded.
        name: of the request; without one the policy's.
        key: name of the signing key.
        ask_passphrase: called with the name of an encrypted key.
        force: replace another file.

    Raises:
        KolmError: pack, policy, base or key are not as they should be.
        Refused: ``E_REQUEST_PACK_SMALL``.
        Usage: ``E_TARGET_EXISTS``.
    """
    import secrets

    signer = choose_key(key, ask_passphrase)
    found, wanted = make_pack(pack), load_policy(Path(policy))
    least = wanted.minimum_eval_cases or 0
    if not sealed and found.captures < least:
        raise Refused(
            "E_REQUEST_PACK_SMALL",
            "no answer could pass: the policy demands more cases than the pack has",
            where=str(pack),
            expected=f"at least {counted(least, 'distinct question')}",
            found=counted(found.captures, "capture"),
            hint="add captures to the pack, or lower minimum_eval_cases in the policy",
        )
    if base is not None:
        wanted = wanted._replace(base_roots=(_root_of(base),))
    said: Said = {
        "name": name or wanted.name,
        "nonce": secrets.token_hex(32),
        "pack": {
            "captures": found.captures,
            "kind": "sealed" if sealed else "open",
            "root": found.root,
        },
        "policy": wanted.document,
    }
    demands(said, signer.public.keyid, where=str(policy))
    statement = making.statement(found.root, said["name"], predicates.REQUEST, said)
    data = making.seal(statement, signer)
    target = target or Path(f"{said['name']}.request.json")
    outputs.write(target, data, force=force)
    return target, read_request(data, where=target.name)


def _root_of(base: str | Path) -> str:
    from kolm.actions import measuring
    from kolm.models.resolve import resolve_base

    return measuring.measure(resolve_base(str(base)).folder).root


def show_request(file: str | Path, *, trust: Trust = None) -> tuple[RequestShow, KolmError | None]:
    """What a request asks, in words, and why nobody need believe that a buyer signed it.

    Args:
        file: the request.
        trust: whose keys are believed: a store or its file; without one this user's own.

    Raises:
        Unreadable: it is no request.
    """
    request, believed = load_request(Path(file)), trust_of(trust)
    signer = believed.find(request.signed.keyid)
    said = request.said
    document: RequestShow = {
        "name": said["name"],
        "digest": request.digest,
        "key": request.signed.keyid,
        "signer": None if signer is None else signer.name,
        "nonce": said["nonce"],
        "pack": said["pack"],
        "clauses": [
            {"clause": clause, "asks": asks} for clause, asks in foresight.clauses(request.policy)
        ],
        "needs": foresight.needs(request.policy),
    }
    return document, signature_problem(request, believed)
