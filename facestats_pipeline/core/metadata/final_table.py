"""The tables of final values: the final value of each attribute, and the same joined to the score."""

from collections.abc import Iterator
from functools import cache

import polars as pl

from facestats_pipeline.core.attractiveness.score_table import SCORES
from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.joins import conform, join_taken
from facestats_pipeline.core.metadata.manual_table import manual_table
from facestats_pipeline.core.metadata.prediction_table import MODEL, NONE, prediction_table
from facestats_pipeline.core.tables import KEYS, Column, Table, schema_of

MANUAL = "manual"
_DECILE = SCORES.taken("attractiveness")


@cache
def final_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of attributes_final."""
    columns = (*manual_table(catalogue).keys, *_final_columns(catalogue), *_DECILE)
    return Table("attributes_final", "metadata/attributes_final.parquet", columns)


@cache
def scored_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of attractiveness_with_attributes."""
    final = final_table(catalogue)
    finals = final.taken(*(column.name for column in _final_columns(catalogue)))
    columns = (*final.keys, *SCORES.content, *finals)
    return Table("attractiveness_with_attributes", "metadata/attractiveness_with_attributes.parquet", columns)


TABLES = (final_table, scored_table)


def _final_columns(catalogue: Catalogue) -> Iterator[Column]:
    by_hand, by_model = manual_table(catalogue), prediction_table(catalogue)
    for one in catalogue:
        origin = by_hand.sources(one.manual_column) + by_model.sources(one.predicted_column)
        yield Column(
            one.final_column, pl.String(), f"final {one.name}: hand label, else prediction, else unknown", origin
        )
        yield Column(
            f"{one.final_column}_source",
            pl.String(),
            "manual, out_of_fold or model; none if the value is unknown",
            origin + by_model.sources(f"{one.predicted_column}_kind"),
        )
        if one.rollup is not None:
            yield Column(
                f"{one.rollup.name}_final",
                pl.String(),
                f"{one.final_column} rolled up to {', '.join(one.rollup.classes)}, or unknown",
                origin + by_model.sources(one.rollup.name),
            )


def attributes_final(
    with_manual: pl.DataFrame,
    with_predictions: pl.DataFrame | None,
    scores: pl.DataFrame | None,
    *,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """The final values: the hand label, else the prediction, else "unknown", with their source and the decile of the score.

    The source is `manual`, `out_of_fold` or `model`, and `none` for "unknown". A roll-up follows the final value; if that is unknown, it is
    the model's own decision in the coarser classes, which may still be sure enough.
    Returns `final_table`, one row per row of `with_manual`. Raises MergeError when a table lists an image twice.
    """
    frame = conform(with_manual, {**KEYS, **{one.manual_column: pl.String() for one in catalogue}})
    needed = [name for name in final_table(catalogue).reads["attributes_with_predictions"] if name != "image_id"]
    frame = join_taken(frame, with_predictions, prediction_table(catalogue).taken(*needed))
    frame = join_taken(frame, scores, _DECILE)
    for one in catalogue:
        by_hand, predicted = pl.col(one.manual_column), pl.col(one.predicted_column)
        known = predicted.is_not_null() & (predicted != UNKNOWN)
        frame = frame.with_columns(
            pl.coalesce(by_hand, predicted, pl.lit(UNKNOWN)).alias(one.final_column),
            pl.when(by_hand.is_not_null())
            .then(pl.lit(MANUAL))
            .when(known)
            .then(f"{one.predicted_column}_kind")
            .otherwise(pl.lit(NONE))
            .alias(f"{one.final_column}_source"),
        )
        if one.rollup is not None:
            # A model may be sure of the coarse class when it abstains on the fine one; an out-of-fold row has no such decision.
            own = pl.when(pl.col(f"{one.predicted_column}_kind") == MODEL).then(one.rollup.name).fill_null(UNKNOWN)
            coarse = pl.col(one.final_column).replace_strict(dict(one.rollup.of), default=own, return_dtype=pl.String)
            frame = frame.with_columns(coarse.alias(f"{one.rollup.name}_final"))
    return conform(frame, final_table(catalogue).schema)


def attractiveness_with_attributes(
    scores: pl.DataFrame | None, final: pl.DataFrame, *, catalogue: Catalogue = BUILT_IN
) -> pl.DataFrame:
    """The final attributes joined to scores: `scored_table`, one row per row of `final`; null without a score."""
    frame = conform(final, {**KEYS, **schema_of(_final_columns(catalogue))})
    frame = join_taken(frame, scores, SCORES.content)
    return conform(frame, scored_table(catalogue).schema)
