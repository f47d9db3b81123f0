"""The scores of one shard."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.attractiveness.regressor import predict_scores
from facestats_pipeline.core.attractiveness.scoring import SCORES_SCHEMA, scores_table


def score_table(
    preproc: pl.DataFrame, embedded: pl.DataFrame, checkpoint: Mapping[str, Any] | None, reference: npt.ArrayLike | None
) -> pl.DataFrame:
    """SCORES_SCHEMA for the rows of `preproc`: nulls where there is no face or no embedding, no rows at all without a checkpoint."""
    if checkpoint is None or reference is None:
        return pl.DataFrame(schema=SCORES_SCHEMA)
    width = getattr(embedded.schema["embedding"], "size", 0)
    placed = preproc.select("image_id", "filename", "status").join(
        embedded.select("image_id", "embedding"), on="image_id", how="left", maintain_order="left"
    )
    usable = ((placed["status"] == "ok") & placed["embedding"].is_not_null()).to_numpy()
    x = np.full((placed.height, width), np.nan, dtype=np.float32)
    if usable.any():
        x[usable] = placed.filter(pl.Series(usable))["embedding"].to_numpy().reshape(-1, width)
    raw, low, high = predict_scores(checkpoint, x)
    return scores_table(placed, raw, low, high, reference)
