"""Embeddings."""

import dagster as dg
import polars as pl

from facestats_pipeline.core.reuse import with_reuse
from facestats_pipeline.defs.partitions import SHARD_RANGE, SHARDS, depends_on
from facestats_pipeline.defs.project import Project
from facestats_pipeline.io.io_managers import ShardImages
from facestats_pipeline.io.shard_frames import LazyShards, ShardFrames


@dg.asset(
    partitions_def=SHARDS,
    backfill_policy=SHARD_RANGE,
    group_name="embeddings",
    io_manager_key="shard_tables",
    kinds={"pytorch", "parquet"},
    code_version="1",
    metadata=depends_on("encoder.name", "encoder.precision", "encoder", "seed"),
)
def embeddings_clip(
    context: dg.AssetExecutionContext, preproc: LazyShards[ShardImages], project: dg.ResourceParam[Project]
) -> ShardFrames:
    """One unit-norm embedding per preprocessed photo, with the encoder that made it."""
    from facestats_pipeline.core.embedding_table import embedding_table

    encoder = project.encoder
    if not encoder.trained:
        context.log.warning(f"{encoder.model_id} is untrained: attributes and scores from it mean nothing")

    def one(shard: str, images: ShardImages) -> pl.DataFrame:
        def make(rows: pl.DataFrame) -> pl.DataFrame:
            return embedding_table(rows, images.path, encoder, batch_size=project.settings.encoder.batch_size)

        return with_reuse(project.previous("embeddings_clip", shard), images.pictured, make)

    return preproc.map_with_name(one)
