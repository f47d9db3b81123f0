"""Where one image of a data folder is."""

from dataclasses import dataclass

import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.pipeline import Pipeline
from facestats_pipeline.io.erasure.ledger import Ledger
from facestats_pipeline.io.erasure.lineage import Holding
from facestats_pipeline.io.erasure.lineage import lineage as holdings_of
from facestats_pipeline.io.erasure.targets import UnknownImage, find_target
from facestats_pipeline.io.freshness import ROOT


@dataclass(frozen=True)
class ImageLineage:
    """What is meant by an id or a path, and everything that holds it.

    Attributes:
        image_ids: of the images, sorted; none for a file that could not be read.
        files: filename, image_id, state, shard: one row for each row of the inventory.
        held: the places, in the order of the graph.
    """

    image_ids: list[str]
    files: pl.DataFrame
    held: list[Holding]


def image_lineage(pipeline: Pipeline, image: str) -> ImageLineage:
    """Everything that holds an image. Raises FaceStatsError where nothing is known of it."""
    freshness, settings = pipeline.freshness, pipeline.settings
    try:
        target = find_target(
            freshness.store.read_table(ROOT), settings.raw, [image], Ledger.of(freshness.store).erased()
        )
    except UnknownImage as unknown:
        raise FaceStatsError(str(unknown)) from None
    if not target.ids and not target.filenames:
        raise FaceStatsError(f"{image} was erased: nothing is kept of it")
    held = holdings_of(freshness, settings.raw, target, pipeline.last_run, settings.catalogue)
    return ImageLineage(sorted(target.ids), target.rows, held)
