"""Dossier: the values of fields, each read from the documents of one bundle and its audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from kolm import canonical, roles
from kolm.counting import counted
from kolm.dossier.fields import Value
from kolm.format import names
from kolm.format.receipt import ROLES
from kolm.methods import method_of
from kolm.sign.predicates import COMPUTE
from kolm.verify.claim_states import is_own

if TYPE_CHECKING:
    from kolm.records.documents import (
        Capture,
        EvaluationAccuracy,
        EvaluationInterval,
        Kscore,
        PredicateCompute,
    )
    from kolm.report.facts import Facts, Signed


def percent(part: EvaluationAccuracy | None) -> str:
    """An accuracy with its interval; empty where the base takes no picture to leave out."""
    return "" if part is None else f"{part['accuracy']} ({_interval(part['interval'])})"


def _interval(interval: EvaluationInterval) -> str:
    return f"95 % {interval['low']} to {interval['high']}"


def members(facts: Facts) -> Value:
    """Every file of the bundle."""
    return {m.name: f"{m.digest}, {m.size} bytes" for m in facts.bundle.members}


def weights(facts: Facts, *, size: bool = False) -> Value:
    """Digest or size of the weights."""
    member = next(m for m in facts.bundle.members if m.name == names.WEIGHTS)
    return str(member.size) if size else member.digest


def signers(facts: Facts) -> Value:
    """The keys whose claims about this file count."""
    return {s.keyid: f"trusted as {s.name}" for s in facts.audit.signers if s.claims}


def parameters(facts: Facts) -> Value:
    """Parameters of the base by role."""
    counts = facts.receipt["counts"]
    return {role: str(counts[role]["parameters"]) for role in ROLES if counts[role]["modules"]}


def modules(facts: Facts) -> Value:
    """Modules and parameters by role."""
    counts = facts.receipt["counts"]
    return {
        role: f"{counted(counts[role]['modules'], 'module')}, {counts[role]['frozen']} parameters "
        f"kept, {counts[role]['trained']} trained"
        for role in ROLES
        if counts[role]["modules"]
    }


def states(facts: Facts) -> Value:
    """What is frozen, adapted and trained, in the words of the modules claim."""
    words = facts.bundle.documents.rules.claimed_words(
        (row["role"], row["state"]) for row in facts.bundle.rows(names.MODULES)
    )
    return ", ".join(words)


def inputs(facts: Facts) -> Value:
    """What the base takes."""
    sees = roles.family(facts.receipt["base"]["family"]).takes_pictures
    return "text and images" if sees else "text"


def method(facts: Facts) -> Value:
    """The method with its options."""
    return method_of(facts.lock["train"]["method"]).card()


def targets(facts: Facts) -> Value:
    """The layers that get a delta."""
    return ", ".join(method_of(facts.lock["train"]["method"]).targets)


def loaders(facts: Facts) -> Value:
    """What opens the adapter."""
    train = facts.lock["train"]
    return ", ".join(method_of(train["method"]).loaders(train["projector"]))


def adapter_tensors(facts: Facts) -> Value:
    """How many tensors the adapter has."""
    return str(sum(len(row["adapter"]) for row in facts.bundle.rows(names.MODULES)))


def side(facts: Facts, side: str, what: str) -> Value:
    """Captures or images of one side of the split."""
    splits = cast(
        "Mapping[str, Mapping[str, int]]", facts.bundle.document(names.SNAPSHOT)["splits"]
    )
    return str(splits[side][what])


def snapshot(facts: Facts, name: str) -> Value:
    """A key of the snapshot's header."""
    document: Mapping[str, object] = facts.bundle.document(names.SNAPSHOT)
    return str(document[name])


def rule(facts: Facts) -> Value:
    """How captures were divided."""
    rule = facts.bundle.document(names.SNAPSHOT)["rule"]
    if rule["kind"] == "official":
        return "official: each capture states its side"
    return f"drawn by digest: eval {rule['eval']}, validation {rule['validation']}"


