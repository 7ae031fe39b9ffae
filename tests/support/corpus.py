"""The conformance corpus: every forgery by every attacker as a file, with the answer that is due.

Beside them stand honest bundles, and those of `tests/support/other_bundles.py` and
`tests/support/demanded_bundles.py`, so that each check that file, policy or request decide has a
bundle for which it does not hold.

    python -m tests.support.corpus build/corpus

Writes ``bundles/*.kolm``, ``demands/*.json``, ``trust.json`` and ``corpus.json``, which says of
each bundle what it is held to, the verdict and which checks must not hold: for kolm, and for
whoever writes another verifier (`kolm conformance`). The keys are made for it and thrown away, so
that the bytes differ from one time to the next; the answers do not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.actions.attesting import attest
from kolm.bundle.container import open_container
from kolm.sign.envelope import open_envelope
from kolm.sign.predicates import TEST_RESULT
from kolm.sign.private_keys import PrivateKey
from kolm.sign.statement import parse
from tests.support.audits import World
from tests.support.bundles import BundleParts
from tests.support.demanded_bundles import DEMANDED
from tests.support.forged_pairs import PAIRS
from tests.support.forgeries import ATTACKERS, FORGERIES, Forgery
from tests.support.other_bundles import CASES, Parties
from tests.support.toy_text import make_text_world

if TYPE_CHECKING:
    from kolm.records.documents import CorpusBundle, CorpusBundleOnlyBy, CorpusBundleVerdict


def make_worlds(folder: Path) -> dict[str, World]:
    """An honest bundle and its keys for each method or objective that a forgery starts from."""
    return {
        "lora": World.make(_new(folder / "lora"), cases=52, train=12),
        "ia3": World.make(_new(folder / "ia3"), method={"kind": "ia3"}),
        "bottleneck": World.make(_new(folder / "bottleneck"), method={"kind": "bottleneck"}),
        "prompt": World.make(_new(folder / "prompt"), method={"kind": "prompt"}),
        "p_tuning": World.make(
            _new(folder / "p_tuning"), method={"kind": "p_tuning", "encoder_size": 4}
        ),
        PAIRS: World.make(_new(folder / PAIRS), objective={"kind": PAIRS}),
    }


def forge(world: World, forgery: Forgery, attacker: str, path: Path | None = None) -> Path:
    """The forged file, signed as the attacker can."""
    parts = world.parts.copy()
    if forgery.parts is not None:
        forgery.parts(parts)
    path = path or world.path()
    parts.seal(path, claims=_claims(world, forgery, attacker, parts))
    if forgery.file is not None:
        forgery.file(path)
    return path


def expected(forgery: Forgery, attacker: str) -> set[str]:
    """What must not hold for this attacker, besides what catches the signer."""
    if forgery.file is not None or attacker == "signer":
        return set()
    if attacker == "stranger" or forgery.claims is not None:
        return {"V11"}
    return {"V12"}


def write(folder: Path) -> int:
    """Write the corpus into an empty folder; gives the number of its bundles."""
    bundles = _new(folder / "bundles")
    worlds = make_worlds(folder / "made")
    publisher = worlds["lora"].publisher
    for world in worlds.values():  # one trust file for all
        world.publisher, world.trust = publisher, worlds["lora"].trust
    parties = Parties.of(worlds["lora"])
    rows = [*_honest(worlds, bundles), *_forged(worlds, bundles), *_others(parties, bundles)]
    (folder / "trust.json").write_bytes(canonical.dumps(parties.trust.to_document()))
    document = {"schema": "urn:kolm:corpus:v1", "trust": "trust.json", "bundles": rows}
    (folder / "corpus.json").write_bytes(canonical.dumps(document))
    return len(rows)


def _honest(worlds: dict[str, World], bundles: Path) -> Iterator[CorpusBundle]:
    """What any verifier must accept, and what it must leave undecided."""
    for method, world in worlds.items():
        yield _row(f"honest-{method}", world.parts, world, bundles, "accepted")
    world = worlds["lora"]
    pictures = world.parts.copy()
    pictures.publish_images()
    yield _row("honest-with-pictures", pictures, world, bundles, "accepted")
    for size in (64, 128):
        four_bits = world.parts.copy()
        four_bits.quantise(size)
        yield _row(f"honest-in-4-bits-of-{size}", four_bits, world, bundles, "accepted")
    withheld = world.parts.copy()
    withheld.withhold()
    yield _row("honest-without-text", withheld, world, bundles, "not_accepted")
    unknown = bundles / "honest-of-a-stranger.kolm"
    world.parts.seal(unknown, claims=world.parts.claims(world.stranger))
    yield _said(unknown, "not_accepted", ["V11"])
    audited = bundles / "honest-audited.kolm"
    world.parts.seal(audited, claims=world.parts.claims(world.publisher))
    attest(open_container(audited), world.look(audited).report, world.publisher)
    yield _said(audited, "accepted", [])
    dropped = bundles / "audited-without-the-gate.kolm"
    left = [claim.data for claim in open_container(audited).claims[0] if not _of_gate(claim.data)]
    world.parts.seal(dropped, claims=left)
    yield _said(dropped, "not_accepted", ["V13"])
    text = make_text_world(_new(bundles.parent / "made" / "text"), cases=52, train=12)
    yield _row("honest-text-alone", text.parts, world, bundles, "accepted")


def _of_gate(claim: bytes) -> bool:
    """Whether it is the gate's test result; that of an audit names its policy by a URI."""
    tests = parse(open_envelope(claim, where="claim").payload).of(TEST_RESULT)
    return tests is not None and not any("uri" in item for item in tests["configuration"])


