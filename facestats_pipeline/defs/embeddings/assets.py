"""Embeddings, their index, near-duplicates."""

from typing import Any

import dagster as dg
import polars as pl

from facestats_pipeline.core.reuse import with_reuse
from facestats_pipeline.defs.partitions import depends_on, folder_asset, shard_table
from facestats_pipeline.defs.pools import ENCODER_POOL
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.embeddings import vectors
from facestats_pipeline.io.io_managers import Files, ShardImages, ShardPhotos, Skipped
from facestats_pipeline.io.layout import INDEX
from facestats_pipeline.io.shard_frames import AllShards, ShardFrames


@shard_table(
    group_name="embeddings",
    pool=ENCODER_POOL,
    code_version="2",
    kinds={"pytorch", "parquet"},
    metadata=depends_on("encoder.name", "encoder.precision", "weights:encoder", "seed"),
)
def embeddings_clip(
    context: dg.AssetExecutionContext, preproc: ShardPhotos, folder: dg.ResourceParam[DataFolder]
) -> ShardFrames:
    """One unit-norm embedding per preprocessed photo, with the id of its encoder."""
    from facestats_pipeline.core.embeddings.embedding_table import embedding_table

    encoder = folder.image_encoder
    if not encoder.trained:
        context.log.warning(f"{encoder.model_id} is untrained: attributes and scores derived from it are meaningless")

    def one(shard: str, images: ShardImages) -> pl.DataFrame:
        def make(rows: pl.DataFrame) -> pl.DataFrame:
            return embedding_table(rows, images.path, encoder, batch_size=folder.settings.encoder.batch_size)

        return with_reuse(folder.previous("embeddings_clip", shard), images.pictured, make)

    return preproc.map_with_name(one)


@folder_asset(
    group_name="embeddings", io_manager_key="files", kinds={"usearch"}, code_version="2", metadata=depends_on()
)
def embedding_index(embeddings_clip: AllShards, folder: dg.ResourceParam[DataFolder]) -> Any:
    """An index of nearest neighbours by cosine over all embeddings; new embeddings are added to the existing index."""
    from facestats_pipeline.core.embeddings.index import build_index

    known = folder.store.scan("embeddings_clip").select(pl.col("^image_id|model_id$")).collect()
    if known.is_empty():
        return Skipped("there is no embedding")
    earlier = _earlier_index(folder, known["image_id"])
    before = 0 if earlier is None else len(earlier)
    batches = ((rows["image_id"].to_list(), vectors(rows)) for rows in embeddings_clip.values() if rows.height)
    index = build_index(batches, model_id=known["model_id"][0], earlier=earlier)
    index.mark(folder.freshness.recipe("embedding_index").fingerprint)
    path = folder.store.temporary_path(folder.store.processed / INDEX)
    index.save(path)
    facts = {"vectors": len(index), "added": len(index) - before, "encoder": index.model_id}
    return Files({INDEX: path}, facts)


def _earlier_index(folder: DataFolder, live: pl.Series) -> Any:
    """The existing index, if it can be extended: its code digest is current, and it holds no removed image.

    A vector removed from the index stays in its file until the slot is reused. So an index with a removed image is rebuilt.
    """
    from facestats_pipeline.core.embeddings.index import IndexUnreadable, load_index

    recipe = folder.store.recipe("embedding_index")
    if recipe is None or recipe.skipped or recipe.code_digest != folder.freshness.code_digest("embedding_index"):
        return None
    try:
        index = load_index(folder.store.file("embedding_index", INDEX))
    except IndexUnreadable:
        return None
    return index if set(live).issuperset(index.ids) else None


@folder_asset(
    group_name="embeddings",
    io_manager_key="tables",
    kinds={"polars", "parquet"},
    code_version="1",
    metadata=depends_on("metadata.duplicate_cosine", "metadata.duplicate_hamming"),
)
def near_duplicates(
    embedding_index: Any,
    image_quality: pl.LazyFrame,
    folder: dg.ResourceParam[DataFolder],
) -> pl.DataFrame:
    """Pairs of near-duplicate images, by perceptual hash and, with a trained encoder, by embedding."""
    from facestats_pipeline.core.embeddings.index import load_index
    from facestats_pipeline.core.embeddings.near_duplicate_table import NEAR_DUPLICATES
    from facestats_pipeline.core.embeddings.near_duplicates import near_duplicates as pairs

    if not embedding_index:
        return pl.DataFrame(schema=NEAR_DUPLICATES.schema)
    index = load_index(embedding_index[INDEX], view=True)
    wanted = folder.settings.metadata
    made = folder.store.recipe("near_duplicates")
    same = made is not None and made.code_digest == folder.freshness.code_digest("near_duplicates")
    since = index.marks.get(made.inputs.get("embedding_index", "")) if made is not None and same else None
    return pairs(
        image_quality,
        min_cosine=wanted.duplicate_cosine,
        max_hamming=wanted.duplicate_hamming,
        use_embedding="untrained" not in index.model_id,
        index=index,
        earlier=None if since is None else folder.store.read_table("near_duplicates"),
        since=since or 0,
    )
