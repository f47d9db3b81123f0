"""Where one image of a data folder is."""

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.pipeline import Pipeline
from facestats_pipeline.io.erasure.ledger import Ledger
from facestats_pipeline.io.erasure.lineage import Holding
from facestats_pipeline.io.erasure.lineage import lineage as holdings_of
from facestats_pipeline.io.erasure.targets import Target, UnknownImage, find_target
from facestats_pipeline.io.freshness import ROOT


def look_up(pipeline: Pipeline, image: str) -> tuple[Target, list[Holding]]:
    """What is meant by an id or a path, and everything that holds it. Raises FaceStatsError where nothing is known of it."""
    freshness, settings = pipeline.freshness, pipeline.settings
    try:
        target = find_target(
            freshness.store.read_table(ROOT), settings.raw, [image], Ledger.of(freshness.store).erased()
        )
    except UnknownImage as unknown:
        raise FaceStatsError(str(unknown)) from None
    if not target.ids and not target.filenames:
        raise FaceStatsError(f"{image} was erased: nothing is kept of it")
    return target, holdings_of(freshness, settings.raw, target, pipeline.last_run)