def published(facts: Facts) -> Value:
    """What of the data is in the bundle."""
    publish = facts.lock["publish"]
    return {
        "training captures": "digests only",
        "eval prompts and references": "yes" if publish["text"] else "no",
        "eval images": "yes" if publish["images"] else "no",
    }


def of_cases(facts: Facts, read: Callable[[Capture], str]) -> Value | None:
    """What eval cases state, counted; nothing where they are withheld."""
    if names.CASES not in facts.bundle.names:
        return None
    cases = canonical.read_again(facts.bundle.member(names.CASES))
    found = Counter(read(cast("Capture", case)) for case in cases)
    return {name: counted(number, "case") for name, number in sorted(found.items())} or None


def source(capture: Capture) -> str:
    """The source that a capture states."""
    return f"{capture['source']['kind']}:{capture['source']['name']}"


def licence(capture: Capture) -> str:
    """The licence that a capture states."""
    return capture["license"] or "not stated"


def near(facts: Facts) -> Value:
    """Near duplicates across the split."""
    near = facts.bundle.document(names.SNAPSHOT)["near_duplicates"]
    return (
        f"{near['across_splits']} eval images with a near twin in train or validation, "
        f"{near['dropped']} captures left out ({near['method']}, {near['policy']})"
    )


def training_tokens(facts: Facts) -> Value:
    """Tokens of the training captures, both answers of a pair."""
    rows = facts.bundle.rows(names.EXAMPLES)
    return str(
        sum(_tokens(cast("Mapping[str, object]", row)) for row in rows if row["side"] == "train")
    )


def _tokens(example: Mapping[str, object]) -> int:
    """Of one capture; one that was dropped has none."""
    rejected = example.get("rejected")
    own = cast("int", example.get("tokens", 0))
    return own + (_tokens(rejected) if isinstance(rejected, Mapping) else 0)


def compute_claim(facts: Facts) -> tuple[Signed, PredicateCompute] | None:
    """The first claim about the compute that counts, with who states it; nothing where nobody
    counted."""
    said = ((claim, claim.statement.of(COMPUTE)) for claim in facts.claims if claim.by)
    return next(((claim, found) for claim, found in said if found), None)


def operations(facts: Facts, *, tower: bool) -> Value | None:
    """Operations of the training, those of the vision tower or all others."""
    found = compute_claim(facts)
    if found is None:
        return None
    flops = found[1]["flops"]
    of_tower = int(flops["tower"])
    return str(of_tower if tower else int(flops["total"]) - of_tower)


def against_threshold(facts: Facts) -> Value | None:
    """Where the training stands beside a third of the base's compute, or what stands in for it."""
    found = compute_claim(facts)
    return None if found is None else found[1]["modifier_test"]["words"]


def hyperparameters(facts: Facts) -> Value:
    """Settings of the training."""
    train = cast("Mapping[str, object]", facts.lock["train"])
    told = {
        name: str(train[name])
        for name in (
            "learning_rate", "projector_learning_rate", "optimizer", "schedule", "warmup_steps",
            "weight_decay", "max_grad_norm", "steps", "batch_size", "accumulation",
            "max_seq_length", "max_images", "precision", "attention",
        )
    }  # fmt: skip
    return {**told, "dropout": str(facts.lock["train"]["method"].get("dropout", "0"))}


def loss(facts: Facts) -> Value | None:
    """The first and last loss."""
    losses = [row["loss"] for row in facts.bundle.rows(names.TRACE) if row["kind"] == "step"]
    return f"{losses[0]} in the first step, {losses[-1]} in the last" if losses else None


def quantisation(facts: Facts) -> Value:
    """How the base was held while it was trained on."""
    settings = facts.lock["train"]["quantisation"]
    return "none" if settings is None else f"{settings['kind']}, blocks of {settings['block_size']}"


def continues(facts: Facts) -> Value:
    """What training began from."""
    earlier = facts.lock["train"]["continues"]
    return "the base, untrained before" if earlier is None else f"state {earlier['state']}"


_LIBRARIES: Final = (
    "kolm", "python", "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy",
    "pillow", "bitsandbytes",
)  # fmt: skip


