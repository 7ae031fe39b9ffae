"""The trainer by the names that fine-tuning scripts use: a thin layer over `kolm.compile`.

    trainer = vlm_trainer(
        model_id="kolm/nano-1",
        train_dataset=rows,                  # {"image": …, "prompt": …, "response": …}
        config=VLMTrainConfig(lora_r=16, learning_rate=1e-3, num_train_epochs=3),
    )
    trained = trainer.train()
    trained.bundle, trained.receipt

Every field of a config becomes a key of a spec (`FIELDS`); what is not given has the spec's own
default. Nothing is trained here that `kolm compile` would train otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypedDict, Unpack

from kolm.errors import Usage, did_you_mean
from kolm.spec.source import Part

if TYPE_CHECKING:
    from kolm.actions.compiling import CompileResult
    from kolm.records.documents import Receipt

__all__ = ["FIELDS", "Trained", "Trainer", "VLMTrainConfig", "vlm_trainer"]

Row = Mapping[str, Any]  # of a data set, or of a spec, as a script has it

_FOLDER: Final = "kolm-vlm"  # of a trainer that names none
_EVAL_SHARE: Final = 0.2  # of rows that state no side
_STORE: Final = "captures"  # named in the spec; the rows have a store of their own


class Fields(TypedDict, total=False):
    """What a `VLMTrainConfig` may state."""

    lora_r: int
    lora_alpha: int
    lora_dropout: float
    use_rslora: bool
    use_dora: bool
    target_modules: str | list[str]
    freeze_vision: bool
    freeze_projector: bool
    projector_learning_rate: float
    learning_rate: float
    lr_scheduler_type: str
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    optim: str
    num_train_epochs: float
    max_steps: int
    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    max_seq_length: int
    max_images: int
    bf16: bool
    fp16: bool
    load_in_4bit: bool
    seed: int


class Field(NamedTuple):
    """Where a field goes: the dotted key of the spec, and what becomes of its value.

    A value that becomes None is the spec's default, and leaves the key out.
    """

    key: str
    value: Callable[[Any], object] = lambda value: value


def _targets(value: object) -> object:
    # The family's own table says which layers are linear and in the language role.
    return None if value == "all-linear" else list(value) if isinstance(value, tuple) else value


def _seed(value: object) -> object:
    # Seeds follow from what is trained and from the nonce: another nonce is another seed.
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**256
    return f"{value:064x}" if whole else value


def _when(chosen: str) -> Callable[[Any], object]:
    """For a switch: what stands in the spec where it is on."""
    return lambda value: (chosen if value else None) if isinstance(value, bool) else value


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "lora_r": Field("train.method.rank"),
        "lora_alpha": Field("train.method.alpha"),
        "lora_dropout": Field("train.method.dropout"),
        "use_rslora": Field("train.method.rslora"),
        "use_dora": Field("train.method.dora"),
        "target_modules": Field("train.method.targets", _targets),
        "freeze_vision": Field("train.freeze.vision"),
        "freeze_projector": Field("train.projector", _when("frozen")),
        "projector_learning_rate": Field("train.projector_learning_rate"),
        "learning_rate": Field("train.learning_rate"),
        "lr_scheduler_type": Field("train.schedule"),
        "warmup_steps": Field("train.warmup_steps"),
        "weight_decay": Field("train.weight_decay"),
        "max_grad_norm": Field("train.max_grad_norm"),
        "optim": Field("train.optimizer", {"adamw_torch": "adamw"}.get),
        "num_train_epochs": Field("train.epochs"),
        "max_steps": Field("train.steps"),
        "per_device_train_batch_size": Field("train.batch_size"),
        "gradient_accumulation_steps": Field("train.accumulation"),
        "max_seq_length": Field("train.max_seq_length"),
        "max_images": Field("train.max_images"),
        "bf16": Field("train.precision", _when("bfloat16")),
        "fp16": Field("train.precision", _when("float16")),
        "load_in_4bit": Field("train.quantisation", _when("nf4")),
        "seed": Field("nonce", _seed),
    }
)
# Each is one choice: of length, or of number format.
_ONE_OF: Final = (("max_steps", "num_train_epochs"), ("bf16", "fp16"))


class VLMTrainConfig:
    """Settings of a training, by the names of fine-tuning scripts; `FIELDS` says what each means.

    Raises:
        Usage: ``E_VLM_FIELD``, a field that is unknown, or two that exclude each other.
    """

    def __init__(self, **fields: Unpack[Fields]) -> None:
        for name in fields:
            if name not in FIELDS:
                _unknown(name)
        for first, second in _ONE_OF:
            if fields.get(first) and fields.get(second):
                raise Usage(
                    "E_VLM_FIELD",
                    f"{first} and {second} exclude each other",
                    where="VLMTrainConfig",
                    hint="keep one of them",
                )
        self.fields: Row = MappingProxyType(dict(fields))

    def __repr__(self) -> str:
        stated = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"VLMTrainConfig({stated})"

    def settings(self) -> Part:
        """The keys of a spec, dotted, with their values."""
        found = {}
        for name, value in self.fields.items():
            field = FIELDS[name]
            stated = field.value(value)
            if stated is None and name == "optim":
                stated = value  # kolm's own names; others are refused by the spec
            if stated is not None:
                found[field.key] = stated
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What `Trainer.train` gives.

    Attributes:
        bundle: the signed file; None when the score is below the gate and nothing was sealed.
        receipt: what the bundle says was trained (``vlm_train``); None without a bundle.
        result: all that `kolm.compile` gives.
    """

    bundle: Path | None
    receipt: Receipt | None
    result: CompileResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """A compile that is ready to run.

    Attributes:
        spec: what will be compiled, as `kolm.compile` takes it.
        rows: to train on and to be scored by.
        output_dir: the folder of the run's state and of the bundle.
    """

    spec: Row
    rows: tuple[Row, ...]
    output_dir: Path

    def train(self, **asked: Any) -> Trained:
        """Train, evaluate, seal and sign; a call that was stopped goes on where it stopped.

        Args:
            **asked: as for `kolm.compile`: ``allow_below_gate``, ``key``, ``reporter`` and others.

        Raises:
            KolmError: as `kolm.compile`.
        """
        from kolm.actions.compiling import compile_bundle

        self.output_dir.mkdir(parents=True, exist_ok=True)
        result = compile_bundle(self.spec, rows=self.rows, project=self.output_dir, **asked)
        receipt = None if result.bundle is None else _receipt_of(result.bundle)
        return Trained(bundle=result.bundle, receipt=receipt, result=result)


