"""Pretraining: what is learned from a batch, and how fast."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy, layer_norm

from tools.pretrain import architecture
from tools.pretrain.batches import Batch, Cells, draw_cells
from tools.pretrain.scenes import COLORS, SHAPES

TOWER_UNTIL = 0.07  # share of a run in which the tower learns alone, from cells
EASY_UNTIL = 0.18  # share of a run by which easy batches have become rare
_DECAY_FROM = 0.65  # share of a run after which the learning rate falls to nothing
_WARMUP_STEPS = 60
_LANGUAGE_RATE = 1e-3
_TOWER_ALONE_RATE = 1.5e-3
_TOWER_RATE = 0.5e-3  # beside the language model; faster, the tower collapses to one vector
_MATRIX_RATE = 3.0  # of the others' rates, for matrices, whose updates are orthogonalised
_WEIGHT_DECAY = 0.05
_CELL_WEIGHT = 0.3  # of what the cells show, beside the answers
_WHITENING_SEED = 2**39
_WHITENING_DRAWS = 6
_WHITENING_FLOOR = 0.002  # variance below which a direction is noise


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


@torch.no_grad()
def whiten_patches(model: Any) -> None:
    """Start the patch embedding as a whitening of drawn patches, turned at random.

    Most variance of a patch is its mean colour: on drawn scenes the strongest direction has a
    hundred times the variance of the sixth, and unwhitened it hides the edges that tell shapes.
    """
    rng = random.Random(_WHITENING_SEED)
    patches = torch.cat([draw_cells(rng).patches for _ in range(_WHITENING_DRAWS)])
    weight = model.model.visual.patch_embed.proj.weight
    width, side = weight.shape[0], architecture.PATCH_PIXELS
    frames = patches.view(-1, 3, 2, side * side)[:, :, 0].flatten(1)  # both frames are the same
    values, vectors = torch.linalg.eigh(torch.cov(frames.T))
    strongest = values.flip(0)[:width].clamp(min=0) + _WHITENING_FLOOR
    whitening = vectors.flip(1)[:, :width] / strongest.sqrt()
    turn = torch.linalg.qr(torch.randn(width, width)).Q
    kernel = (turn @ whitening.T).view(width, 3, 1, side, side) / 2
    weight.copy_(kernel.expand_as(weight))


def live_features(model: Any, pixels: torch.Tensor, grids: Sequence[Sequence[int]]) -> torch.Tensor:
    """Tower and projector as transformers runs them: (tokens, width)."""
    visual = model.model.visual
    grid_thw = torch.tensor(grids, dtype=torch.long)
    out: torch.Tensor = visual(pixels.to(visual.dtype), grid_thw=grid_thw).pooler_output
    return out


def compute_loss(
    model: Any, batch: Batch, image_id: int, head: CellHead
) -> tuple[torch.Tensor, float]:
    """What all learn together: answers, and beside them what each cell shows.

    Gives the loss (mean cross-entropy over the label tokens, and the cells') and the share of
    answer tokens predicted right.
    """
    device = model.device
    features = live_features(model, batch.patches.to(device), batch.grids.tolist()).float()
    ids = batch.ids.to(device)
    embeddings = model.get_input_embeddings()(ids)
    embeddings = embeddings.masked_scatter((ids == image_id).unsqueeze(-1), features)
    hidden = model.model.language_model(
        inputs_embeds=embeddings,
        position_ids=batch.positions.to(device),
        attention_mask=batch.visible.to(device),
        use_cache=False,
    ).last_hidden_state
    rows, columns = batch.rows.to(device), batch.columns.to(device)
    logits = model.lm_head(hidden[rows, columns - 1])
    wanted = ids[rows, columns]
    answers = wanted != wanted[-1]  # the last label ends an answer, as every answer's last does
    right = (logits.argmax(-1) == wanted)[answers].float().mean().item()
    loss = cross_entropy(logits, wanted)
    return loss + _CELL_WEIGHT * head(features, batch.cells.to(device)), right


def compute_tower_loss(model: Any, cells: Cells, head: CellHead) -> tuple[torch.Tensor, float]:
    """What the tower learns alone: what each cell shows. The loss and the share of shapes right."""
    features = live_features(model, cells.patches.to(model.device), cells.grids).float()
    labels = cells.labels.to(model.device)
    told = head.shape(layer_norm(features, features.shape[-1:])).argmax(-1)
    shown = labels[:, 0] > 0
    return head(features, labels), (told == labels[:, 0])[shown].float().mean().item()


def make_optimizers(model: Any, head: CellHead) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between two hidden layers, AdamW for all else.

    One trial each, on one core: after 350 steps the tower's loss was 0.34, with AdamW alone 0.49
    (K. Jordan, 2024, kellerjordan.github.io/posts/muon; arXiv:2502.16982 for the step sizes).
    """
    matrices: dict[bool, list[Any]] = {}
    others: dict[tuple[bool, float], list[Any]] = {}
    for name, parameter in [*model.named_parameters(), *head.named_parameters()]:
        tower, inner = ".visual." in name, name.startswith("model.") and "embed_tokens" not in name
        if inner and parameter.dim() == 2:
            matrices.setdefault(tower, []).append(parameter)
        else:
            decay = _WEIGHT_DECAY if parameter.dim() >= 2 and "embed_tokens" not in name else 0.0
            others.setdefault((tower, decay), []).append(parameter)
    return [
        torch.optim.Muon(
            [{"params": m, "tower": tower, "rate": _MATRIX_RATE} for tower, m in matrices.items()],
            weight_decay=_WEIGHT_DECAY,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            [
                {"params": members, "weight_decay": decay, "tower": tower, "rate": 1.0}
                for (tower, decay), members in others.items()
            ],
            betas=(0.9, 0.98),
            fused=True,
        ),
    ]


def set_rates(optimizers: list[torch.optim.Optimizer], step: int, share: float) -> None:
    """Warm up, hold, and fall from some share of the run on; the tower has rates of its own."""
    tower = _TOWER_ALONE_RATE if share < TOWER_UNTIL else _TOWER_RATE
    left = (1 - share) / (1 - _DECAY_FROM)
    factor = min(1.0, (step + 1) / _WARMUP_STEPS) * min(1.0, max(0.02, left))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * factor * (tower if group["tower"] else _LANGUAGE_RATE)
