"""The `spec` document: what the user wants compiled, with every default filled in.

Its shape is schemas/spec.schema.json and its rules are docs/format/spec.md. The user writes
fractions as YAML numbers; here, as in every other record, they are canonical decimal strings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How captures are divided.

    Attributes:
        kind: ``official`` takes each capture's own side, ``hash`` divides by image.
        eval: share of the captures held out, for ``hash``; None for ``official``.
        validation: share of the training captures (official) or of all captures (hash).
    """

    kind: Literal["official", "hash"] = "official"
    eval: str | None = None
    validation: str = "0.05"


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Which captures; `captures` is a folder relative to the spec."""

    captures: str
    split: Split = field(default_factory=Split)
    near_duplicates: Literal["report", "refuse", "drop", "group"] = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Which roles stay as they are."""

    vision: bool = True
    projector_after_steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """Stop after `patience` looks at the validation side without improvement."""

    patience: int
    every_steps: int | None = None
    on: Literal["loss", "metric"] = "loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """How the adapter is trained; of `steps` and `epochs` one is set at most.

    `objective`, `method` and `quantisation` have the keys that the user wrote; the rest is their
    schema's.
    """

    objective: dict[str, Any] = field(default_factory=lambda: {"kind": "sft"})
    method: dict[str, Any] = field(default_factory=dict)
    freeze: Freeze = field(default_factory=Freeze)
    projector: Literal["full", "lora", "frozen"] | None = None
    learning_rate: str | None = None
    projector_learning_rate: str | None = None
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = "adamw"
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int | None = None
    weight_decay: str = "0"
    max_grad_norm: str = "1"
    steps: int | None = None
    epochs: str | None = None
    batch_size: int = 8
    accumulation: int = 1
    max_seq_length: int = 512
    max_images: int = 4
    shrink_images: bool = False
    segments: int = 8
    validate_every: int | None = None
    validate_cases: int | None = None
    early_stopping: EarlyStopping | None = None
    continues: str | None = None
    continues_from: str | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    attention: Literal["sdpa", "eager"] = "sdpa"
    quantisation: dict[str, Any] | None = None
    processes: int = 1
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """What the gate demands; None switches a floor off."""

    accuracy_lower_bound: str | None = "0.8"
    clustered_lower_bound: str | None = None
    worst_slice: str | None = "0.7"
    worst_slice_minimum_cases: int = 30
    better_than_base_p: str | None = "0.05"
    above_blind: str | None = "0.1"
    above_majority: str | None = "0.1"
    f1: str | None = None
    k: str | None = "0.85"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationChoice:
    """How the adapter is scored, and what it must reach; `metric` has its kind and options.

    `pack` is the root of the captures that must be the eval side.
    """

    pack: str | None = None
    metric: dict[str, Any] = field(default_factory=lambda: {"kind": "exact"})
    max_new_tokens: int = 16
    batch_size: int = 64
    floors: Floors = field(default_factory=Floors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """What travels in the bundle."""

    text: bool = True
    images: bool = False
    checkpoints: Literal["hashes", "bundle", "registry"] = "hashes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an answer costs; the price in US dollars for ``per_token`` only."""

    kind: Literal["local", "per_token"] = "local"
    usd_per_1000_tokens: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One compile, as the user wants it."""

    kolm: Literal[1] = 1
    name: str
    base: str
    data: Data
    train: Train = field(default_factory=Train)
    evaluation: EvaluationChoice = field(default_factory=EvaluationChoice)
    publish: Publish = field(default_factory=Publish)
    dossier: dict[str, str] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    request: str | None = None
    nonce: str = "0" * 64
