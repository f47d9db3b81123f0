"""The table of attributes with detection, image quality and face geometry."""

from functools import cache

import polars as pl

from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.joins import conform, join_taken
from facestats_pipeline.core.preproc.geometry_table import GEOMETRY
from facestats_pipeline.core.preproc.preproc_table import DETECTION
from facestats_pipeline.core.preproc.quality_table import IMAGE_QUALITY
from facestats_pipeline.core.tables import Table


@cache
def meta_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of attributes_with_meta."""
    attributes = attribute_table(catalogue)
    return Table(
        "attributes_with_meta",
        "metadata/attributes_with_meta.parquet",
        (*attributes.keys, *attributes.content, *DETECTION, *IMAGE_QUALITY.content, *GEOMETRY),
    )


TABLES = (meta_table,)


def attributes_with_meta(
    attributes: pl.DataFrame,
    preproc: pl.DataFrame | None,
    quality: pl.DataFrame | None,
    geometry: pl.DataFrame | None,
    *,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """`attributes` joined to detection, quality and the scalar measures of face geometry: `meta_table`, one row per row of `attributes`.

    A missing table (no landmark model) gives null columns. Raises MergeError when a table lists an image twice.
    """
    frame = conform(attributes, attribute_table(catalogue).schema)
    frame = join_taken(frame, preproc, DETECTION)
    frame = join_taken(frame, quality, IMAGE_QUALITY.content)
    return join_taken(frame, geometry, GEOMETRY)
