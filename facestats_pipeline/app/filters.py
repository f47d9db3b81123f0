"""Filters that select the rows of the master table that a page shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.composites.composite_filters import filter_images
from facestats_pipeline.core.composites.composite_specs import describe_filters

FLAGGED, NOT_FLAGGED = "any flag", "no flag"


@dataclass(frozen=True)
class Filters:
    """The filters of composites, and those that only the dashboard has. None, or an empty name, means no filter.

    `group` is what `filter_images` takes: attribute → class, age and decile → range. `flag` is FLAGGED, NOT_FLAGGED, or one of
    `flag_table.reasons_of`; `name` is a part of the file name.
    """

    group: Mapping[str, Any] = field(default_factory=dict)
    cluster: int | None = None
    flag: str | None = None
    name: str = ""

    def apply(self, master: pl.LazyFrame, catalogue: Catalogue = BUILT_IN) -> pl.LazyFrame:
        """The rows that satisfy all filters, lazily."""
        rows = filter_images(master, catalogue, **self.group)
        if self.cluster is not None:
            rows = rows.filter(pl.col("cluster") == self.cluster)
        if self.flag in (FLAGGED, NOT_FLAGGED):
            rows = rows.filter(pl.col("flagged").fill_null(False) == (self.flag == FLAGGED))
        elif self.flag is not None:
            rows = rows.filter(pl.col("reasons").list.contains(self.flag))
        if self.name:
            rows = rows.filter(pl.col("filename").str.to_lowercase().str.contains(self.name.lower(), literal=True))
        return rows

    def describe(self, catalogue: Catalogue = BUILT_IN) -> str:
        """The filters in one line; `all` if there is none."""
        core = describe_filters(self.group, catalogue)
        parts = [] if core == "all" else [core]
        parts += [f"cluster={self.cluster}"] if self.cluster is not None else []
        parts += [f"flag={self.flag}"] if self.flag else []
        parts += [f"name contains {self.name!r}"] if self.name else []
        return " ".join(parts) or "all"


EVERYTHING = Filters()
