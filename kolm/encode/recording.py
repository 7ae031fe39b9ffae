"""Encode: what the frozen tower gives for every image of a run, recorded before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kolm import digest
from kolm.encode.examples import Learnable
from kolm.encode.features import FeatureTable, build_features, distinct_uses, tower_facts
from kolm.encode.kept_features import KeptFeatures
from kolm.encode.pictures import PictureReader
from kolm.events import Reporter
from kolm.models.forward import Forward

if TYPE_CHECKING:
    from kolm.records.documents import Lock


def record_tower(
    forward: Forward,
    reader: PictureReader,
    examples: Sequence[Learnable],
    *,
    lock: Lock,
    kept: KeptFeatures | None,
    reporter: Reporter,
) -> FeatureTable:
    """The recordings of every image of these examples.

    Args:
        forward: of the base before an adapter changes it.
        reader: of the images.
        examples: of all splits that the run reads.
        lock: names base and environment, which the recordings depend on.
        kept: recordings of earlier runs, and room for these.
        reporter: hears the progress.
    """
    uses = distinct_uses(use for example in examples for use in example.images)
    if not reader.processor.table.takes_pictures:  # nor has any example one
        return FeatureTable({}, reader.shown)
    # The processor's own serialisation; its floats are why this is text and not a document.
    settings = reader.processor.processor.image_processor.to_json_string().encode()
    facts = tower_facts(
        base_root=lock["base"]["root"],
        processor=digest.of_bytes(settings),
        environment=lock["environment"]["class"],
        precision=lock["train"]["precision"],
    )
    return build_features(forward, reader, uses, facts=facts, kept=kept, reporter=reporter)
