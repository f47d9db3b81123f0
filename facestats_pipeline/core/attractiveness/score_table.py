"""The table of scores: predicted rating with its interval, percentile and decile."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from facestats_pipeline.core.embeddings.embedding_table import EMBEDDINGS
from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.tables import Column, Table

if TYPE_CHECKING:
    import numpy.typing as npt

_FROM = EMBEDDINGS.sources("embedding") + PREPROC.sources("status")

SCORES = Table(
    "attractiveness_scores",
    "metadata/attractiveness_scores.parquet",
    (
        *PREPROC.keys,
        Column(
            "attractiveness_raw",
            pl.Float32(),
            "predicted mean rating, on the scale of the ratings that the model was trained on",
            _FROM,
        ),
        Column("attractiveness_lo", pl.Float32(), "lower end of the conformal interval of attractiveness_raw", _FROM),
        Column("attractiveness_hi", pl.Float32(), "upper end of the conformal interval of attractiveness_raw", _FROM),
        Column(
            "attractiveness_pct",
            pl.Float64(),
            "mid-rank of attractiveness_raw in the stored reference distribution, 0–1",
            _FROM,
        ),
        Column("attractiveness", pl.Int8(), "decile of attractiveness_pct, 1–10; null without a score", _FROM),
    ),
)

TABLES = (SCORES,)


def score_table(
    preproc: pl.DataFrame,
    embedded: pl.DataFrame,
    checkpoint: Mapping[str, Any] | None,
    reference: "npt.ArrayLike | None",
) -> pl.DataFrame:
    """SCORES for the rows of `preproc`; null without a face or an embedding. Without a checkpoint or reference, the table is empty."""
    import numpy as np

    from facestats_pipeline.core.attractiveness.regressor import predict_scores

    if checkpoint is None or reference is None:
        return pl.DataFrame(schema=SCORES.schema)
    width = getattr(embedded.schema["embedding"], "size", 0)
    placed = preproc.select("image_id", "filename", "status").join(
        embedded.select("image_id", "embedding"), on="image_id", how="left", maintain_order="left"
    )
    # A photo without a face has an embedding too, but its score would mean nothing.
    usable = ((placed["status"] == "ok") & placed["embedding"].is_not_null()).to_numpy()
    x = np.full((placed.height, width), np.nan, dtype=np.float32)
    if usable.any():
        x[usable] = placed.filter(pl.Series(usable))["embedding"].to_numpy().reshape(-1, width)
    raw, low, high = predict_scores(checkpoint, x)
    return ranked_scores(placed, raw, low, high, reference)


def ranked_scores(
    ids: pl.DataFrame,
    raw: "npt.ArrayLike",
    low: "npt.ArrayLike",
    high: "npt.ArrayLike",
    reference: "npt.ArrayLike",
) -> pl.DataFrame:
    """SCORES for the rows of `ids` (image_id, filename), from (n,) scores and interval bounds; NaN becomes null."""
    import numpy as np

    from facestats_pipeline.core.attractiveness.scoring import decile, percentile, snap

    pct = percentile(snap(raw, reference), reference)
    columns = {
        "image_id": ids["image_id"],
        "filename": ids["filename"],
        "attractiveness_raw": pl.Series(np.asarray(raw, dtype=np.float32)).fill_nan(None),
        "attractiveness_lo": pl.Series(np.asarray(low, dtype=np.float32)).fill_nan(None),
        "attractiveness_hi": pl.Series(np.asarray(high, dtype=np.float32)).fill_nan(None),
        "attractiveness_pct": pl.Series(pct).fill_nan(None),
        "attractiveness": pl.Series([int(tenth) or None for tenth in decile(pct)], dtype=pl.Int8),
    }
    return pl.DataFrame(columns, schema=SCORES.schema)
