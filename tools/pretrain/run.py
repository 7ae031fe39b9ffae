"""Pretraining: a run in a folder.

A run is cut into slices of any length: its state is replaced atomically every few minutes, and
the learning rate depends on the minutes spent so far. On a GPU, if there is one, it trains there.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from kolm import canonical, paths
from tools.pretrain import architecture, learning
from tools.pretrain import tokenizer as words
from tools.pretrain.batches import Writer, draw_batch, draw_cells
from tools.pretrain.vision_attention import batched_vision_attention

_SEED = 7
_FIRST_SCENES = 1000  # seed of the scenes of step 0; step n draws from seed 1000 + n
_SAVE_SECONDS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is; `file` holds the weights and the optimiser at that step."""

    step: int
    spent_seconds: str
    questions: int
    file: str


class Run:
    """A training run in a folder."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder = folder
        self._budget_seconds = minutes * 60
        self._tokenizer = _tokenizer(folder)
        self._writer = Writer(self._tokenizer)
        torch.manual_seed(_SEED)
        self.model = architecture.new_model(self._tokenizer)
        learning.whiten_patches(self.model)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu").train()
        width = self.model.config.text_config.hidden_size
        self._head = learning.CellHead(width).to(self.model.device)
        self._optimizers = learning.make_optimizers(self.model, self._head)
        self._step, self._questions, self._spent = 0, 0, 0.0
        self._resume()

    def train(self) -> None:
        """Train until the minutes are spent."""
        began = saved = time.monotonic()
        before = self._spent
        with batched_vision_attention(self.model), sdpa_kernel(SDPBackend.MATH):
            while self._spent < self._budget_seconds:
                loss, right = self._train_step()
                now = time.monotonic()
                self._spent = before + now - began
                if self._step % 50 == 0:
                    rate = self._questions / self._spent
                    sys.stderr.write(
                        f"step {self._step}  {self._spent / 60:.1f} min  loss {loss:.3f}  "
                        f"right {right:.3f}  {rate:.0f} questions/s\n"
                    )
                if now - saved > _SAVE_SECONDS:
                    self._save()
                    saved = now
        self._save()

    def _train_step(self) -> tuple[float, float]:
        share = self._spent / self._budget_seconds
        with torch.autocast(self.model.device.type, torch.bfloat16):
            loss, right = self._draw_and_compute(random.Random(_FIRST_SCENES + self._step), share)
        learning.set_rates(self._optimizers, self._step, share)
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(
            itertools.chain(self.model.parameters(), self._head.parameters()), 1.0
        )
        for optimizer in self._optimizers:
            optimizer.step()
        self._step += 1
        return loss.item(), right

    def _draw_and_compute(self, rng: random.Random, share: float) -> tuple[torch.Tensor, float]:
        if share < learning.TOWER_UNTIL:
            return learning.compute_tower_loss(self.model, draw_cells(rng), self._head)
        easy_left = learning.EASY_UNTIL - share
        easy = rng.random() < easy_left / (learning.EASY_UNTIL - learning.TOWER_UNTIL)
        batch = draw_batch(rng, self._writer, easy=easy)
        self._questions += batch.questions
        image_id = self._writer.special[words.IMAGE]
        return learning.compute_loss(self.model, batch, image_id, self._head)

    def _save(self) -> None:
        from safetensors.torch import save

        tensors = {name: p.detach().cpu() for name, p in self.model.named_parameters()}
        tensors |= {f"head.{name}": p.detach().cpu() for name, p in self._head.named_parameters()}
        for number, optimizer in enumerate(self._optimizers):
            for place, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"optimizer.{number}.{place}.{key}"] = value.cpu()
        name = f"ck{self._step}.safetensors"
        paths.atomic_write(self._folder / name, save(tensors))
        progress = Progress(
            step=self._step,
            spent_seconds=canonical.decimal(self._spent, 3),
            questions=self._questions,
            file=name,
        )
        paths.atomic_write(self._folder / "progress.json", canonical.dumps(asdict(progress)))
        saved = sorted(self._folder.glob("ck*.safetensors"), key=lambda path: path.stat().st_mtime)
        for old in saved[:-2]:
            old.unlink()

    def _resume(self) -> None:
        progress = _read_progress(self._folder)
        if progress is None:
            return
        from safetensors.torch import load_file

        weights, head = {}, {}
        states: list[dict[int, dict[str, Any]]] = [defaultdict(dict) for _ in self._optimizers]
        for name, tensor in load_file(self._folder / progress.file).items():
            part, _, rest = name.partition(".")
            if part == "optimizer":
                number, place, key = rest.split(".")
                states[int(number)][int(place)][key] = tensor
            elif part == "head":
                head[rest] = tensor
            else:
                weights[name] = tensor
        self.model.load_state_dict(weights, strict=False)  # the tied head has no tensor
        self._head.load_state_dict(head)
        for optimizer, state in zip(self._optimizers, states, strict=True):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        self._step, self._questions = progress.step, progress.questions
        self._spent = float(progress.spent_seconds)


def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        paths.atomic_write(path, words.build_tokenizer().to_str().encode())
    return Tokenizer.from_file(str(path))


def _read_progress(folder: Path) -> Progress | None:
    path = folder / "progress.json"
    if not path.is_file():
        return None
    return Progress(**canonical.loads(path.read_bytes(), where=path.name))


def export(run: Path, folder: Path) -> None:
    """Write a run's weights as a model folder.

    Raises:
        FileNotFoundError: the folder holds no run.
    """
    if _read_progress(run) is None:
        raise FileNotFoundError(f"{run} holds no pretraining run: train first with --out {run}")
    architecture.write_folder(folder, Run(run, 0).model, _tokenizer(run))
