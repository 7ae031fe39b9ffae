"""The `lock` document: the spec resolved, every default spelled out and every name a digest.

Its shape is schemas/lock.schema.json and its rules are docs/format/lock.md. Fractions are
canonical decimal strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kolm.digest import Digest
from kolm.records.spec import Cost, EarlyStopping, Floors, MetricChoice, Publish


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDigest:
    """A file of the base that changes outputs, and its digest."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LockBase:
    """The base model, pinned.

    Attributes:
        id: its name, never a path.
        family: key of the role table.
        revision: commit of a hub, or None.
        root: Merkle root over tensors and files.
        tensors: how many the checkpoint holds.
        parameters: how many numbers they hold.
        papers: for example ``arXiv:2502.13923``.
    """

    id: str
    family: str
    revision: str | None
    root: Digest
    tensors: int
    parameters: int
    dtype: str
    license: str
    papers: tuple[str, ...]
    files: tuple[NamedDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockData:
    """The data, pinned.

    Attributes:
        snapshot: digest of snapshot.json.
        root: Merkle root of snapshot.jsonl.
        training: Merkle root of its lines on the train and validation sides.
        cases: digest of evalcases.jsonl.
    """

    snapshot: Digest
    root: Digest
    training: Digest
    cases: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LockMethod:
    """The method; `target_expression` full-matches the modules that get a delta."""

    kind: Literal["lora"]
    rank: int
    alpha: int
    dropout: str
    rslora: bool
    dora: bool
    targets: tuple[str, ...]
    target_expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFreeze:
    """Which roles stay as they are."""

    vision: bool
    projector: bool
    projector_after_steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """The last state of an earlier training, and the link of its chain at that state."""

    state: Digest
    chain: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTrain:
    """The training, with nothing implied; a frozen projector has the learning rate 0."""

    objective: Literal["sft"]
    method: LockMethod
    freeze: LockFreeze
    learning_rate: str
    projector_learning_rate: str
    schedule: Literal["cosine", "linear", "constant"]
    warmup_steps: int
    weight_decay: str
    max_grad_norm: str
    steps: int
    batch_size: int
    accumulation: int
    max_seq_length: int
    max_images: int
    shrink_images: bool
    segments: int
    early_stopping: EarlyStopping | None
    continues: Continued | None
    precision: Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEvaluation:
    """How answers are made, scored and judged."""

    metric: MetricChoice
    max_new_tokens: int
    batch_size: int
    floors: Floors
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Each follows from what training rests on."""

    initialisation: Digest
    order: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What bits depend on besides the spec; `class_` is the digest of the rest."""

    class_: Digest
    python: str
    torch: str
    transformers: str
    peft: str
    tokenizers: str
    safetensors: str
    numpy: str
    pillow: str
    kolm: str
    device: str
    cpu: str
    isa: str
    capability: str
    arithmetic: Digest
    threads: int
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One compile, determined."""

    schema: Literal["urn:kolm:lock:v1"] = "urn:kolm:lock:v1"
    name: str
    base: LockBase
    data: LockData
    train: LockTrain
    evaluation: LockEvaluation
    publish: Publish
    nonce: str
    seeds: Seeds
    environment: Environment
