"""What the bias audit looks at: people's labels and ratings beside predictions by models that had not seen them."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from facestats_pipeline.core.labels.vocabulary import ATTRIBUTES
from facestats_pipeline.core.reports.bias import Audit
from facestats_pipeline.core.user_files.name_match import match_files

_CONFIDENCE = {attribute: f"predicted_{attribute}_p" for attribute in ATTRIBUTES}
_YEARS = ("age", "age_lo", "age_hi")
_SAID = tuple(f"predicted_{attribute}{ending}" for attribute in ATTRIBUTES for ending in ("", "_p", "_kind"))
AUDITED = ("image_id", "filename", "attractiveness_raw", *_SAID, *_YEARS)
"""Columns of master that an audit reads: a tenth of its bytes."""
RATED_SCHEMA: dict[str, pl.DataType] = {
    "image_id": pl.String(),
    "rating": pl.Float32(),
    "rated_score": pl.Float32(),
    "rated_lo": pl.Float32(),
    "rated_hi": pl.Float32(),
}
"""People's mean rating of a photo beside the score and interval of a regressor that had not seen it."""


def audit_frame(master: pl.DataFrame, labels: pl.DataFrame, rated: pl.DataFrame | None = None) -> pl.DataFrame:
    """Rows of `master` (its columns AUDITED) that have a label.

    gender, ethnicity, age_bin and age_years are the labels; predicted_*, predicted_age with its interval and the columns of `rated`
    (RATED_SCHEMA) are out of fold or null; attractiveness_raw is the score as it is.
    """
    matched = match_files(labels["file"].to_list(), master["filename"].to_list())
    names = pl.DataFrame(
        {"file": list(matched), "filename": list(matched.values())}, schema={"file": pl.String, "filename": pl.String}
    )
    truth = labels.join(names, on="file").select("filename", "gender", "ethnicity", "age_bin", age_years="age")
    years = [pl.col(name).alias(f"predicted_{name}") for name in _YEARS]
    frame = master.select("image_id", "filename", "attractiveness_raw", *_SAID, *years)
    frame = frame.join(truth, on="filename", how="inner", maintain_order="left")
    held_out = {a: pl.col(f"predicted_{a}_kind") == "out_of_fold" for a in ATTRIBUTES}
    frame = frame.with_columns(
        pl.when(held_out[a]).then(pl.col(f"predicted_{a}{ending}")).alias(f"predicted_{a}{ending}")
        for a in ATTRIBUTES
        for ending in ("", "_p")
    ).with_columns(
        # `attributes` has out-of-fold years for the rows that the age model learned from.
        pl.when(held_out["age_bin"]).then(pl.col(f"predicted_{name}")).alias(f"predicted_{name}")
        for name in _YEARS
    )
    return frame.join(pl.DataFrame(schema=RATED_SCHEMA) if rated is None else rated, on="image_id", how="left")


def rated_frame(checkpoint: Mapping[str, Any] | None) -> pl.DataFrame:
    """RATED_SCHEMA of a regressor's checkpoint: its out-of-fold scores; no rows without a regressor, or by one that kept none."""
    if checkpoint is None or "oof" not in checkpoint:
        return pl.DataFrame(schema=RATED_SCHEMA)
    table = pl.DataFrame({"image_id": checkpoint["image_ids"], **checkpoint["oof"]}).drop_nulls("score")
    low, high = pl.col("score") - pl.col("reach"), pl.col("score") + pl.col("reach")
    named = table.select("image_id", "rating", rated_score="score", rated_lo=low, rated_hi=high)
    return named.cast(pl.Schema(RATED_SCHEMA))  # type: ignore[arg-type]


def audits_for(frame: pl.DataFrame) -> list[Audit]:
    """An audit for each attribute and for years where there are both labels and predictions, and of the score: against ratings where
    there are any, else of its mean alone."""
    audits = [
        Audit(attribute, f"predicted_{attribute}", attribute, _CONFIDENCE[attribute])
        for attribute in ATTRIBUTES
        if _both(frame, attribute, f"predicted_{attribute}")
    ]
    if audits and _both(frame, "age_years", "predicted_age"):
        interval = {"low": "predicted_age_lo", "high": "predicted_age_hi"}
        audits.append(Audit("age", "predicted_age", "age_years", kind="number", **interval))
    if _both(frame, "rating", "rated_score"):
        interval = {"low": "rated_lo", "high": "rated_hi"}
        audits.append(Audit("attractiveness", "rated_score", "rating", kind="number", **interval))
    if audits and frame["attractiveness_raw"].drop_nulls().len():
        audits.append(Audit("attractiveness", "attractiveness_raw", kind="number"))
    return audits


def _both(frame: pl.DataFrame, truth: str, prediction: str) -> bool:
    return not frame.filter(pl.col(truth).is_not_null() & pl.col(prediction).is_not_null()).is_empty()
