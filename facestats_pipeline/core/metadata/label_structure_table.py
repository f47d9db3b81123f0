"""The table of label vocabularies: one row per label of each attribute."""

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.tables import Column, Table

LABEL_STRUCTURE = Table(
    "fairface_label_structure",
    "metadata/fairface_label_structure.parquet",
    (
        Column("attribute", pl.String(), "name of the attribute, such as gender, ethnicity or age_bin"),
        Column("code", pl.Int32(), "number of the label within its attribute, from 0"),
        Column("label", pl.String(), "the label as it is written in every table"),
        Column("label4", pl.String(), "the ethnicity it rolls up to in ethnicity4; null for other attributes"),
        Column("age_from", pl.Int32(), "first completed year of an age bin; null for other attributes"),
        Column("age_to", pl.Int32(), "last completed year of an age bin; null for the open bin and other attributes"),
    ),
    kind="table",
)

TABLES = (LABEL_STRUCTURE,)


def label_structure(catalogue: Catalogue = BUILT_IN) -> pl.DataFrame:
    """LABEL_STRUCTURE with one row per label of each attribute.

    `code` numbers an attribute's labels from 0 in the order of the catalogue; `unknown` is no label and has no row.
    """
    rows = []
    for one in catalogue:
        for code, label in enumerate(one.classes):
            years = None if one.years is None else one.years[code]
            is_open = code == len(one.classes) - 1
            rows.append(
                {
                    "attribute": one.name,
                    "code": code,
                    "label": label,
                    "label4": None if one.rollup is None else one.rollup.of[label],
                    "age_from": None if years is None else int(years[0]),
                    "age_to": None if years is None or is_open else int(years[1]) - 1,
                }
            )
    return pl.DataFrame(rows, schema=LABEL_STRUCTURE.schema)
