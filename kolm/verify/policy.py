"""What an auditor demands of a bundle: the policy file, and the policy that holds without one.

A clause that is absent demands nothing. The shape is schemas/policy.schema.json; the clauses'
meaning is docs/format/policy.md.
"""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from kolm import canonical, digest, schema, system
from kolm.digest import Digest
from kolm.errors import Refused, Usage, broken_file
from kolm.records import codec, kinds
from kolm.sign import own_files, predicates

if TYPE_CHECKING:
    from kolm.records.documents import Policy as PolicyDocument

SCHEMA = "urn:kolm:policy:v1"
MAKERS = (
    "builder",
    "evaluator",
)  # the roles that `same_signer` is about: others are second parties


class Stamped(NamedTuple):
    """When a trusted authority must have seen a signature: from `after` on, and before `before`."""

    after: str | None = None
    before: str | None = None

    def holds(self, at: str) -> bool:
        """Whether a time is within; times are RFC 3339 in UTC, so that text order is time order."""
        return (self.after or "") <= at and (self.before is None or at < self.before)


class ClaimDemand(NamedTuple):
    """A predicate that must be there, from how many different keys, in which role."""

    predicate: str
    role: str
    threshold: int
    keys: tuple[str, ...] | None = None
    stamped: Stamped | None = None


class PackDemand(NamedTuple):
    """An evaluator, by key id, whose newest K-score on this pack must have passed the gate."""

    evaluator: str
    pack: str


class Policy(NamedTuple):
    """The auditor's demands."""

    name: str
    claims: tuple[ClaimDemand, ...]
    schema: str = SCHEMA
    same_signer: bool = False
    gate: str = "any"
    text: str = "any"
    base_roots: tuple[str, ...] | None = None
    eval_pack_roots: tuple[str, ...] | None = None
    environment_classes: tuple[str, ...] | None = None
    minimum_eval_cases: int | None = None
    lower_bound_above: tuple[str, ...] | None = None
    families: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    metrics: tuple[str | dict[str, object], ...] | None = None
    freeze: tuple[str, ...] | None = None
    floors: dict[str, str] | None = None
    packs: tuple[PackDemand, ...] | None = None
    licenses: tuple[str, ...] | None = None
    dossier: tuple[str, ...] | None = None
    measurements: str = "worst"
    reach: tuple[str, ...] = ()

    @property
    def document(self) -> "PolicyDocument":
        """Its document, without clauses that demand nothing."""
        stated = codec.to_document(self).items()
        return cast("PolicyDocument", {name: value for name, value in stated if value != []})

    @property
    def digest(self) -> Digest:
        """The digest of the policy's canonical document."""
        return digest.of_value(codec.to_document(self))


def _one(predicate: str, role: str) -> ClaimDemand:
    return ClaimDemand(predicate=predicate, role=role, threshold=1)


BUILT_IN = Policy(
    name="built-in",
    claims=(
        _one(predicates.PROVENANCE, "builder"),
        _one(predicates.MODULES, "builder"),
        _one(predicates.KSCORE, "evaluator"),
        _one(predicates.TEST_RESULT, "evaluator"),
    ),
    same_signer=True,
    gate="passed",
    minimum_eval_cases=50,
    lower_bound_above=("blind", "majority", "swapped"),
    reach=("delta_scope", "scores"),
)


def read_policy(value: object, *, where: str) -> Policy:
    """A policy from its document.

    Raises:
        Refused: it does not fit the schema.
        Usage: it counts a key list that cannot reach its threshold.
    """
    policy = codec.from_document(Policy, schema.check(kinds.POLICY, value, where=where))
    for number, demand in enumerate(policy.claims):
        if demand.keys is not None and len(demand.keys) < demand.threshold:
            raise Usage(
                "E_POLICY_THRESHOLD",
                "the clause demands more keys than it lists",
                where=f"{where}#/claims/{number}",
                expected=f"at least {demand.threshold} keys",
                found=f"{len(demand.keys)} keys",
            )
    for name, value_text in (policy.floors or {}).items():
        canonical.parse_decimal(value_text, where=f"{where}#/floors/{name}")
    return policy


Demands = Policy | str | Path | None  # a policy, its file, or the built-in one


def policy_of(demands: Demands) -> Policy:
    """What is demanded of a bundle.

    Raises:
        KolmError: as `load_policy`.
    """
    if isinstance(demands, Policy):
        return demands
    return BUILT_IN if demands is None else load_policy(Path(demands))


def load_policy(path: Path) -> Policy:
    """A policy file: YAML, or strict JSON.

    Raises:
        Unreadable: the file cannot be read, or is no policy.
        Denied: ``E_OWN_FILE``: everybody may change it.
    """
    try:
        data = own_files.read(path, max_bytes=canonical.MAX_DOCUMENT_BYTES, named=True)
    except FileNotFoundError as error:
        raise system.error_of(error, where=path) from None
    try:
        return read_policy(_value(data, path.name), where=path.name)
    except Refused as error:
        hint = "kolm policy new writes one to start from; kolm help format/policy has the clauses"
        raise broken_file(error, "E_POLICY_BROKEN", "a policy", hint=hint) from None


def _value(data: bytes, name: str) -> object:
    """What a file says; what begins as an object of JSON is JSON."""
    if data.lstrip().startswith(b"{"):
        return canonical.loads(data, where=name)
    from kolm.spec.source import read_yaml  # its parser, for whoever has such a file

    return _of_yaml(read_yaml(data, name=name).value)


def _of_yaml(value: object, *, numbers: bool = True) -> object:
    """Plain values as a policy has them: a fraction is a decimal string, and so is what stands
    among fractions, as in ``floors: {k: 0.85, above_blind: 0}``."""
    if isinstance(value, dict):
        return {
            key: _of_yaml(item, numbers=numbers and key not in ("floors", "metrics"))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_of_yaml(item, numbers=numbers) for item in value]
    if isinstance(value, Decimal) or (
        isinstance(value, int) and not isinstance(value, bool) and not numbers
    ):
        return canonical.decimal(value, None)
    return value
