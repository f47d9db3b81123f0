"""The table of attributes with hand labels."""

from functools import cache

import polars as pl

from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.joins import conform, left_join, rows_about
from facestats_pipeline.core.metadata.manual_labels import RESOLVED_SCHEMA, SEPARATOR, ManualLabels
from facestats_pipeline.core.tables import Column, Table, schema_of


@cache
def manual_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of attributes_with_manual."""
    attributes = attribute_table(catalogue)
    columns = (*attributes.keys, *attributes.content, *_by_hand(catalogue))
    return Table("attributes_with_manual", "metadata/attributes_with_manual.parquet", columns)


TABLES = (manual_table,)


def _by_hand(catalogue: Catalogue) -> tuple[Column, ...]:
    """The columns from the hand labels. They have no sources, because they come from a user file, not from a table."""
    text = "by hand: the value that most annotators gave; null without a label or on a tie"
    return (
        *(Column(one.manual_column, pl.String(), f"{one.noun} {text}") for one in catalogue),
        Column("manual_disputed", pl.List(pl.String()), "attributes on which the annotators tie"),
        Column("annotator", pl.String(), "names of the annotators, joined by semicolons"),
        Column("labelled_at", pl.Datetime("us", "UTC"), "time of the latest of these labels, UTC"),
    )


def attributes_with_manual(
    attributes: pl.DataFrame, manual: ManualLabels | None, *, catalogue: Catalogue = BUILT_IN
) -> pl.DataFrame:
    """`attributes` left-joined to the hand labels: `manual_table`, one row per row of `attributes`.

    `annotator` lists the people behind the row's labels, `labelled_at` is their latest time. `manual_disputed` lists the attributes on
    which annotators tie; their value is null.
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
