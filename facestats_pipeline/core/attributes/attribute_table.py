"""The attributes table: one row per preprocessed image, with the models' decision on each attribute."""

from collections.abc import Iterator
from functools import cache

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.embeddings.embedding_table import EMBEDDINGS
from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.tables import Column, Schema, Table

OOF_SCHEMA: Schema = {"image_id": pl.String(), "attribute": pl.String(), "value": pl.String(), "p": pl.Float32()}
"""Out-of-fold predictions of probes for their training rows: the most probable class and its probability p."""

_FROM = EMBEDDINGS.sources("embedding", "model_id") + PREPROC.sources("status")


@cache
def attribute_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification: decisions of all attributes, then most probable classes, probabilities, years, and sources."""
    columns = (*_decisions(catalogue), *_most_probable(catalogue), *_years(catalogue), *_deciders(catalogue))
    table_columns = tuple(Column(name, dtype, text, _FROM) for name, dtype, text in columns)
    return Table("attributes", "metadata/attributes.parquet", (*PREPROC.keys, *table_columns))


TABLES = (attribute_table,)

_ColumnText = tuple[str, pl.DataType, str]


def _decisions(catalogue: Catalogue) -> Iterator[_ColumnText]:
    for one in catalogue:
        yield one.name, pl.String(), f"{one.description} as decided by the model, or unknown if it abstains"
        if one.rollup is not None:
            yield one.rollup.name, pl.String(), f"{one.noun} rolled up to {', '.join(one.rollup.classes)}, or unknown"


def _most_probable(catalogue: Catalogue) -> Iterator[_ColumnText]:
    for one in catalogue:
        text = f"the most probable {one.noun}, even if the model abstains; null without a model or a face"
        yield one.top_column, pl.String(), text
    for one in catalogue:
        yield one.p_column, pl.Float32(), f"calibrated probability of {one.top_column}"


def _years(catalogue: Catalogue) -> Iterator[_ColumnText]:
    for one in catalogue:
        if one.year_columns:
            name, low, high = one.year_columns
            text = f"estimated {name} in years; out of fold for photos that the {name} model was trained on"
            yield name, pl.Float32(), f"{text}; null without a model or a face"
            yield low, pl.Float32(), f"lower end of the conformal interval of {name}, years"
            yield high, pl.Float32(), f"upper end of the conformal interval of {name}, years"


def _deciders(catalogue: Catalogue) -> Iterator[_ColumnText]:
    for one in catalogue:
        decided = " and ".join((one.name, *one.year_columns[:1]))
        yield one.source_column, pl.String(), f"model that decided {decided}: shipped, probe, zeroshot or none"
