"""Bundles of the conformance corpus that are no row of the table of forgeries.

Honest content beside other claims than its publisher's, what departs from a rule of the container,
and what a verifier cannot know. They need more keys than the table's three attackers have: one that
is trusted beside the publisher's, and one that was revoked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kolm import canonical, digest
from kolm.bundle import limits
from kolm.bundle.reader import Bundle
from kolm.sign import envelope, making, predicates
from kolm.sign.private_keys import PrivateKey, generate
from kolm.sign.trust import KeyRole, Revocation, TrustStore
from tests.support.audits import Change, World, trusting
from tests.support.bundles import BundleParts, audit_of, read_entries, write_raw, write_tar

if TYPE_CHECKING:
    from kolm.records.documents import CorpusDemands, CorpusDemandsOption

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "bundle"
_AUDITED: Final = datetime(2026, 1, 3, tzinfo=UTC)  # the toy's build ends the day before
_UNBUILT, _LATER = "2025-12-31T23:59:59Z", "2026-01-03T00:00:00Z"
_ELSEWHERE: Final = digest.of_bytes(b"another evaluation")
_REVOKED: Final = Revocation(on="2026-02-01T00:00:00Z", reason="stolen")


@dataclass(frozen=True)
class Parties:
    """An honest bundle's world, a second key that is trusted, a revoked one and a buyer's."""

    world: World
    second: PrivateKey
    lost: PrivateKey
    buyer: PrivateKey

    @classmethod
    def of(cls, world: World) -> Parties:
        return cls(world, generate(), generate(), generate())

    @property
    def trust(self) -> TrustStore:
        """Everybody whom the corpus's trust file names."""
        others = (
            trusting(self.second, name="second"),
            trusting(self.lost, name="lost", revoked=_REVOKED),
            trusting(self.buyer, name="buyer", roles=(KeyRole.BUYER, KeyRole.EVALUATOR)),
        )
        return TrustStore((*self.world.trust.keys, *others))

    def own(self, key: PrivateKey | None = None, change: Change | None = None) -> list[bytes]:
        """The five claims, by the publisher or another key."""
        return self.world.parts.claims(key or self.world.publisher, change=change)

    def also(self, kind: str, said: dict[str, Any], key: PrivateKey) -> bytes:
        """One more claim about the bundle."""
        content = self.world.parts.content_id()
        return making.seal(making.statement(content, "toy", kind, said), key)

    def audit(self, key: PrivateKey, names: Sequence[bytes]) -> bytes:
        """An audit that passed and in which these claims were read."""
        said = audit_of(self.world.parts.content_id(), claims=names, at=_AUDITED)
        return self.also(predicates.VERIFICATION_SUMMARY, said, key)


class Asked(NamedTuple):
    """A policy or a signed request that stands beside the bundles that are held to it."""

    option: CorpusDemandsOption
    name: str
    content: Callable[[Parties], bytes]

    @property
    def row(self) -> CorpusDemands:
        """What a row of the corpus says of it."""
        return {"option": self.option, "file": f"demands/{self.name}.json"}


class Case(NamedTuple):
    """A bundle of the corpus: accepted, unless there are checks that must not hold.

    Under a request it is made as the answer to it, before `parts` changes anything.
    """

    name: str
    checks: tuple[str, ...] = ()
    parts: Callable[[BundleParts], None] | None = None
    claims: Callable[[Parties], Sequence[bytes]] | None = None
    file: Callable[[Path], object] | None = None
    under: Asked | None = None
    made: Callable[[Path], BundleParts] | None = None

    def write(self, parties: Parties, path: Path) -> Path:
        """Make it, signed by the publisher where nothing else is said."""
        parts = parties.world.parts.copy()
        if self.made:
            with TemporaryDirectory() as folder:
                parts = self.made(Path(folder))
        if self.under and self.under.option == "request":
            parts.answer(self.under.content(parties))
        if self.parts:
            self.parts(parts)
        about = replace(parties, world=replace(parties.world, parts=parts))
        parts.seal(path, claims=self.claims(about) if self.claims else about.own())
        if self.file:
            self.file(path)
        return path


def _without(kind: str, parties: Parties) -> list[bytes]:
    return parties.own(change=lambda said: (said.pop(kind), None)[1])


def _edited(change: Callable[[dict[str, Any]], None], parties: Parties) -> list[bytes]:
    """The first claim's envelope edited as JSON, the others as they are."""
    first, *others = parties.own()
    stored = canonical.loads(first, where="claim")
    change(stored)
    return [canonical.dumps(stored), *others]


def _said_again(change: Callable[[dict[str, Any]], None], parties: Parties) -> list[bytes]:
    """The first claim's statement edited and signed again, the others as they are."""
    first, *others = parties.own()
    payload = canonical.loads(envelope.open_envelope(first).payload, where="payload")
    change(payload)
    return [making.seal(canonical.dumps(payload), parties.world.publisher), *others]


def _no_time(payload: dict[str, Any]) -> None:
    payload["predicate"]["runDetails"]["metadata"]["finishedOn"] = "2026-13-01T00:00:00Z"


def _scored(parties: Parties, key: PrivateKey, **inputs: Any) -> list[bytes]:
    """The publisher's claims and somebody else's K-score, with other inputs."""
    said = parties.world.parts.predicates()[predicates.KSCORE]
    return _scored_as(parties, key, inputs={**said["inputs"], **inputs})


def _scored_as(parties: Parties, key: PrivateKey, **said: Any) -> list[bytes]:
    """The publisher's claims and one more K-score, which says otherwise."""
    score = {**parties.world.parts.predicates()[predicates.KSCORE], **said}
    return [*parties.own(), parties.also(predicates.KSCORE, score, key)]


