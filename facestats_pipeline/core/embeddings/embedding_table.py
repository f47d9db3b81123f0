"""The embeddings table: one row per readable preprocessed photo."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.tables import Column, Table

if TYPE_CHECKING:
    from facestats_pipeline.core.encoders.encoder import Encoder

EMBEDDINGS = Table(
    "embeddings_clip",
    "embeddings/embeddings_clip.parquet",
    (
        *PREPROC.keys,
        # The width of facestats-mini. An encoder of another width writes arrays of that width.
        Column("embedding", pl.Array(pl.Float32(), 512), "image embedding, float32, unit length"),
        Column(
            "model_id", pl.String(), "name of the encoder with a hash of its weights, or with `untrained` and the seed"
        ),
        *PREPROC.taken("preproc_id"),
    ),
    rows_by=PREPROC.sources("status"),
)

TABLES = (EMBEDDINGS,)


def embedding_table(
    rows: pl.DataFrame, path_of: Callable[[str], Path], encoder: "Encoder", *, batch_size: int | None
) -> pl.DataFrame:
    """The EMBEDDINGS table of `rows` (image_id, filename, preproc_id): float32, unit L2 norm. An unreadable JPEG has no row."""
    import numpy as np

    from facestats_pipeline.core.encoders.embedding import run_embedding

    vectors = run_embedding([path_of(image_id) for image_id in rows["image_id"]], encoder, batch_size=batch_size)
    readable = np.isfinite(vectors).all(axis=1)
    return (
        rows.select("image_id", "filename", "preproc_id")
        .filter(pl.Series(readable, dtype=pl.Boolean))
        .with_columns(
            embedding=pl.Series(vectors[readable], dtype=pl.Array(pl.Float32(), encoder.dim)),
            model_id=pl.lit(encoder.model_id),
        )
        .select(*EMBEDDINGS.schema)
    )
