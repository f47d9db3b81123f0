"""The embeddings table: one row per preprocessed photo that can be read."""

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
        # An encoder of another width writes arrays of that width.
        Column("embedding", pl.Array(pl.Float32(), 512), "image embedding, float32, length 1"),
        Column("model_id", pl.String(), "name of the encoder with a hash of its weights; says untrained when it is"),
        *PREPROC.taken("preproc_id"),
    ),
    rows_by=PREPROC.sources("status"),
)

TABLES = (EMBEDDINGS,)


def embedding_table(
    rows: pl.DataFrame, path_of: Callable[[str], Path], encoder: "Encoder", *, batch_size: int | None
) -> pl.DataFrame:
    """EMBEDDINGS of `rows` (image_id, filename, preproc_id): unit L2 norm, float32. A JPEG that cannot be read has no row."""
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