def _scored_anew(parties: Parties) -> list[bytes]:
    """The publisher's claims with a wrong K-score of another evaluation, and their later one."""

    def wrong(said: dict[str, dict[str, Any]]) -> None:
        said[predicates.KSCORE] |= {"composite": "0.0001", "evaluation": _ELSEWHERE}

    score = {**parties.world.parts.predicates()[predicates.KSCORE], "measured_on": _LATER}
    again = parties.also(predicates.KSCORE, score, parties.world.publisher)
    return [*parties.own(change=wrong), again]


def _audited(parties: Parties, by: PrivateKey, read: int) -> list[bytes]:
    """Claims of the revoked key, and an audit in which the first of them were read."""
    claims = parties.own(parties.lost)
    return [*claims, parties.audit(by, claims[:read])]


def _enlarge_the_index(path: Path) -> None:
    entries = read_entries(path)
    entries[1] = (entries[1][0], b" " * (limits.JSON_BYTES.value + 1))
    write_tar(path, entries)


def _crowd(path: Path) -> None:
    """More claims than a reader takes: one of those that are there, as signed by many keys."""
    bundle = Bundle.open(path)
    members = {member.name: bytes(bundle.member(member.name)) for member in bundle.members}
    stored = [data for _, data in read_entries(path)]
    claim = next(data for data in stored if data.startswith(b'{"dsseEnvelope"'))
    (keyid,) = {one["keyid"] for one in json.loads(claim)["dsseEnvelope"]["signatures"]}
    claims = [
        claim.replace(keyid.encode(), f"{number:064x}".encode())
        for number in range(limits.CLAIMS.value + 1)
    ]
    write_raw(path, stored[2], members, claims)


def _tomorrow(parts: BundleParts) -> None:
    parts.lock["base"]["family"] = "llava_of_tomorrow"


def _of_the_container() -> list[Case]:
    invalid = json.loads((VECTORS / "expected.json").read_text(encoding="utf-8"))["invalid"]
    return [
        Case(
            f"container-{name.replace('_', '-')}",
            tuple(sorted(checks)),
            file=lambda path, name=name: path.write_bytes(  # type: ignore[misc]
                (VECTORS / "invalid" / f"{name}.kolm").read_bytes()
            ),
        )
        for name, checks in sorted(invalid.items())
    ]


CASES: Final = (
    *(
        Case(f"claim-removed-{predicates.WORDS[kind]}", ("V13",), claims=partial(_without, kind))
        for kind in (
            predicates.PROVENANCE, predicates.MODULES, predicates.KSCORE, predicates.TEST_RESULT,
        )
    ),
    Case("no-claims", ("V13", "V14"), claims=lambda _: []),
    Case(
        "claim-with-two-key-names", ("V10",),
        claims=lambda p: _edited(
            lambda stored: stored["verificationMaterial"]["publicKey"].update(
                hint=p.world.stranger.public.keyid
            ),
            p,
        ),
    ),
    Case(
        "claim-with-a-signature-of-zeros", ("V11",),
        claims=partial(
            _edited,
            lambda stored: stored["dsseEnvelope"]["signatures"][0].update(
                sig=base64.b64encode(bytes(64)).decode()
            ),
        ),
    ),
    Case(
        "claim-of-an-unknown-kind", ("V10",),
        claims=partial(
            _said_again, lambda said: said.update(predicateType="https://example.com/praise/v1")
        ),
    ),
    Case("claim-of-a-month-that-is-none", ("V10",), claims=partial(_said_again, _no_time)),
    Case(
        "claims-shared-between-two-signers", ("V14",),
        claims=lambda p: p.own()[:2] + p.own(p.second)[2:],
    ),
    Case("claims-of-a-revoked-key", ("V15",), claims=lambda p: p.own(p.lost)),
    Case(
        "claims-of-a-revoked-key-audited-by-itself", ("V15",),
        claims=lambda p: _audited(p, p.lost, 5),
    ),
    Case(
        "claims-of-a-revoked-key-half-of-them-audited", ("V15",),
        claims=lambda p: _audited(p, p.second, 2),
    ),
    Case(
        "honest-audited-before-its-key-was-revoked",
        claims=lambda p: _audited(p, p.second, 5),
    ),
    Case("honest-beside-a-revoked-key", claims=lambda p: p.own() + p.own(p.lost)),
    Case("honest-beside-a-stranger", claims=lambda p: p.own() + p.own(p.world.stranger)),
    Case(
        "honest-measured-twice",
        claims=lambda p: _scored(p, p.second, p95_latency_us=9999),
    ),
    Case(
        "honest-where-a-key-that-was-revoked-scored-before-the-build",
        claims=lambda p: _scored_as(p, p.lost, measured_on=_UNBUILT),
    ),
    Case(
        "somebody-else-who-scored-before-the-build", ("V18",),
        claims=lambda p: _scored_as(p, p.second, measured_on=_UNBUILT),
    ),
    Case(
        "honest-where-a-wrong-score-was-made-anew",
        claims=_scored_anew,
    ),
    Case(
        "two-scores-of-one-second", ("V36",),
        claims=lambda p: _scored_as(p, p.world.publisher, composite="0.0001"),
    ),
    Case(
        "two-signers-who-disagree", ("V19",),
        claims=lambda p: _scored(p, p.second, size_bytes=1),
    ),
    Case("family-that-nobody-knows", ("V20",), parts=_tomorrow),
    Case(
        "text-promised-and-left-out", ("V38",),
        parts=lambda parts: parts.without.add("evalcases.jsonl"),
    ),
    Case(
        "index-larger-than-allowed", ("V02",),
        file=_enlarge_the_index,
    ),
    Case("more-claims-than-allowed", ("V02",), file=_crowd),
    *_of_the_container(),
)  # fmt: skip
