"""Train: the embedded base, from nothing, on scenes that it draws itself.

    python -m kolm.train.pretrain --out DIR --minutes 80      train; run it again to resume
    python -m kolm.train.pretrain --export DIR --to FOLDER    write a model folder
    python -m kolm.train.pretrain --evaluate FOLDER           held-out accuracy of each skill

Not part of the line that data follows: whoever has the wheel has the weights. A run is cut into
slices of any length: its state is replaced atomically every few minutes, and the learning rate
depends on the minutes spent so far. On a GPU, if there is one, it trains there.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, layer_norm

from kolm import canonical, paths
from kolm.errors import Unreadable
from kolm.models import qwen2_5_vl
from kolm.models.load import load_model
from kolm.models.nano import architecture
from kolm.models.nano import tokenizer as words
from kolm.models.nano.architecture import TOKEN_PIXELS
from kolm.models.nano.questions import Question, ask
from kolm.models.nano.scenes import COLORS, SHAPES, draw_easy_scene, draw_scene, label_cells
from kolm.models.vision_attention import batched_vision_attention

_SEED = 7
_TRAINING_SCENES = 1000  # seed of the scenes of step 0; step n draws from seed 1000 + n
_WHITENING_SCENES = 2**39
_WHITENING_FLOOR = 0.002  # variance below which a direction is noise
_HELD_OUT_SCENES = 2**40  # far beyond any step
_QUESTIONS = 8  # of one scene: one pass of the tower pays for all of them
_TALKS = 0.15  # share of scenes whose questions follow each other in one conversation
_SCENES = 24  # a step, at a side of 64 pixels; larger pictures come in smaller batches
_SIDES = {64: 74, 32: 5, 48: 6, 80: 6, 96: 5, 128: 3, 224: 1}  # side in pixels: share in percent
_EASY_SCENES, _EASY_QUESTIONS = 48, 3  # of a step on large single objects
_TOWER_UNTIL = 0.17  # share of the minutes in which the tower learns alone, from cells
_EASY_UNTIL = 0.33  # share of the minutes by which easy steps have become rare
_TOWER_PEAK_LEARNING_RATE = 1.5e-3
_CELL_WEIGHT = 0.3  # of what the cells show, beside the answers
_PEAK_LEARNING_RATE = 1e-3
_TOWER_RATE = 0.5  # of the language model's; faster, the tower collapses to one vector
_WARMUP_STEPS = 60
_DECAY_FROM = 0.7  # share of the minutes after which the learning rate falls to nothing
_SAVE_SECONDS = 150
_SYSTEM_PROMPTS = ("Answer with one word.", "You are a helpful assistant.", "Answer briefly.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is; `file` holds the weights and the optimiser at that step."""

    step: int
    spent_seconds: str
    questions: int
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Questions about pictures of one size, right-padded.

    Shapes: patches (scenes x patches, 384), grids (scenes, 3), ids (scenes, length), positions
    (3, scenes, length), visible (scenes, 1, length, length): which token may attend to which;
    `rows` and `columns` are the places of the label tokens; cells (scenes x image tokens, 2): the
    shape and the colour that each image token shows, -100 where nobody says.
    """

    patches: torch.Tensor
    grids: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    visible: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    cells: torch.Tensor


def cut_patches(images: list[Any]) -> torch.Tensor:
    """Square RGB images of one size as the tower's patches: (images x patches, 3 x 2 x 8 x 8).

    The order and the scaling are those of transformers' Qwen2-VL image processor.
    """
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).float()
    count, side = pixels.shape[0], pixels.shape[1]
    cells, patch = side // TOKEN_PIXELS, architecture.PATCH_PIXELS
    scaled = (pixels.permute(0, 3, 1, 2) / 255 - architecture.IMAGE_MEAN) / architecture.IMAGE_STD
    frames = scaled.unsqueeze(1).expand(-1, 2, -1, -1, -1)
    split = frames.reshape(count, 1, 2, 3, cells, 2, patch, cells, 2, patch)
    return split.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9).reshape(-1, 3 * 2 * patch * patch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Questions about one picture as tokens.

    Attributes:
        ids: the picture, then every question with its answer.
        labels: positions of the answers' tokens.
        start: position of the picture's first token.
        turns: where each part begins that must not see the parts between the picture and it; the
            first is the end of what all share.
    """

    ids: list[int]
    labels: list[int]
    start: int
    turns: list[int]


