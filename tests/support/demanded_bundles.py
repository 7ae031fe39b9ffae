"""Bundles of the conformance corpus that are held to a policy or a buyer's request.

For each policy and request there is a bundle that is accepted under it. The others depart from it
in one thing each, and the check that must not hold is the one of V60 to V68 that asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

from kolm import canonical, digest
from kolm.sign import making, predicates
from kolm.sign.private_keys import PrivateKey
from kolm.verify.policy import BUILT_IN
from tests.support.bundles import BundleParts, audit_of, make_parts
from tests.support.other_bundles import Asked, Case, Parties
from tests.support.requests import ask
from tests.support.toy_text import make_text_world

_PACK: Final = digest.of_bytes(b"cases of somebody else")
_ELSEWHERE: Final = digest.of_bytes(b"elsewhere")
_FIRST, _LATER = "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"  # the toy's build ends before
_BEFORE: Final = "2026-01-01T00:00:00Z"  # and begins after
_TOY: Final = {"cases": 52, "train": 12}  # as many as the world of the other cases has

_made = partial(partial, make_parts, **_TOY)


def _policy(name: str, clauses: Callable[[Parties], dict[str, Any]]) -> Asked:
    """The built-in policy with further clauses."""
    return Asked(
        "policy",
        name,
        lambda parties: canonical.dumps({**BUILT_IN.document, "name": name, **clauses(parties)}),
    )


def _packs(key: Callable[[Parties], PrivateKey], parties: Parties) -> dict[str, Any]:
    return {"packs": [{"evaluator": key(parties).public.keyid, "pack": _PACK}]}


def _of_the_lock(parties: Parties) -> dict[str, Any]:
    parts = parties.world.parts
    return {
        "base_roots": [parts.lock["base"]["root"]],
        "families": [parts.lock["base"]["family"]],
        "licenses": ["Apache-2.0", "MIT"],
        "methods": ["lora"],
        "freeze": ["vision frozen"],
        "metrics": ["exact"],
        "floors": {"accuracy_lower_bound": "0.9", "k": "0.5"},
        "text": "published",
        "eval_pack_roots": [parts.pack_root()],
        "environment_classes": [parts.lock["environment"]["class"]],
    }


_CONTENT: Final = _policy("of-content", _of_the_lock)
_LAX: Final = _policy(
    "of-options", lambda _: {"metrics": [{"kind": "relaxed", "tolerance": "0.05"}]}
)
_FROZEN: Final = _policy("of-a-frozen-projector", lambda _: {"freeze": ["projector frozen"]})
_VISION: Final = _policy("of-a-frozen-tower", lambda _: {"freeze": ["vision frozen"]})
_DECLARED: Final = _policy("of-declarations", lambda _: {"dossier": ["intended_use", "provider"]})
_SECOND: Final = _policy("of-a-second-evaluator", partial(_packs, lambda p: p.second))
_STRANGER: Final = _policy("of-an-unknown-evaluator", partial(_packs, lambda p: p.world.stranger))
_PROCESS: Final = _policy("of-a-replay", lambda _: {"reach": ["delta_scope", "process", "scores"]})


_AUDITED: Final = _policy(
    "of-an-audit",
    lambda _: {
        "claims": [
            *BUILT_IN.document["claims"],
            {"predicate": predicates.VERIFICATION_SUMMARY, "role": "verifier", "threshold": 1},
        ]
    },
)


def _audit(parties: Parties, key: PrivateKey, *, passed: bool) -> bytes:
    said = audit_of(parties.world.parts.content_id(), passed=passed)
    return parties.also(predicates.VERIFICATION_SUMMARY, said, key)


_SCORED_AGAIN: Final = _policy(
    "of-an-eval-result",
    lambda _: {
        "claims": [
            *BUILT_IN.document["claims"],
            {"predicate": predicates.EVAL_RESULT, "role": "verifier", "threshold": 1},
        ]
    },
)


def _eval_result(parties: Parties, *, passed: bool, at: str = _FIRST) -> bytes:
    """Of an audit by the second key that computed one demand on the scores again."""
    parts = parties.world.parts
    audit = making.Audit(
        bundle=digest.Digest(parts.content_id()), policy=("audit", digest.of_bytes(b"audit")),
        claims=(), version="0.1.0", at=datetime.fromisoformat(at), passed=passed, levels=(),
    )  # fmt: skip
    said = making.eval_result(
        audit,
        [
            {
                "metric": "accuracy_lower_bound", "comparator": ">=", "threshold": "0.5",
                "passed": passed,
            }
        ],
        name="toy", cases=52, pack=digest.Digest(parts.pack_root()), reproduced=False,
    )  # fmt: skip
    return parties.also(predicates.EVAL_RESULT, said, parties.second)


def _request(name: str, key: Callable[[Parties], PrivateKey], **options: Any) -> Asked:
    return Asked("request", name, lambda parties: ask(key(parties), parties.world.parts, **options))


def _in_the_name_of_the_buyer(parties: Parties) -> bytes:
    """Signed by a stranger, with the key id of the buyer."""
    theirs = parties.world.stranger
    return ask(theirs, parties.world.parts).replace(
        theirs.public.keyid.encode(), parties.buyer.public.keyid.encode()
    )


_OPEN: Final = _request(
    "request-open",
    lambda p: p.buyer,
    floors={"accuracy_lower_bound": "0.4", "worst_slice": "0.1"},
)
_SEALED: Final = _request("request-sealed", lambda p: p.buyer, root=_PACK, sealed=True)
_UNKNOWN: Final = _request("request-of-a-stranger", lambda p: p.world.stranger)
_NO_BUYER: Final = _request("request-of-no-buyer", lambda p: p.second)
_FORGED: Final = Asked("request", "request-forged", _in_the_name_of_the_buyer)


def _lock(part: str, **values: Any) -> Callable[[BundleParts], None]:
    """A part of the lock with other values; scores and evaluation follow."""

    def change(parts: BundleParts) -> None:
        (parts.lock[part] if part else parts.lock).update(values)
        parts.rescore()

    return change


def _relaxed(tolerance: str) -> Callable[[BundleParts], None]:
    return _lock("evaluation", metric={"kind": "relaxed", "tolerance": tolerance})


def _floors(**values: Any) -> Callable[[BundleParts], None]:
    def change(parts: BundleParts) -> None:
        parts.lock["evaluation"]["floors"].update(values)
        parts.rescore()

    return change


def _eight_wrong(parts: BundleParts) -> None:
    for item in parts.predictions[:8]:
        item["adapter"]["output"] = "nonsense"
    parts.rescore()


def _another_licence(parts: BundleParts) -> None:
    first, *others = parts.cases
    parts.declare([{**first, "license": "CC-BY-NC-4.0"}, *others])


def _split_by(nonce: str | None) -> Callable[[BundleParts], None]:
    def change(parts: BundleParts) -> None:
        del parts.snapshot["rule"]["nonce"]
        if nonce:
            parts.snapshot["rule"]["nonce"] = nonce

    return change


def _score(
    parties: Parties,
    key: PrivateKey,
    *,
    on: str = _FIRST,
    failed: bool = False,
    seen: int = 0,
    root: str = _PACK,
) -> bytes:
    """A K-score of a key on cases of its own."""
    said = parties.world.parts.predicates()[predicates.KSCORE]
    counts = {"cases": 52, "seen_cases": seen, "captures": 0, "images": 0, "near_twins": None}
    said |= {"measured_on": on, "evaluation": _ELSEWHERE}
    said["pack"] = {"owner": "evaluator", "root": root, "overlap": counts}
    if failed:
        said["gate"] = {**said["gate"], "floors_passed": False, "verdict": "failed"}
    return parties.also(predicates.KSCORE, said, key)


def _scored(
    *scores: dict[str, Any], key: Callable[[Parties], PrivateKey]
) -> Callable[[Parties], list[bytes]]:
    """The publisher's claims and K-scores of a key."""
    return lambda p: [*p.own(), *(_score(p, key(p), **said) for said in scores)]


