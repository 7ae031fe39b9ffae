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
from kolm.score import kscore
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


_SLOW: Final = {"p50_latency_us": 10_000_000, "p95_latency_us": 10_000_000}  # K below 0.9


def _demand_k(parts: BundleParts) -> None:
    parts.lock["evaluation"]["floors"]["k"] = "0.9"
    parts.rescore()


def _missed(parties: Parties) -> tuple[dict[str, Any], dict[str, Any]]:
    """K-score and test result of a measurement by which K is missed."""
    said = parties.world.parts.predicates()
    score, test = said[predicates.KSCORE], said[predicates.TEST_RESULT]
    inputs = {**score["inputs"], **_SLOW}
    made = kscore.kscore_v1(inputs)
    gate = kscore.decide(made.composite, "0.9", floors_passed=True)
    score |= {"inputs": inputs, "axes": made.axes, "composite": made.composite, "gate": gate}
    passed = [name for name in test["passedTests"] if name != "k"]
    test |= {"result": "FAILED", "passedTests": passed, "failedTests": ["k"]}
    return score, test


def _scored_twice_in_a_second(parties: Parties) -> list[bytes]:
    """Two K-scores of the publisher's, one of which misses K, and a test result that passed."""
    score, _ = _missed(parties)
    return [*parties.own(), parties.also(predicates.KSCORE, score, parties.world.publisher)]


def _tested_twice(parties: Parties) -> list[bytes]:
    """The second key, which measured nothing, says that K is reached and that it is not."""
    reached = parties.world.parts.predicates()[predicates.TEST_RESULT]
    tests = (reached, _missed(parties)[1])
    said = (parties.also(predicates.TEST_RESULT, test, parties.second) for test in tests)
    return [*parties.own(), *said]


def _changed(
    kind: str, change: Callable[[dict[str, Any]], object], parties: Parties
) -> list[bytes]:
    """The publisher's claims, one of which says otherwise."""

    def edit(said: dict[str, dict[str, Any]]) -> None:
        change(said[kind])

    return parties.own(change=edit)


def _also_changed(
    kind: str, change: Callable[[dict[str, Any]], object], parties: Parties
) -> list[bytes]:
    """The publisher's claims, and one of another key, which says otherwise."""
    said = parties.world.parts.predicates()[kind]
    change(said)
    return [*parties.own(), parties.also(kind, said, parties.second)]


def _count_more(said: dict[str, Any]) -> None:
    """Another tower, which nobody counts again, and all that follows from it."""
    flops = said["flops"]
    flops["tower"], flops["total"] = (str(int(flops[name]) + 6) for name in ("tower", "total"))


def _built(change: Callable[[dict[str, Any]], object]) -> Callable[[Parties], list[bytes]]:
    """The publisher's claims, with another build definition in the provenance."""
    return partial(_changed, predicates.PROVENANCE, lambda said: change(said["buildDefinition"]))


def _beside_a_rival(**said: dict[str, Any] | int) -> Callable[[Parties], list[bytes]]:
    """A K-score on somebody else's cases beside a rival that won none and lost none of them."""
    around = {"low": "0.931208", "high": "1"}
    rival: dict[str, Any] = {
        "who": {
            "kind": "endpoint", "name": "m", "digest": None, "url": "http://127.0.0.1/v1",
            "said_by": ["m-1"], "instruction": "",
        },
        "answers": _ELSEWHERE, "cases": 52, "covered": 52, "accuracy": "1",
        "interval": {"method": "wilson", "level": "0.95", **around},
        "clustered": {"design_effect": "1", **around}, "figures": [],
        "paired": {"bundle_only": 0, "rival_only": 0, "p": "1", "method": "mcnemar-exact"},
    }  # fmt: skip
    for name, value in said.items():
        rival[name] = {**rival[name], **value} if isinstance(value, dict) else value
    pack = {"owner": "second", "root": _ELSEWHERE}
    return lambda p: _scored_as(p, p.second, pack=pack, rivals=[rival])


def _scored_elsewhere(parties: Parties) -> list[bytes]:
    """Two evaluators on one pack of other cases, whose machines gave other answers."""
    pack = {"owner": "another", "root": _ELSEWHERE}
    score = {**parties.world.parts.predicates()[predicates.KSCORE], "pack": pack}
    inputs = {**score["inputs"], "accuracy": "0.5"}
    made = kscore.kscore_v1(inputs)
    other = {**score, "inputs": inputs, "axes": made.axes, "composite": made.composite}
    said = ((score, parties.second), (other, parties.buyer))
    return [*parties.own(), *(parties.also(predicates.KSCORE, one, key) for one, key in said)]


