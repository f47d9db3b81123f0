"""The embeddings table of one shard."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.encoders.encoder import Encoder


def embedding_schema(dim: int) -> dict[str, pl.DataType]:
    """Columns of the embeddings table for an encoder of width `dim`."""
    return {
        "image_id": pl.String(),
        "filename": pl.String(),
        "embedding": pl.Array(pl.Float32(), dim),
        "model_id": pl.String(),
        "preproc_id": pl.String(),
    }


def embedding_table(
    rows: pl.DataFrame, path_of: Callable[[str], Path], encoder: Encoder, *, batch_size: int | None
) -> pl.DataFrame:
    """Embeddings of `rows` (image_id, filename, preproc_id): unit L2 norm, float32. A JPEG that cannot be read has no row."""
    vectors = run_embedding([path_of(image_id) for image_id in rows["image_id"]], encoder, batch_size=batch_size)
    readable = np.isfinite(vectors).all(axis=1)
    return (
        rows.select("image_id", "filename", "preproc_id")
        .filter(pl.Series(readable, dtype=pl.Boolean))
        .with_columns(
            embedding=pl.Series(vectors[readable], dtype=pl.Array(pl.Float32(), encoder.dim)),
            model_id=pl.lit(encoder.model_id),
        )
        .select(*embedding_schema(encoder.dim))
    )
