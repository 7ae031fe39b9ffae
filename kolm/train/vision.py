"""Train: where a batch's image embeddings come from: cached tower features, or the live tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kolm import digest
from kolm.encode.batches import Batch
from kolm.encode.examples import Example
from kolm.encode.features import (
    FeatureTable,
    PictureSource,
    build_features,
    distinct_uses,
    tower_facts,
)
from kolm.encode.kept_features import KeptFeatures
from kolm.events import Reporter
from kolm.models.family import FamilyRuntime
from kolm.objectives.sft import ImageEmbedder

if TYPE_CHECKING:
    import torch


def cache_tower(
    model: Any,
    family: FamilyRuntime,
    image_processor: Any,
    pictures: PictureSource,
    examples: Sequence[Example],
    *,
    lock: Mapping[str, Any],
    kept: KeptFeatures | None,
    reporter: Reporter,
) -> FeatureTable:
    """The frozen tower's features of every image of these examples.

    Args:
        model: the base before PEFT wraps it.
        family: its runtime.
        image_processor: of the base.
        pictures: decodes a stored file.
        examples: of all splits that the run reads.
        lock: names base and environment, which the features depend on.
        kept: features of earlier runs, and room for these.
        reporter: hears the progress.
    """
    uses = distinct_uses(use for example in examples for use in example.images)
    # The processor's own serialisation; its floats are why this is text and not a document.
    settings = image_processor.to_json_string().encode()
    facts = tower_facts(
        base_root=lock["base"]["root"],
        processor=digest.of_bytes(settings),
        environment=lock["environment"]["class"],
        precision=lock["train"]["precision"],
    )
    return build_features(
        model, family, image_processor, pictures, uses, facts=facts, kept=kept, reporter=reporter
    )


def cached_embedder(base: Any, family: FamilyRuntime, table: FeatureTable) -> ImageEmbedder:
    """The projector on cached features."""

    def embed(batch: Batch) -> torch.Tensor:
        grids = [use.grid for use in batch.images]
        return family.project(base, table.gather(batch.images), grids)

    return embed


def live_embedder(
    base: Any, family: FamilyRuntime, image_processor: Any, pictures: PictureSource
) -> ImageEmbedder:
    """The whole tower in the graph, for runs that adapt it."""
    import torch

    def embed(batch: Batch) -> torch.Tensor:
        pieces = [
            family.pixel_values(image_processor, pictures(use.file), use.max_pixels)[0]
            for use in batch.images
        ]
        return family.live_features(base, torch.cat(pieces), [use.grid for use in batch.images])

    return embed
