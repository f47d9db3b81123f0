"""The table of attributes with unbiased predictions: no model predicts a row that it was trained on."""

from collections.abc import Iterator, Mapping
from functools import cache

import polars as pl

from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.attributes.attribute_table import OOF_SCHEMA, attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.joins import conform, left_join, rows_about
from facestats_pipeline.core.tables import Column, Schema, Table

OUT_OF_FOLD, MODEL, NONE = "out_of_fold", "model", "none"
_FOLD: Schema = {"_value": pl.String(), "_p": pl.Float32(), "_seen": pl.Boolean()}


@cache
def prediction_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of attributes_with_predictions."""
    attributes = attribute_table(catalogue)
    columns = (*attributes.keys, *attributes.content, *_predictions(catalogue))
    return Table("attributes_with_predictions", "metadata/attributes_with_predictions.parquet", columns)


TABLES = (prediction_table,)


def _predictions(catalogue: Catalogue) -> Iterator[Column]:
    attributes = attribute_table(catalogue)
    for one in catalogue:
        name, source = one.predicted_column, attributes.sources(one.source_column)
        unseen = f"{one.name} predicted by a model that did not see this image's label, or unknown if it abstains; null without a model"
        kinds = "out_of_fold (the image has a label that its fold's model did not see), model (no label), or none"
        yield Column(name, pl.String(), unseen, attributes.sources(one.name) + source)
        yield Column(
            f"{name}_p",
            pl.Float32(),
            f"that model's calibrated probability of its most probable {one.name}",
            attributes.sources(one.p_column) + source,
        )
        yield Column(f"{name}_kind", pl.String(), kinds, source)
    yield Column(
        "prediction_kind",
        pl.String(),
        "out_of_fold if it is for any attribute, else model if it is for any, else none",
        attributes.sources(*(one.source_column for one in catalogue)),
    )


def attributes_with_predictions(
    attributes: pl.DataFrame,
    oof: pl.DataFrame | None,
    *,
    seen: pl.DataFrame | None = None,
    thresholds: Mapping[str, float] | None = None,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """`attributes` with a prediction of each attribute by a model that was not trained on the row: `prediction_table`.

    oof: image_id, attribute, value (or "unknown", or null), p: the out-of-fold prediction of each labelled row. seen: image_id,
    attribute of further training rows, which have no out-of-fold prediction. A row in either gets its out-of-fold value or none; any
    other row gets the model's own decision. thresholds: attribute → the lowest p at which its model answers. An out-of-fold value below
    it becomes "unknown", so labelled rows abstain by the same rule as others.

    Raises ValueError for an attribute outside the catalogue, and MergeError when `oof` predicts an image twice.
    """
    frame = conform(attributes, attribute_table(catalogue).schema)
    oof = conform(pl.DataFrame() if oof is None else oof, OOF_SCHEMA)
    for table in [oof] if seen is None else [oof, seen]:
        if strange := set(table["attribute"].unique()) - set(catalogue.names):
            known = ", ".join(catalogue.names)
            raise ValueError(f"predictions of {sorted(map(str, strange))}; the attributes are {known}")
    oof, seen = rows_about(oof, frame), None if seen is None else rows_about(seen, frame)
    if seen is not None:
        unpredicted = seen.select("image_id", "attribute").unique().join(oof, on=["image_id", "attribute"], how="anti")
        oof = pl.concat([oof, conform(unpredicted, OOF_SCHEMA)])
    for one in catalogue:
        doubtful = pl.col("value").is_not_null() & (pl.col("p") < (thresholds or {}).get(one.name, 0.0))
        folds = oof.filter(pl.col("attribute") == one.name).select(
            "image_id",
            pl.when(doubtful).then(pl.lit(UNKNOWN)).otherwise("value").alias("_value"),
            pl.col("p").alias("_p"),
            pl.lit(True).alias("_seen"),
        )
        frame = left_join(frame, folds, _FOLD, f"the out-of-fold predictions of {one.name}")
        is_seen = pl.col("_seen").fill_null(False)
        # A training row never gets the model's own decision: that would be a fit, not a prediction.
        by_model = ~is_seen & (pl.col(one.source_column) != NONE).fill_null(False)
        kind = (
            pl.when(is_seen & pl.col("_value").is_not_null())
            .then(pl.lit(OUT_OF_FOLD))
            .when(by_model)
            .then(pl.lit(MODEL))
            .otherwise(pl.lit(NONE))
        )
        name = one.predicted_column
        frame = frame.with_columns(
            pl.when(is_seen).then("_value").when(by_model).then(one.name).alias(name),
            pl.when(is_seen).then("_p").when(by_model).then(one.p_column).alias(f"{name}_p"),
            kind.alias(f"{name}_kind"),
        ).drop(_FOLD)
    kinds = [pl.col(f"{one.predicted_column}_kind") for one in catalogue]
    overall = (
        pl.when(pl.any_horizontal(kind == OUT_OF_FOLD for kind in kinds))
        .then(pl.lit(OUT_OF_FOLD))
        .when(pl.any_horizontal(kind == MODEL for kind in kinds))
        .then(pl.lit(MODEL))
        .otherwise(pl.lit(NONE))
    )
    return conform(frame.with_columns(overall.alias("prediction_kind")), prediction_table(catalogue).schema)