def vlm_trainer(
    model_id: str,
    train_dataset: Iterable[Row],
    config: VLMTrainConfig | None = None,
    *,
    eval_dataset: Iterable[Row] | None = None,
    name: str = "vlm",
    output_dir: Path | str = _FOLDER,
    spec: Row | None = None,
) -> Trainer:
    """A trainer of a vision-language model.

    Args:
        model_id: a base on this machine: ``kolm/nano-1``, the folder of a checkpoint, or
            ``owner/model`` in the local Hugging Face cache.
        train_dataset: rows of ``image``, ``prompt`` and ``response``.
        config: settings; those of the spec's defaults without it.
        eval_dataset: rows to score by; without it a fifth of the pictures is held out, unless the
            rows state their ``split``.
        name: of the bundle.
        output_dir: the folder of the run's state and of the bundle.
        spec: keys of a spec that no field names, such as ``{"evaluation": {"metric": "anls"}}``.

    Raises:
        Usage: ``E_VLM_FIELD``, a key of `spec` that the config states too.
    """
    rows = [dict(row) for row in train_dataset]
    stated = any("split" in row for row in rows)
    if eval_dataset is not None:
        rows = [{"split": "train", **row} for row in rows]
        rows += [{**row, "split": "eval"} for row in eval_dataset]
        stated = True
    more = spec or {}
    data: Part = {"captures": _STORE}
    if not stated and "split" not in more.get("data", {}):
        data["split"] = {"eval": _EVAL_SHARE}
    whole: Part = {"kolm": 1, "name": name, "base": model_id, "data": data}
    for key, value in (config or VLMTrainConfig()).settings().items():
        _put(whole, key.split("."), value)
    return Trainer(spec=_joined(whole, more, ""), rows=tuple(rows), output_dir=Path(output_dir))


def _put(spec: Part, path: list[str], value: object) -> None:
    for step in path[:-1]:
        spec = spec.setdefault(step, {})
    spec[path[-1]] = value


def _joined(own: Row, more: Row, path: str) -> Part:
    """Both, key by key; a key that both state as something else is refused."""
    found = dict(own)
    for key, value in more.items():
        place = f"{path}.{key}" if path else key
        if key in own and isinstance(own[key], Mapping) and isinstance(value, Mapping):
            found[key] = _joined(own[key], value, place)
        elif key in own and own[key] != value:
            raise Usage(
                "E_VLM_FIELD",
                f"the spec states {place} otherwise than the trainer's arguments",
                where=place,
                expected=str(own[key])[:80],
                found=str(value)[:80],
                hint="state it in one place",
            )
        else:
            found[key] = value
    return found


def _receipt_of(bundle: Path) -> Receipt:
    from kolm.bundle.container import open_container
    from kolm.bundle.documents import Documents
    from kolm.format import names

    return Documents.of(open_container(bundle)).document(names.RECEIPT)


def _unknown(name: str) -> NoReturn:
    raise Usage(
        "E_VLM_FIELD",
        f"VLMTrainConfig has no field {name}",
        where="VLMTrainConfig",
        expected=", ".join(FIELDS),
        found=name,
        hint=did_you_mean(name, FIELDS),
    )
