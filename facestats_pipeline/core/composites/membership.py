"""Finds the composites that contain an image, from the filters they were made with."""

import re
from typing import Any

import polars as pl

from facestats_pipeline.core.composites.composite_filters import filter_images

_ONE = re.compile(r"(gender|ethnicity|age|decile)=(.*?)(?= (?:gender|ethnicity|age|decile)=|$)")


def composites_with(composites: pl.DataFrame, row: pl.DataFrame) -> list[str]:
    """Names of the made composites whose group contains the image.

    composites: COMPOSITES.schema. row: the image's row of master. A group larger than `composites.max_images` is sampled, so the image may
    be missing from that composite.
    """
    made = composites.filter(pl.col("status") == "made")
    if row.is_empty() or row["preproc_status"].item() != "ok":
        return []
    groups = made.select("name", "applied").iter_rows()
    return [name for name, applied in groups if not filter_images(row, **parse_filters(applied)).is_empty()]


def parse_filters(line: str) -> dict[str, Any]:
    """Parse a line written by `describe_filters` into arguments of `filter_images`. Raises ValueError for another line."""
    found = dict(_ONE.findall(line))
    if not found and line != "all":
        raise ValueError(f"{line!r} is no line of filters")
    for name, kind in (("age", float), ("decile", int)):
        if name in found:
            low, _, high = found[name].partition(":")
            found[name] = (kind(low), kind(high))
    return found