def _forged(worlds: dict[str, World], bundles: Path) -> Iterator[CorpusBundle]:
    for forgery in FORGERIES:
        world = worlds[forgery.method]
        for attacker in ATTACKERS:
            if forgery.needs_key and attacker == "nobody":
                continue
            name = "".join(c if c.isalnum() else "-" for c in forgery.name.lower())
            path = forge(world, forgery, attacker, bundles / f"{name}--{attacker}.kolm")
            yield _said(path, *answer(forgery, attacker))


def _others(parties: Parties, bundles: Path) -> Iterator[CorpusBundle]:
    demands = _new(bundles.parent / "demands")
    for case in (*CASES, *DEMANDED):
        path = case.write(parties, bundles / f"{case.name}.kolm")
        row = _said(path, "not_accepted" if case.checks else "accepted", list(case.checks))
        if case.under:
            row["demands"] = case.under.row
            (demands / f"{case.under.name}.json").write_bytes(case.under.content(parties))
        yield row


def answer(
    forgery: Forgery, attacker: str
) -> tuple[CorpusBundleVerdict, list[str], CorpusBundleOnlyBy]:
    """The verdict that is due, the checks that must not hold, and what else would show it."""
    catches = [] if forgery.claims is not None and attacker != "signer" else [*forgery.catches]
    checks = sorted({*catches, *forgery.open_, *expected(forgery, attacker)})
    if forgery.unreadable:
        return "not_a_bundle", [], None
    if checks:
        return "not_accepted", checks, None
    return "accepted", [], forgery.only_by or "nothing"  # type: ignore[return-value]


def _row(
    name: str, parts: BundleParts, world: World, bundles: Path, verdict: CorpusBundleVerdict
) -> CorpusBundle:
    path = bundles / f"{name}.kolm"
    parts.seal(path, claims=parts.claims(world.publisher))
    return _said(path, verdict, [])


def _said(
    path: Path,
    verdict: CorpusBundleVerdict,
    checks: list[str],
    only_by: CorpusBundleOnlyBy = None,
) -> CorpusBundle:
    file = f"bundles/{path.name}"
    return {"file": file, "verdict": verdict, "checks": checks, "only_by": only_by}


def _claims(world: World, forgery: Forgery, attacker: str, parts: BundleParts) -> list[bytes]:
    if attacker == "nobody" and forgery.claims is None:
        return world.parts.claims(world.publisher)
    key: PrivateKey = world.publisher if attacker == "signer" else world.stranger
    claims = parts.claims(key, change=forgery.claims)
    if attacker == "nobody":  # names the publisher's key without having it
        theirs = world.publisher.public.keyid.encode()
        claims = [data.replace(key.public.keyid.encode(), theirs) for data in claims]
    return claims


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def main() -> None:
    """Write the corpus to the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    print(f"{write(asked.folder)} bundles in {asked.folder}")


if __name__ == "__main__":
    main()
