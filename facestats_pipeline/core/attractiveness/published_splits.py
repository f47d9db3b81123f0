"""Evaluates the regressor on published splits: training and test photos are exactly those that a split lists."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from facestats_pipeline.core.attractiveness.regressor_training import run_training
from facestats_pipeline.core.labels.splits import TRAIN, fold_numbers
from facestats_pipeline.core.training.provenance import TrainingRefused
from facestats_pipeline.core.training.training_rows import TrainingRows
from facestats_pipeline.core.user_files.name_match import match_files

METRICS = ("pearson", "mae", "rmse")


def split_figures(
    rows: TrainingRows, splits: pl.DataFrame, filenames: Sequence[str], options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Split → JSON-able metrics.

    rows: rated photos with columns rating, sd, n. splits: SPLITS_SCHEMA. filenames: all live images, to match files against. options: other
    arguments of `run_training`.

    `listed` is the number of photos in the split, `n` the number used (those with a face), `measured` the number tested. pearson, mae and
    rmse are computed on all tested photos, with 95% intervals. `over_folds` has mean and sd over folds, as papers report them.

    Raises TrainingRefused like `run_training`, and when no test photo of a split is rated and has an embedding.
    """
    names = match_files(splits["file"].unique(maintain_order=True).to_list(), filenames)
    found: dict[str, dict[str, Any]] = {}
    for name, listed in splits.group_by("split", maintain_order=True):
        placed = listed.with_columns(
            filename=pl.col("file").replace_strict(names, default=None, return_dtype=pl.String)
        )
        place = rows.table.with_row_index("at").join(placed, on="filename", how="inner", maintain_order="left")
        at = place["at"].to_list()
        if not (place["fold"] != TRAIN).any():
            raise TrainingRefused(f"none of the photos that the split {name[0]!r} tests is rated and has an embedding")
        metrics = run_training(
            rows.x[at],
            place["rating"].to_numpy(),
            sd=place["sd"].cast(pl.Float64).to_numpy(),
            n=place["n"].cast(pl.Float64).to_numpy(),
            image_ids=place["image_id"].to_list(),
            encoder_id=rows.encoder_id,
            fold_of=fold_numbers(place["fold"]),
            files=place["filename"].to_list(),
            **options,
        ).metrics
        kept = {key: metrics[key] for key in (*METRICS, "over_folds", "n", "measured", "folds", "interval", "linear")}
        found[str(name[0])] = {"listed": listed.height, "trained_only": int((place["fold"] == TRAIN).sum()), **kept}
    return found