def _in_another_role(kind: str, parties: Parties) -> list[bytes]:
    """The publisher's claims, and one by a key that is trusted, but not about this kind."""
    said = {
        **parties.world.parts.predicates(),
        predicates.VERIFICATION_SUMMARY: audit_of(parties.world.parts.content_id(), at=_AUDITED),
    }[kind]
    return [*parties.own(), parties.also(kind, said, parties.buyer)]


def _answering(text: str) -> Callable[[BundleParts], None]:
    """One case has this for its reference answer."""

    def change(parts: BundleParts) -> None:
        parts.cases[0]["messages"][-1]["content"][0]["text"] = text
        parts.declare(parts.cases)

    return change


def _large(parts: BundleParts) -> None:
    """As many pixels as a PNG may have, in a JPEG."""
    parts.cases[0]["images"][0] |= {"media_type": "image/jpeg", "width": 8192, "height": 8192}
    parts.declare(parts.cases)


def _declared_on_two_lines(parts: BundleParts) -> None:
    parts.lock["dossier"] = {"base_compute": "6e24 FLOP, its model\u2028card"}


def _graded(parts: BundleParts) -> None:
    parts.lock["evaluation"]["metric"] = {"kind": "rouge_l"}
    parts.rescore()


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
    Case(
        "honest-with-a-time-stamp-where-no-authority-is-trusted",
        claims=lambda p: [*p.own(), making.stamped(p.own()[0], b"no stamp")],
    ),
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
    Case(
        "two-verdicts-in-scores-of-one-second", ("V18", "V62"),
        parts=_demand_k, claims=_scored_twice_in_a_second,
    ),
    Case(
        "two-verdicts-in-tests-of-one-signer", ("V18",), parts=_demand_k, claims=_tested_twice
    ),
    Case("honest-on-a-pack-that-two-scored-otherwise", claims=_scored_elsewhere),
    Case(
        "two-counts-of-operations", ("V19",),
        claims=partial(_also_changed, predicates.COMPUTE, _count_more),
    ),
    Case(
        "honest-tested-with-the-documents-in-another-order",
        claims=partial(
            _also_changed, predicates.TEST_RESULT, lambda said: said["configuration"].reverse()
        ),
    ),
    Case(
        "built-under-another-name", ("V17",),
        claims=_built(lambda said: said["externalParameters"].update(name="another")),
    ),
    Case(
        "built-from-a-snapshot-and-a-base", ("V17",),
        claims=_built(lambda said: said["resolvedDependencies"].reverse()),
    ),
    Case(
        "built-from-a-snapshot-without-a-digest", ("V17",),
        claims=_built(lambda said: said["resolvedDependencies"][1]["digest"].pop("sha256")),
    ),
    Case(
        "built-from-a-base-with-a-digest", ("V17",),
        claims=_built(
            lambda said: said["resolvedDependencies"][0]["digest"].update(sha256="0" * 64)
        ),
    ),
    Case(
        "built-from-a-base-called-otherwise", ("V17",),
        claims=_built(
            lambda said: said["resolvedDependencies"][0]["annotations"].update(id="acme/large")
        ),
    ),
    Case(
        "honest-beside-a-key-of-another-role",
        claims=partial(_in_another_role, predicates.PROVENANCE),
    ),
    Case(
        "audit-by-a-key-of-another-role", ("V11",),
        claims=partial(_in_another_role, predicates.VERIFICATION_SUMMARY),
    ),
    Case("honest-beside-a-rival", claims=_beside_a_rival()),
    Case(
        "rival-tested-as-under-another-metric", ("V35",),
        claims=_beside_a_rival(
            paired={"bundle_only": 6, "p": "0.03125", "method": "sign-exact"}
        ),
    ),
    Case(
        "rival-outside-of-its-clustered-interval", ("V35",),
        claims=_beside_a_rival(clustered={"low": "0.1", "high": "0.2"}),
    ),
    Case("rival-that-answered-too-often", ("V35",), claims=_beside_a_rival(covered=53)),
    Case(
        "rival-with-more-wins-than-cases", ("V35",),
        claims=_beside_a_rival(paired={"bundle_only": 30, "rival_only": 30}),
    ),
    Case("honest-under-a-graded-metric", parts=_graded),
    Case("honest-with-brackets-over-two-lines", parts=_answering("[TODO\nis what it says]")),
    Case("answer-never-filled", ("V30",), parts=_answering("[ FILL_IN: the colour]")),
    Case("jpeg-with-too-many-pixels", ("V30",), parts=_large),
    Case("declaration-on-two-lines", ("V06",), parts=_declared_on_two_lines),
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