class Writer:
    """Writes conversations as token ids, caching the texts it has seen."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: dict[str, list[int]] = {}
        self.special = {name: tokenizer.token_to_id(name) for name in words.SPECIAL}

    def text(self, text: str) -> list[int]:
        """The ids of a text."""
        if text not in self._ids:
            self._ids[text] = self._tokenizer.encode(text).ids
        return self._ids[text]

    def image(self, tokens: int) -> list[int]:
        """The ids of a picture."""
        special = self.special
        inner = [special[words.IMAGE]] * tokens
        return [special[words.VISION_START], *inner, special[words.VISION_END]]

    def ask_all(self, rng: random.Random, questions: list[Question], image_tokens: int) -> Exchange:
        """Questions about one picture, each answered by itself or all in one conversation."""
        special, end = self.special, self.special[words.END]
        ids: list[int] = []
        if rng.random() < 0.15:
            ids += [special[words.SYSTEM], *self.text(rng.choice(_SYSTEM_PROMPTS)), end]
        ids.append(special[words.USER])
        start = len(ids) + 1
        ids += self.image(image_tokens)
        shared = len(ids)
        labels: list[int] = []
        turns: list[int] = []
        talk = rng.random() < _TALKS
        for number, question in enumerate(questions):
            turns.append(len(ids))
            if talk and number:
                ids.append(special[words.USER])
            text = question.text
            if rng.random() < 0.25:
                text = text[0].upper() + text[1:]
            ids += [*self.text(text), end, special[words.ASSISTANT]]
            answer = [*self.text(question.answer), end]
            labels += range(len(ids), len(ids) + len(answer))
            ids += answer
        return Exchange(
            ids=ids, labels=labels, start=start, turns=[shared] if talk else [shared, *turns[1:]]
        )


def draw_batch(rng: random.Random, writer: Writer, side: int, *, easy: bool = False) -> Batch:
    """Draw scenes of one size and write questions about each."""
    count = _EASY_SCENES if easy else max(6, min(_SCENES, _SCENES * 64 * 64 // (side * side)))
    images, exchanges = [], []
    shown: list[tuple[int, int]] = []
    cells = side // TOKEN_PIXELS
    for _ in range(count):
        scene, image = (draw_easy_scene if easy else draw_scene)(rng, side)
        images.append(image)
        shown += label_cells(scene, TOKEN_PIXELS) or [(-100, -100)] * (cells * cells)
        questions = ask(rng, scene, _EASY_QUESTIONS if easy else _QUESTIONS, easy=easy)
        exchanges.append(writer.ask_all(rng, questions, cells * cells))
    grid = (1, 2 * cells, 2 * cells)
    length = max(len(exchange.ids) for exchange in exchanges)
    ids = torch.full((count, length), writer.special[words.PAD])
    positions = np.empty((3, count, length), dtype=np.int64)
    visible = np.broadcast_to(np.tri(length, dtype=bool), (count, 1, length, length)).copy()
    for row, exchange in enumerate(exchanges):
        ids[row, : len(exchange.ids)] = torch.tensor(exchange.ids)
        positions[:, row] = qwen2_5_vl.position_ids(length, ((exchange.start, grid),), 2)
        shared = exchange.turns[0]
        for begin, until in itertools.pairwise([*exchange.turns, length]):
            visible[row, 0, begin:until, shared:begin] = False
            positions[:, row, begin:until] -= begin - shared
    places = [(row, column) for row, e in enumerate(exchanges) for column in e.labels]
    where = torch.tensor(places).T
    return Batch(
        patches=cut_patches(images),
        grids=torch.tensor([grid] * count),
        ids=ids,
        positions=torch.from_numpy(positions),
        visible=torch.from_numpy(visible),
        rows=where[0],
        columns=where[1],
        cells=torch.tensor(shown),
    )


class CellHead(torch.nn.Module):
    """Says from one image feature which shape and colour its cell shows.

    Used while training only: questions alone reach the tower through one word of an answer, and
    half an hour of them taught it colours but no shapes.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shape = torch.nn.Linear(width, len(SHAPES) + 1)
        self.color = torch.nn.Linear(width, len(COLORS) + 1)

    def forward(self, features: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """The summed cross-entropy of both answers; zero where no cell is labelled."""
        if not bool((cells[:, 0] >= 0).any()):
            return features.sum() * 0
        seen = layer_norm(features, features.shape[-1:])  # features may be of any size
        shape = cross_entropy(self.shape(seen), cells[:, 0])
        return shape + cross_entropy(self.color(seen), cells[:, 1])


def draw_cells(
    rng: random.Random, count: int
) -> tuple[torch.Tensor, list[tuple[int, int, int]], torch.Tensor]:
    """Pictures of shapes: their patches, their grids, and what each of their cells shows."""
    images: list[Any] = []
    shown: list[tuple[int, int]] = []
    while len(images) < count:
        scene, image = (draw_easy_scene if rng.random() < 0.5 else draw_scene)(rng, 64)
        labels = label_cells(scene, TOKEN_PIXELS)
        if labels is not None:
            images.append(image)
            shown += labels
    side = 64 // architecture.PATCH_PIXELS
    return cut_patches(images), [(1, side, side)] * count, torch.tensor(shown)


@torch.no_grad()
def whiten_patches(model: Any) -> None:
    """Start the patch embedding as a whitening of drawn patches, turned at random.

    Most variance of a patch is its mean colour: on drawn scenes the strongest direction has a
    hundred times the variance of the sixth, and unwhitened it hides the edges that tell shapes.
    """
    rng = random.Random(_WHITENING_SCENES)
    patches = torch.cat([draw_cells(rng, _EASY_SCENES)[0] for _ in range(6)])
    weight = model.model.visual.patch_embed.proj.weight
    width, side = weight.shape[0], architecture.PATCH_PIXELS
    frames = patches.view(-1, 3, 2, side * side)[:, :, 0].flatten(1)  # both frames are the same
    values, vectors = torch.linalg.eigh(torch.cov(frames.T))
    strongest = values.flip(0)[:width].clamp(min=0) + _WHITENING_FLOOR
    whitening = vectors.flip(1)[:, :width] / strongest.sqrt()
    turn = torch.linalg.qr(torch.randn(width, width)).Q
    kernel = (turn @ whitening.T).view(width, 3, 1, side, side) / 2
    weight.copy_(kernel.expand_as(weight))


def compute_loss(
    model: Any, batch: Batch, image_id: int, head: CellHead
) -> tuple[torch.Tensor, float]:
    """Mean cross-entropy over the label tokens, and the share of answer tokens predicted right."""
    device = model.device
    features = qwen2_5_vl.live_features(model, batch.patches.to(device), batch.grids.tolist())
    ids = batch.ids.to(device)
    embeddings = qwen2_5_vl.token_embeddings(model, ids)
    embeddings = embeddings.masked_scatter((ids == image_id).unsqueeze(-1), features)
    hidden = model.model.language_model(
        inputs_embeds=embeddings,
        position_ids=batch.positions.to(device),
        attention_mask=batch.visible.to(device),
        use_cache=False,
    ).last_hidden_state
    rows, columns = batch.rows.to(device), batch.columns.to(device)
    logits = qwen2_5_vl.logits(model, hidden[rows, columns - 1])
    wanted = ids[rows, columns]
    answers = wanted != wanted[-1]  # the last label ends an answer, as every answer's last does
    right = (logits.argmax(-1) == wanted)[answers].float().mean().item()
    loss = cross_entropy(logits, wanted)
    return loss + _CELL_WEIGHT * head(features, batch.cells.to(device)), right


class Run:
    """A training run in a folder."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder = folder
        self._budget_seconds = minutes * 60
        self._tokenizer = _tokenizer(folder)
        self._writer = Writer(self._tokenizer)
        torch.manual_seed(_SEED)
        self.model = architecture.new_model(self._tokenizer)
        whiten_patches(self.model)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu").train()
        self._head = CellHead(self.model.config.text_config.hidden_size).to(self.model.device)
        self._parameters = [*self.model.parameters(), *self._head.parameters()]
        self._optimizer = _optimizer(self.model, self._head)
        self._step, self._questions, self._spent = 0, 0, 0.0
        self._resume()

    def train(self) -> None:
        """Train until the minutes are spent."""
        began = saved = time.monotonic()
        before = self._spent
        with batched_vision_attention(self.model):
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
        rng = random.Random(_TRAINING_SCENES + self._step)
        share = self._spent / self._budget_seconds
        alone = share < _TOWER_UNTIL
        easy = alone or rng.random() < (_EASY_UNTIL - share) / (_EASY_UNTIL - _TOWER_UNTIL)
        if alone:
            loss, right = self._look(rng)
        else:
            side = 64 if easy else rng.choices(list(_SIDES), list(_SIDES.values()))[0]
            batch = draw_batch(rng, self._writer, side, easy=easy)
            image_id = self._writer.special[words.IMAGE]
            loss, right = compute_loss(self.model, batch, image_id, self._head)
            self._questions += batch.ids.shape[0] * (_EASY_QUESTIONS if easy else _QUESTIONS)
        for group in self._optimizer.param_groups:
            group["lr"] = _learning_rate(self._step, share, group["tower"])
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._step += 1
        return loss.item(), right

    def _look(self, rng: random.Random) -> tuple[torch.Tensor, float]:
        """The tower alone: what does each cell show? Gives the loss and the shapes told right."""
        patches, grids, cells = draw_cells(rng, _EASY_SCENES)
        device = self.model.device
        features = qwen2_5_vl.live_features(self.model, patches.to(device), grids)
        cells = cells.to(device)
        told = self._head.shape(layer_norm(features, features.shape[-1:])).argmax(-1)
        shown = cells[:, 0] > 0
        return self._head(features, cells), (told == cells[:, 0])[shown].float().mean().item()

    def _save(self) -> None:
        from safetensors.torch import save

        tensors = {name: p.detach().cpu() for name, p in self.model.named_parameters()}
        tensors |= {f"head.{name}": p.detach() for name, p in self._head.named_parameters()}
        for number, parameter in enumerate(self._parameters):
            state = self._optimizer.state[parameter]  # empty while only the tower learns
            for short, name in (("m", "exp_avg"), ("v", "exp_avg_sq")):
                moment = state[name] if state else torch.zeros_like(parameter)
                tensors[f"{short}.{number}"] = moment.cpu()
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

        tensors = load_file(self._folder / progress.file)
        self.model.load_state_dict(
            {k: v for k, v in tensors.items() if not k.startswith(("m.", "v.", "head."))},
            strict=False,
        )
        self._head.load_state_dict(
            {k.removeprefix("head."): v for k, v in tensors.items() if k.startswith("head.")}
        )
        for number, parameter in enumerate(self._parameters):
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(progress.step)),
                "exp_avg": tensors[f"m.{number}"].to(parameter.device),
                "exp_avg_sq": tensors[f"v.{number}"].to(parameter.device),
            }
        self._step, self._questions = progress.step, progress.questions
        self._spent = float(progress.spent_seconds)


def _learning_rate(step: int, share: float, tower: bool) -> float:
    """Warm-up, then constant, then falling; the tower's own rates while alone and together."""
    peak = _PEAK_LEARNING_RATE
    if tower:
        peak = _TOWER_PEAK_LEARNING_RATE if share < _TOWER_UNTIL else peak * _TOWER_RATE
    left = (1 - share) / (1 - _DECAY_FROM)
    return peak * min(1.0, (step + 1) / _WARMUP_STEPS) * min(1.0, max(0.02, left))


def _optimizer(model: Any, head: CellHead) -> torch.optim.AdamW:
    named = [*model.named_parameters(), *head.named_parameters()]
    groups: dict[tuple[float, bool], list[Any]] = {}
    for name, parameter in named:
        matrix = parameter.dim() >= 2 and "embed_tokens" not in name
        key = (0.05 if matrix else 0.0, ".visual." in name)
        groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "weight_decay": decay, "tower": tower}
            for (decay, tower), members in groups.items()
        ],
        lr=_PEAK_LEARNING_RATE,
        betas=(0.9, 0.98),
        fused=True,
    )


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
        Unreadable: the folder holds no run.
    """
    if _read_progress(run) is None:
        raise Unreadable("E_PRETRAIN_RUN", "the folder holds no run", where=str(run))
    architecture.write_folder(folder, Run(run, 0).model, _tokenizer(run))


@torch.inference_mode()
def measure_skills(folder: Path, scenes: int) -> dict[str, tuple[int, int]]:
    """Held-out questions answered right, by skill: {skill: (right, asked)}.

    Each question is asked alone about its picture, and every token of its answer must be the
    most likely one, which is what greedy decoding would print.
    """
    from tokenizers import Tokenizer

    model = load_model(folder)
    writer = Writer(Tokenizer.from_file(str(folder / "tokenizer.json")))
    tally: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for number in range(scenes):
        rng = random.Random(_HELD_OUT_SCENES + number)
        scene, image = draw_scene(rng, 64)
        for question in ask(rng, scene, 4):
            cell = tally[question.skill]
            cell[0] += _answers_right(model, writer, image, question)
            cell[1] += 1
    return {skill: (right, asked) for skill, (right, asked) in sorted(tally.items())}


def _answers_right(model: Any, writer: Writer, image: Any, question: Question) -> bool:
    cells = image.width // TOKEN_PIXELS
    special = writer.special
    grid = (1, 2 * cells, 2 * cells)
    prompt = [special[words.USER], *writer.image(cells * cells), *writer.text(question.text)]
    prompt += [special[words.END], special[words.ASSISTANT]]
    answer = [*writer.text(question.answer), special[words.END]]
    ids = torch.tensor([prompt + answer])
    positions = torch.from_numpy(
        qwen2_5_vl.position_ids(ids.shape[1], ((2, grid),), 2).copy()
    ).unsqueeze(1)
    features = qwen2_5_vl.live_features(model, cut_patches([image]), [grid])
    embeddings = qwen2_5_vl.token_embeddings(model, ids)
    embeddings[0, 2 : 2 + cells * cells] = features
    hidden = qwen2_5_vl.language_hidden(model, embeddings, positions)
    found = qwen2_5_vl.logits(model, hidden[0, len(prompt) - 1 : -1]).argmax(-1)
    return found.tolist() == answer


def main(arguments: list[str]) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m kolm.train.pretrain")
    parser.add_argument("--out", type=Path, help="train in this folder, or go on there")
    parser.add_argument("--minutes", type=float, default=80, help="of training in all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export", type=Path, help="a run's folder")
    parser.add_argument("--to", type=Path, default=architecture.WEIGHTS)
    parser.add_argument("--evaluate", type=Path, help="a model folder")
    parser.add_argument("--scenes", type=int, default=1000, help="held-out scenes")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    if chosen.out:
        Run(chosen.out, chosen.minutes).train()
    if chosen.export:
        export(chosen.export, chosen.to)
    if chosen.evaluate:
        skills = measure_skills(chosen.evaluate, chosen.scenes)
        rows = [f"| {skill} | {n} | {100 * k / n:.1f} % |" for skill, (k, n) in skills.items()]
        table = ["| skill | questions | right |", "|---|---|---|", *rows]
        sys.stdout.write("\n".join(table) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
