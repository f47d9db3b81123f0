"""User files, discovery of photos, and the manifest."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

import dagster as dg
import polars as pl

from facestats_pipeline.core.ingest.inventory import update_inventory
from facestats_pipeline.defs.ingest.inputs import observed
from facestats_pipeline.defs.partitions import SHARDS, depends_on, folder_asset, shard_table
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.erasure.ledger import Ledger
from facestats_pipeline.io.shard_frames import LazyShards, ShardFrames

PROVIDED = {
    "labels_csv": "Human labels: labels/labels.csv with file, age, gender, race (FairFace's columns).",
    "ratings_csv": "Human ratings: labels/ratings.csv with file, rating and optionally rater.",
    "manual_labels_csv": "Manual labels: labels/manual_labels.csv with image_id, attribute, value, annotator, labelled_at.",
    "sources_csv": "Sources of photos: labels/sources.csv with path (a folder or a photo), source, licence, consent.",
    "splits_csv": "Published train/test splits of the rated photos: labels/splits.csv with file, split, fold.",
}


@dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]
    specs=[
        dg.AssetSpec(name, group_name="ingest", kinds={"csv"}, description=description)
        for name, description in PROVIDED.items()
    ],
    can_subset=True,
)
def provided(context: dg.AssetExecutionContext, folder: dg.ResourceParam[DataFolder]) -> Iterator[dg.ObserveResult]:
    """The user files as observable assets, which the sensor, every discovery and Dagster's UI (Observe) can observe."""
    for key in sorted(context.selected_asset_keys):
        version = folder.store.input_fingerprint(key.path[-1])
        yield dg.ObserveResult(asset_key=key, data_version=dg.DataVersion(version))


@folder_asset(
    group_name="ingest", io_manager_key="tables", kinds={"polars", "jpeg"}, code_version="1", metadata=depends_on()
)
def raw_photos(context: dg.AssetExecutionContext, folder: dg.ResourceParam[DataFolder]) -> pl.DataFrame:
    """Scans the raw folder, assigns an image id and a shard to every file, and registers new shards as partitions."""
    settings, store = folder.settings, folder.store
    previous = store.read_table("raw_photos") if store.path("raw_photos").is_file() else None
    inventory, changes = update_inventory(
        previous,
        folder.photos,
        shard_size=settings.shard_size,
        max_bytes=settings.ingest.max_bytes,
        now=datetime.now(UTC),
        workers=settings.preproc.workers,
        erased=Ledger.of(store).erased(),
    )
    context.instance.add_dynamic_partitions(str(SHARDS.name), inventory["shard"].unique().sort().to_list())
    context.add_output_metadata({what: n for what, n in asdict(changes).items() if n or what != "refused"})
    for observation in observed(
        store, context.instance
    ):  # so that artifacts made next are not stale at the sensor's next tick
        context.log_event(observation)
    return inventory


@shard_table(
    group_name="ingest",
    code_version="3",
    metadata=depends_on("ingest"),
    deps=["sources_csv"],
)
def manifest(
    context: dg.AssetExecutionContext, raw_photos: pl.LazyFrame, folder: dg.ResourceParam[DataFolder]
) -> ShardFrames:
    """One row per file of the raw folder, with its status and the reason for it. No file is left out."""
    from facestats_pipeline.core.ingest.manifest import build_manifest

    settings = folder.settings
    build = partial(
        build_manifest,
        read=folder.photos.read,
        sources=folder.sources,
        max_pixels=settings.ingest.max_pixels,
        workers=settings.preproc.workers,
    )
    files = raw_photos.filter(pl.col("shard").is_in(context.partition_keys)).collect()
    by_shard = {str(key[0]): rows for key, rows in files.partition_by("shard", as_dict=True).items()}
    return LazyShards(
        context.partition_keys,
        lambda shard: build(by_shard.get(shard, files.clear()), previous=folder.previous("manifest", shard)),
    )