_by_the_second = partial(_scored, key=lambda p: p.second)
_by_the_buyer = partial(_scored, key=lambda p: p.buyer)

DEMANDED: Final = (
    Case("honest-under-a-policy", under=_CONTENT),
    Case("base-of-another-root", ("V60",), _lock("base", root=_ELSEWHERE), under=_CONTENT),
    Case("base-of-another-family", ("V60",), _lock("base", family="qwen2_vl"), under=_CONTENT),
    Case("base-of-another-licence", ("V60",), _lock("base", license="GPL-3.0"), under=_CONTENT),
    Case("method-not-accepted", ("V61",), made=_made(method={"kind": "ia3"}), under=_CONTENT),
    Case("metric-not-accepted", ("V62",), _relaxed("0.05"), under=_CONTENT),
    Case("accuracy-below-the-policys", ("V62",), _eight_wrong, under=_CONTENT),
    Case(
        "cases-not-accepted", ("V62",),
        lambda parts: parts.declare(parts.cases[1:]), under=_CONTENT,
    ),
    Case("text-withheld-from-a-policy", ("V62",), BundleParts.withhold, under=_CONTENT),
    Case("case-of-another-licence", ("V63",), _another_licence, under=_CONTENT),
    Case("environment-not-accepted", ("V64",), _lock("environment", threads=8), under=_CONTENT),
    Case("honest-no-laxer-than-a-policy", parts=_relaxed("0.05"), under=_LAX),
    Case("metric-laxer-than-a-policy", ("V62",), _relaxed("0.06"), under=_LAX),
    Case(
        "honest-with-a-frozen-projector",
        parts=_lock("train", projector_learning_rate="0"),
        made=_made(projector="frozen"), under=_FROZEN,
    ),
    Case("projector-trained-against-a-policy", ("V61",), under=_FROZEN),
    Case("honest-with-a-frozen-tower", under=_VISION),
    Case(
        "tower-demanded-of-a-base-of-text", ("V61",),
        made=lambda folder: make_text_world(folder, **_TOY).parts, under=_VISION,
    ),
    Case("replay-demanded", ("V65",), under=_PROCESS),
    Case(
        "honest-with-declarations",
        parts=_lock("", dossier={"intended_use": "toys", "provider": "Toys"}), under=_DECLARED,
    ),
    Case(
        "audit-refused-beside-a-strangers", ("V13",), under=_AUDITED,
        claims=lambda p: [
            *p.own(), _audit(p, p.second, passed=False), _audit(p, p.world.stranger, passed=True),
        ],
    ),
    Case(
        "honest-audited-as-demanded", under=_AUDITED,
        claims=lambda p: [*p.own(), _audit(p, p.second, passed=True)],
    ),
    Case(
        "demand-missed-in-the-eval-result", ("V13",), under=_SCORED_AGAIN,
        claims=lambda p: [*p.own(), _eval_result(p, passed=False)],
    ),
    Case(
        "demand-missed-in-the-newest-eval-result", ("V13",), under=_SCORED_AGAIN,
        claims=lambda p: [
            *p.own(), _eval_result(p, passed=True), _eval_result(p, passed=False, at=_LATER),
        ],
    ),
    Case(
        "honest-scored-again-as-demanded", under=_SCORED_AGAIN,
        claims=lambda p: [
            *p.own(), _eval_result(p, passed=False), _eval_result(p, passed=True, at=_LATER),
        ],
    ),
    Case("nothing-declared", ("V67",), under=_DECLARED),
    Case("half-declared", ("V67",), _lock("", dossier={"provider": "Toys"}), under=_DECLARED),
    Case(
        "honest-scored-by-a-second-evaluator", under=_SECOND,
        claims=_by_the_second({"failed": True}, {"on": _LATER}),
    ),
    Case(
        "honest-beside-a-score-on-a-third-pack", under=_SECOND,
        claims=_by_the_second({}, {"on": _LATER, "root": _ELSEWHERE, "failed": True}),
    ),
    Case("second-score-missing", ("V66",), under=_SECOND),
    Case(
        "second-score-by-the-publisher", ("V66",), under=_SECOND,
        claims=_scored({}, key=lambda p: p.world.publisher),
    ),
    Case(
        "second-score-on-another-pack", ("V66",), under=_SECOND,
        claims=_by_the_second({"root": _ELSEWHERE}),
    ),
    Case(
        "second-score-failed-since", ("V66",), under=_SECOND,
        claims=_by_the_second({}, {"on": _LATER, "failed": True}),
    ),
    Case(
        "second-scores-of-one-second", ("V66",), under=_SECOND,
        claims=_by_the_second({}, {"failed": True}),
    ),
    Case(
        "second-score-from-before-the-build", ("V18", "V66"), under=_SECOND,
        claims=_by_the_second({"on": _BEFORE}),
    ),
    Case(
        "second-score-of-a-stranger", ("V66",), under=_STRANGER,
        claims=_scored({}, key=lambda p: p.world.stranger),
    ),
    Case("honest-answer-to-a-request", under=_OPEN),
    Case("request-of-somebody-else", ("V68",), _lock("", request=_ELSEWHERE), under=_OPEN),
    Case("request-not-named", ("V68",), _lock("", request=None), under=_OPEN),
    Case("request-trained-by-another-nonce", ("V68",), _lock("", nonce="1f" * 32), under=_OPEN),
    Case("request-split-by-another-nonce", ("V68",), _split_by("1f" * 32), under=_OPEN),
    Case("request-split-by-no-nonce", ("V68",), _split_by(None), under=_OPEN),
    Case(
        "request-pack-not-named", ("V68",),
        lambda parts: parts.lock["evaluation"].pop("pack"), under=_OPEN,
    ),
    Case(
        "request-with-a-laxer-gate", ("V68",), _floors(accuracy_lower_bound="0.3"), under=_OPEN,
    ),
    Case("request-with-no-gate", ("V68",), _floors(accuracy_lower_bound=None), under=_OPEN),
    Case(
        "request-with-slices-passed-over", ("V68",),
        _floors(worst_slice_minimum_cases=31), under=_OPEN,
    ),
    Case(
        "request-answered-by-another-method", ("V61", "V68"),
        made=_made(method={"kind": "ia3"}), under=_OPEN,
    ),
    Case("request-of-a-stranger", ("V68",), under=_UNKNOWN),
    Case("request-of-no-buyer", ("V68",), under=_NO_BUYER),
    Case("request-forged", ("V68",), under=_FORGED),
    Case("honest-answer-to-a-sealed-request", claims=_by_the_buyer({}), under=_SEALED),
    Case("sealed-pack-not-scored", ("V66", "V68"), under=_SEALED),
    Case(
        "sealed-pack-failed", ("V66", "V68"),
        claims=_by_the_buyer({"failed": True}), under=_SEALED,
    ),
    Case(
        "sealed-pack-scored-by-the-publisher", ("V66", "V68"),
        claims=_scored({}, key=lambda p: p.world.publisher), under=_SEALED,
    ),
    Case("sealed-pack-trained-on", ("V68",), claims=_by_the_buyer({"seen": 3}), under=_SEALED),
    Case(
        "sealed-pack-trained-on-as-once-seen", ("V68",),
        claims=_by_the_buyer({"seen": 3}, {"on": _LATER}), under=_SEALED,
    ),
    Case(
        "sealed-pack-seen-before-the-build", ("V68",),
        claims=_by_the_buyer({"seen": 3, "on": _BEFORE}, {}), under=_SEALED,
    ),
)  # fmt: skip
