"""The input of the bias audit: people's labels and ratings joined to out-of-fold predictions."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.reports.bias import Audit
from facestats_pipeline.core.user_files.name_match import match_files

RATED_SCHEMA: dict[str, pl.DataType] = {
    "image_id": pl.String(),
    "rating": pl.Float32(),
    "rated_score": pl.Float32(),
    "rated_lo": pl.Float32(),
    "rated_hi": pl.Float32(),
}
"""People's mean rating of a photo, with the out-of-fold score and interval of the regressor."""


def audited_columns(catalogue: Catalogue = BUILT_IN) -> tuple[str, ...]:
    """Columns of master that an audit reads: a tenth of its bytes."""
    said = (f"{a.predicted_column}{ending}" for a in catalogue for ending in ("", "_p", "_kind"))
    years = (name for a in catalogue for name in a.year_columns)
    return ("image_id", "filename", "attractiveness_raw", *said, *years)


def audit_frame(
    master: pl.DataFrame,
    labels: pl.DataFrame,
    rated: pl.DataFrame | None = None,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """The labelled rows of `master` (with its `audited_columns`), joined to their labels.

    A column with an attribute's name holds its labels, `age_years` the labels in years. predicted_*, predicted_age with its interval, and
    the columns of `rated` (RATED_SCHEMA) are out of fold or null. attractiveness_raw is the score, also of training rows.
    """
    matched = match_files(labels["file"].to_list(), master["filename"].to_list())
    names = pl.DataFrame(
        {"file": list(matched), "filename": list(matched.values())}, schema={"file": pl.String, "filename": pl.String}
    )
    aged = [attribute for attribute in catalogue if attribute.years]
    known_years = {f"{attribute.stem}_years": attribute.stem for attribute in aged}
    truth = labels.join(names, on="file").select("filename", *catalogue.names, **known_years)
    years = {f"predicted_{name}": name for attribute in aged for name in attribute.year_columns}
    said = [name for name in audited_columns(catalogue) if name not in years.values()]
    frame = master.select(*said, **years).join(truth, on="filename", how="inner", maintain_order="left")
    held_out = []
    for attribute in catalogue:
        is_held_out = pl.col(f"{attribute.predicted_column}_kind") == "out_of_fold"
        predicted = (attribute.predicted_column, f"{attribute.predicted_column}_p")
        # `attributes` already has out-of-fold years for the age model's training rows.
        for name in (*predicted, *(f"predicted_{column}" for column in attribute.year_columns)):
            held_out.append(pl.when(is_held_out).then(pl.col(name)).alias(name))
    frame = frame.with_columns(held_out)
    return frame.join(pl.DataFrame(schema=RATED_SCHEMA) if rated is None else rated, on="image_id", how="left")


def rated_frame(checkpoint: Mapping[str, Any] | None) -> pl.DataFrame:
    """RATED_SCHEMA from a regressor's checkpoint: its out-of-fold scores. No rows without a regressor or without stored scores."""
    if checkpoint is None or "oof" not in checkpoint:
        return pl.DataFrame(schema=RATED_SCHEMA)
    table = pl.DataFrame({"image_id": checkpoint["image_ids"], **checkpoint["oof"]}).drop_nulls("score")
    low, high = pl.col("score") - pl.col("reach"), pl.col("score") + pl.col("reach")
    named = table.select("image_id", "rating", rated_score="score", rated_lo=low, rated_hi=high)
    return named.cast(pl.Schema(RATED_SCHEMA))  # type: ignore[arg-type]


def audits_for(frame: pl.DataFrame, catalogue: Catalogue = BUILT_IN) -> list[Audit]:
    """The possible audits: each attribute, and years, with both labels and predictions; the score against ratings; the mean score."""
    audits = [
        Audit(each.name, each.predicted_column, each.name, f"{each.predicted_column}_p")
        for each in catalogue
        if _both(frame, each.name, each.predicted_column)
    ]
    for each in catalogue:
        years, predicted = f"{each.stem}_years", [f"predicted_{name}" for name in each.year_columns]
        if audits and predicted and _both(frame, years, predicted[0]):
            audits.append(Audit(each.stem, predicted[0], years, kind="number", low=predicted[1], high=predicted[2]))
    if _both(frame, "rating", "rated_score"):
        interval = {"low": "rated_lo", "high": "rated_hi"}
        audits.append(Audit("attractiveness", "rated_score", "rating", kind="number", **interval))
    if audits and frame["attractiveness_raw"].drop_nulls().len():
        audits.append(Audit("attractiveness", "attractiveness_raw", kind="number"))
    return audits


def _both(frame: pl.DataFrame, truth: str, prediction: str) -> bool:
    return not frame.filter(pl.col(truth).is_not_null() & pl.col(prediction).is_not_null()).is_empty()
