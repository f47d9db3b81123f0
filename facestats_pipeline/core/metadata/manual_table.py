"""Attributes beside what people said by hand."""

from functools import cache

import polars as pl

from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.joins import conform, left_join, rows_about
from facestats_pipeline.core.metadata.manual_labels import RESOLVED_SCHEMA, SEPARATOR, ManualLabels
from facestats_pipeline.core.tables import Column, Table, schema_of


@cache
def manual_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """attributes_with_manual."""
    attributes = attribute_table(catalogue)
    columns = (*attributes.keys, *attributes.content, *_by_hand(catalogue))
    return Table("attributes_with_manual", "metadata/attributes_with_manual.parquet", columns)


TABLES = (manual_table,)


def _by_hand(catalogue: Catalogue) -> tuple[Column, ...]:
    """They come from a file of labels, not from a table."""
    said = "by hand: the value most annotators gave; null without a label or on a tie"
    return (
        *(Column(one.manual_column, pl.String(), f"{one.noun} {said}") for one in catalogue),
        Column("manual_disputed", pl.List(pl.String()), "attributes on which the annotators tie"),
        Column("annotator", pl.String(), "whose labels these are, joined by semicolons"),
        Column("labelled_at", pl.Datetime("us", "UTC"), "time of the latest of these labels, UTC"),
    )


def attributes_with_manual(
    attributes: pl.DataFrame, manual: ManualLabels | None, *, catalogue: Catalogue = BUILT_IN
) -> pl.DataFrame:
    """`attributes` left-joined to the hand labels: `manual_table`, one row per row of `attributes`.

    `annotator` names everybody whose label stands in the row, `labelled_at` is the latest of their times; `manual_disputed` lists the
    attributes on which annotators tie, whose value is null.
    """
    frame = conform(attributes, attribute_table(catalogue).schema)
    resolved = pl.DataFrame(schema=RESOLVED_SCHEMA) if manual is None else rows_about(manual.frame, frame)
    per_image = resolved.group_by("image_id").agg(
        *(
            pl.col("value").filter(pl.col("attribute") == one.name).first().alias(one.manual_column)
            for one in catalogue
        ),
        pl.col("attribute").filter(pl.col("value").is_null()).sort().alias("manual_disputed"),
        pl.col("annotator").str.split(SEPARATOR).explode().unique().sort().str.join(SEPARATOR),
        pl.col("labelled_at").max(),
    )
    frame = left_join(frame, per_image, schema_of(_by_hand(catalogue)), "the manual labels")
    undisputed = pl.lit([], dtype=pl.List(pl.String))
    return frame.with_columns(pl.col("manual_disputed").fill_null(undisputed))
