"""Embeddings, their index, near-duplicates."""

from typing import Any

import dagster as dg
import polars as pl

from facestats_pipeline.core.reuse import with_reuse
from facestats_pipeline.defs.partitions import depends_on, shard_table
from facestats_pipeline.defs.project import Project
from facestats_pipeline.io.embeddings import vectors
from facestats_pipeline.io.io_managers import Files, ShardImages, ShardPhotos, Skipped
from facestats_pipeline.io.layout import INDEX
from facestats_pipeline.io.shard_frames import AllShards, ShardFrames


@shard_table(
    group_name="embeddings",
    kinds={"pytorch", "parquet"},
    metadata=depends_on("encoder.name", "encoder.precision", "weights:encoder", "seed"),
)
def embeddings_clip(
    context: dg.AssetExecutionContext, preproc: ShardPhotos, project: dg.ResourceParam[Project]
) -> ShardFrames:
    """One unit-norm embedding per preprocessed photo, with the encoder that made it."""
    from facestats_pipeline.core.embeddings.embedding_table import embedding_table

    encoder = project.encoder
    if not encoder.trained:
        context.log.warning(f"{encoder.model_id} is untrained: attributes and scores from it mean nothing")

    def one(shard: str, images: ShardImages) -> pl.DataFrame:
        def make(rows: pl.DataFrame) -> pl.DataFrame:
            return embedding_table(rows, images.path, encoder, batch_size=project.settings.encoder.batch_size)

        return with_reuse(project.previous("embeddings_clip", shard), images.pictured, make)

    return preproc.map_with_name(one)


@dg.asset(group_name="embeddings", io_manager_key="files", kinds={"usearch"}, code_version="1", metadata=depends_on())
def embedding_index(embeddings_clip: AllShards, project: dg.ResourceParam[Project]) -> Any:
    """Nearest neighbours by cosine, over every embedding."""
    from facestats_pipeline.core.embeddings.index import build_index

    shards = [shard for shard, frame in embeddings_clip.items() if not frame.is_empty()]
    if not shards:
        return Skipped("there is no embedding")
    model_id = embeddings_clip[shards[0]]["model_id"][0]
    batches = ((frame["image_id"].to_list(), vectors(frame)) for frame in (embeddings_clip[shard] for shard in shards))
    index = build_index(batches, model_id=model_id)
    path = project.store.temporary_path(project.store.processed / INDEX)
    index.save(path)
    return Files({INDEX: path}, {"vectors": len(index), "encoder": model_id})


@dg.asset(
    group_name="embeddings",
    io_manager_key="tables",
    kinds={"polars", "parquet"},
    code_version="1",
    metadata=depends_on("metadata.duplicate_cosine", "metadata.duplicate_hamming"),
)
def near_duplicates(
    embedding_index: Any,
    image_quality: pl.LazyFrame,
    project: dg.ResourceParam[Project],
) -> pl.DataFrame:
    """Pairs of images that show the same picture, by perceptual hash and, with a trained encoder, by embedding."""
    from facestats_pipeline.core.embeddings.index import load_index
    from facestats_pipeline.core.embeddings.near_duplicates import NEAR_DUPLICATES_SCHEMA
    from facestats_pipeline.core.embeddings.near_duplicates import near_duplicates as pairs

    if not embedding_index:
        return pl.DataFrame(schema=NEAR_DUPLICATES_SCHEMA)
    index = load_index(embedding_index[INDEX], view=True)
    wanted = project.settings.metadata
    return pairs(
        image_quality,
        min_cosine=wanted.duplicate_cosine,
        max_hamming=wanted.duplicate_hamming,
        use_embedding="untrained" not in index.model_id,
        index=index,
    )
