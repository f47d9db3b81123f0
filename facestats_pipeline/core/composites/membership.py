"""Finds the composites that contain an image, from the filters they were made with."""

import re
from typing import Any

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.composites.composite_filters import filter_images
from facestats_pipeline.core.composites.composite_specs import DECILE

_ONE = re.compile(r"([a-z]\w*)=(.*?)(?= [a-z]\w*=|$)")


def composites_with(composites: pl.DataFrame, row: pl.DataFrame, catalogue: Catalogue = BUILT_IN) -> list[str]:
    """Names of the made composites whose group contains the image, or may do so because the catalogue lacks an attribute of its filters.

    composites: COMPOSITES.schema. row: the image's row of master. A group larger than `composites.max_images` is sampled, so the image may
    be missing from that composite.
    """
    made = composites.filter(pl.col("status") == "made")
    if row.is_empty() or row["preproc_status"].item() != "ok":
        return []
    groups = made.select("name", "applied").iter_rows()
    return [name for name, applied in groups if _may_be_in(row, applied, catalogue)]


def _may_be_in(row: pl.DataFrame, applied: str, catalogue: Catalogue) -> bool:
    try:
        return not filter_images(row, catalogue, **parse_filters(applied, catalogue)).is_empty()
    except ValueError:  # an attribute that the settings no longer have: nothing says that the image is not in it
        return True


def parse_filters(line: str, catalogue: Catalogue = BUILT_IN) -> dict[str, Any]:
    """Parse a line written by `describe_filters` into arguments of `filter_images`. Raises ValueError for another line."""
    found = dict(_ONE.findall(line))
    if not found and line != "all":
        raise ValueError(f"{line!r} is no line of filters")
    for name, kind in (*((attribute.stem, float) for attribute in catalogue if attribute.years), (DECILE, int)):
        if name in found:
            low, _, high = found[name].partition(":")
            found[name] = (kind(low), kind(high))
    return found
