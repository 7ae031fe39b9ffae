"""The `receipt` document: the deterministic record of one compile, the manifest's config.

Its shape is schemas/receipt.schema.json and its rules are docs/format/receipt.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from kolm.digest import Digest

SCHEMA = "urn:kolm:receipt:v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptBase:
    """The base model that was adapted."""

    family: str
    id: str
    root: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCount:
    """One role: its modules, the base's parameters, those left as they were, those trained."""

    frozen: int
    modules: int
    parameters: int
    trained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCounts:
    """All five roles."""

    head: RoleCount
    language: RoleCount
    other: RoleCount
    projector: RoleCount
    vision: RoleCount


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptMember:
    """One layer of the bundle by name and digest."""

    digest: Digest
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptTrace:
    """The ends of the training run: its states, its chain, its length."""

    chain: Digest
    segments: int
    state_first: Digest
    state_last: Digest
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VlmTrain:
    """How the vision-language model was trained. Fractions are decimal strings."""

    adapter_bytes: int
    base_parameters: int
    cut_prompts: int
    dropped_examples: int
    freeze_projector: bool
    freeze_vision: bool
    frozen_modules: tuple[str, ...]
    label_tokens: int
    learning_rate: str
    lora_alpha: int
    lora_dropout: str
    lora_r: int
    lora_target_expression: str
    lora_targets: tuple[str, ...]
    max_seq_length: int
    method: str
    model_id: str
    optimizer: str
    papers: tuple[str, ...]
    precision: str
    projector_learning_rate: str | None
    steps: int
    train_examples: int
    trainable_modules: tuple[str, ...]
    trained_parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was compiled from what, with which result."""

    base: ReceiptBase
    counts: RoleCounts
    environment_class: Digest
    kolm: str
    lock: Digest
    members: tuple[ReceiptMember, ...]
    name: str
    snapshot_root: Digest
    trace: ReceiptTrace
    vlm_train: VlmTrain
    schema: str = SCHEMA