def software(facts: Facts) -> Value:
    """Versions of what computed."""
    environment: Mapping[str, object] = facts.lock["environment"]
    return {name: str(environment[name]) for name in _LIBRARIES if name in environment}


def hardware(facts: Facts) -> Value:
    """What computed."""
    environment = facts.lock["environment"]
    accelerator = environment.get("accelerator")
    more = {"accelerator": accelerator["name"]} if accelerator else {}
    return {
        "device": environment["device"],
        "processor": environment["cpu"],
        "threads": str(environment["threads"]),
        **more,
    }


def build(facts: Facts, *path: str) -> Value | None:
    """Something of what a trusted builder signed about the build."""
    if facts.build is None:
        return None
    value: object = facts.build[1]["runDetails"]
    for step in path:
        value = value[0] if isinstance(value, list) else value
        value = value.get(step) if isinstance(value, dict) else None
    return None if value is None else str(value)


def _own_score(facts: Facts) -> tuple[Signed, Kscore] | None:
    """The newest K-score on the bundle's own cases that counts, with who states it."""
    own = [pair for pair in facts.kscores if pair[0].by and is_own(pair[1])]
    return max(own, key=lambda pair: pair[1]["measured_on"], default=None)


def builder(facts: Facts) -> str | None:
    """Who states what `build` reads."""
    return None if facts.build is None else facts.build[0].by


def counter(facts: Facts) -> str | None:
    """Who states what `operations` reads."""
    found = compute_claim(facts)
    return None if found is None else found[0].by


def evaluator(facts: Facts) -> str | None:
    """Who states what `score` reads."""
    found = _own_score(facts)
    return None if found is None else found[0].by


def score(facts: Facts, read: Callable[[Kscore], object]) -> Value | None:
    """Something of the K-score on the own cases."""
    found = _own_score(facts)
    return None if found is None else str(read(found[1]))


def slices(facts: Facts) -> Value:
    """Accuracy by slice."""
    return {
        f"{part['kind']} {part['value']}": f"{part['accuracy']} on {part['cases']} cases"
        for part in facts.evaluation["slices"]
    }


def worst_slice(facts: Facts) -> Value:
    """The accuracy of the worst slice that is large enough."""
    for floor in facts.evaluation["floors"]:
        if floor["name"] == "worst_slice":
            return floor["observed"] or ""
    return ""


def floors(facts: Facts) -> Value:
    """Which of its own floors the bundle passed."""
    words = {True: "passed", False: "not passed", None: "not demanded"}
    return {f["name"]: words[f["passed"]] for f in facts.evaluation["floors"]}


def paired(facts: Facts) -> Value:
    """The paired test against the base."""
    paired = facts.evaluation["paired"]
    return (
        f"adapter alone right on {paired['adapter_only']}, base alone on {paired['base_only']}, "
        f"p = {paired['p']} ({paired['method']})"
    )


def clustered(facts: Facts) -> Value:
    """The accuracy's interval where questions on one picture count together."""
    clustered = facts.evaluation["clustered"]
    found = clustered["adapter"]
    return f"95 % {found['low']} to {found['high']}, {clustered['clusters']} groups of pictures"


def figures(facts: Facts) -> Value:
    """Further figures of the metric; empty where it has none."""
    found = facts.evaluation["figures"]
    return {f["name"]: f["adapter"] for f in found if f["adapter"] is not None}


def verdict(facts: Facts, name: str) -> Value:
    """One of the four verdicts, in words."""
    return str(facts.audit.conclusions._asdict()[name].detail)


def check(facts: Facts, number: str) -> Value:
    """What a check saw."""
    return next(c.detail for c in facts.audit.checks if c.id == number)


def policy(facts: Facts) -> Value:
    """Name and digest of the policy."""
    return f"{facts.audit.policy.name} ({facts.audit.policy.digest})"


def declared(facts: Facts, name: str) -> Value | None:
    """What the publisher declares."""
    said = cast("Mapping[str, str]", facts.lock.get("dossier", {}))
    return said.get(name)
