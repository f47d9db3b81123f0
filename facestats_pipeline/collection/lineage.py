"""Lineage of one image of a data folder."""

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
    """The images that an id or a path names, and the places that hold them.

    Attributes:
        image_ids: the ids, sorted; empty for an unreadable file.
        files: the rows of the inventory: filename, image_id, state, shard.
        held: the places, in the order of the graph.
    """

    image_ids: list[str]
    files: pl.DataFrame
    held: list[Holding]


def image_lineage(pipeline: Pipeline, image: str) -> ImageLineage:
    """Every place that holds an image. Raises FaceStatsError for an unknown or erased image."""
    freshness, settings = pipeline.freshness, pipeline.settings
    try:
        target = find_target(
            freshness.store.read_table(ROOT), settings.raw, [image], Ledger.of(freshness.store).erased()
        )
    except UnknownImage as unknown:
        raise FaceStatsError(str(unknown)) from None
    if not target.ids and not target.filenames:
        raise FaceStatsError(f"{image} was erased: nothing of it is stored")
    held = holdings_of(freshness, settings.raw, target, pipeline.last_run, settings.catalogue)
    return ImageLineage(sorted(target.ids), target.rows, held)
