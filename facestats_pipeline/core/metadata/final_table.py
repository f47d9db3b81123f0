"""What is believed about each image, and the same beside its score."""

from collections.abc import Iterator
from functools import cache

import polars as pl

from facestats_pipeline.core.attractiveness.score_table import SCORES
from facestats_pipeline.core.attribute import UNKNOWN
from facestats_pipeline.core.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.joins import conform, join_taken
from facestats_pipeline.core.metadata.manual_table import manual_table
from facestats_pipeline.core.metadata.prediction_table import MODEL, NONE, prediction_table
from facestats_pipeline.core.tables import KEYS, Column, Table, schema_of

MANUAL = "manual"
_DECILE = SCORES.taken("attractiveness")


@cache
def final_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """attributes_final."""
    columns = (*manual_table(catalogue).keys, *_believed(catalogue), *_DECILE)
    return Table("attributes_final", "metadata/attributes_final.parquet", columns)


@cache
def scored_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """attractiveness_with_attributes."""
    final = final_table(catalogue)
    believed = final.taken(*(column.name for column in _believed(catalogue)))
    columns = (*final.keys, *SCORES.content, *believed)
    return Table("attractiveness_with_attributes", "metadata/attractiveness_with_attributes.parquet", columns)


TABLES = (final_table, scored_table)


def _believed(catalogue: Catalogue) -> Iterator[Column]:
    by_hand, by_model = manual_table(catalogue), prediction_table(catalogue)
    for one in catalogue:
        said = by_hand.sources(one.manual_column) + by_model.sources(one.predicted_column)
        yield Column(
            one.final_column, pl.String(), f"{one.name} as believed: by hand, else predicted, else unknown", said
        )
        yield Column(
            f"{one.final_column}_source",
            pl.String(),
            "manual, out_of_fold or model; none where the value is unknown",
            said + by_model.sources(f"{one.predicted_column}_kind"),
        )
        if one.rollup is not None:
            yield Column(
                f"{one.rollup.name}_final",
                pl.String(),
                f"{one.final_column} rolled up to {', '.join(one.rollup.classes)}, or unknown",
                said + by_model.sources(one.rollup.name),
            )


def attributes_final(
    with_manual: pl.DataFrame,
    with_predictions: pl.DataFrame | None,
    scores: pl.DataFrame | None,
    *,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """What is believed about each image: the manual label, else the prediction, else "unknown"; with its source and the decile.

    A source is `manual`, `out_of_fold` or `model`; it is `none` where the value is "unknown", whoever abstained. A roll-up is that of the
    final value; where that is unknown, the model's own decision in the coarser classes, which it may be sure of.
    Gives `final_table`, one row per row of `with_manual`. MergeError when a table lists an image twice.
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
            own = pl.when(pl.col(f"{one.predicted_column}_kind") == MODEL).then(one.rollup.name).fill_null(UNKNOWN)
            coarse = pl.col(one.final_column).replace_strict(dict(one.rollup.of), default=own, return_dtype=pl.String)
            frame = frame.with_columns(coarse.alias(f"{one.rollup.name}_final"))
    return conform(frame, final_table(catalogue).schema)


def attractiveness_with_attributes(
    scores: pl.DataFrame | None, final: pl.DataFrame, *, catalogue: Catalogue = BUILT_IN
) -> pl.DataFrame:
    """Scores joined to the final attributes: `scored_table`, one row per row of `final`, null scores where there is none."""
    frame = conform(final, {**KEYS, **schema_of(_believed(catalogue))})
    frame = join_taken(frame, scores, SCORES.content)
    return conform(frame, scored_table(catalogue).schema)
