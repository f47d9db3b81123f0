"""Discovery of photos and the manifest."""

from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

import dagster as dg
import polars as pl

from facestats_pipeline.core.ingest.identity import read_photo
from facestats_pipeline.core.ingest.inventory import update_inventory
from facestats_pipeline.defs.partitions import SHARDS, depends_on, shard_table
from facestats_pipeline.defs.project import Project
from facestats_pipeline.io.shard_frames import LazyShards, ShardFrames


@dg.asset(
    group_name="ingest", io_manager_key="tables", kinds={"polars", "jpeg"}, code_version="1", metadata=depends_on()
)
def raw_photos(context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]) -> pl.DataFrame:
    """Looks at the raw folder, gives every file its image id and shard, and registers new shards as partitions."""
    settings, store = project.settings, project.store
    previous = store.read_table("raw_photos") if store.path("raw_photos").is_file() else None
    inventory, changes = update_inventory(
        previous,
        settings.raw,
        shard_size=settings.shard_size,
        max_bytes=settings.ingest.max_bytes,
        now=datetime.now(UTC),
        workers=settings.preproc.workers,
    )
    context.instance.add_dynamic_partitions(str(SHARDS.name), inventory["shard"].unique().sort().to_list())
    context.add_output_metadata(asdict(changes))
    return inventory


@shard_table(
    group_name="ingest",
    metadata=depends_on("ingest"),
)
def manifest(
    context: dg.AssetExecutionContext, raw_photos: pl.DataFrame, project: dg.ResourceParam[Project]
) -> ShardFrames:
    """One row per file with its status and the reason for it: nothing that was in the raw folder is left out."""
    from facestats_pipeline.core.ingest.manifest import build_manifest

    settings = project.settings
    build = partial(
        build_manifest,
        read=partial(read_photo, settings.raw),
        provenance=settings.ingest.model_dump(include={"source", "licence", "consent"}),
        max_pixels=settings.ingest.max_pixels,
        workers=settings.preproc.workers,
    )
    by_shard = {str(key[0]): rows for key, rows in raw_photos.partition_by("shard", as_dict=True).items()}
    return LazyShards(
        context.partition_keys,
        lambda shard: build(by_shard.get(shard, raw_photos.clear()), previous=project.previous("manifest", shard)),
    )
