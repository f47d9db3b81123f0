"""Which rows of the master table a page is about."""

from dataclasses import dataclass

import polars as pl

from facestats_pipeline.core.composites.composite_filters import AgeRange, DecileRange, filter_images
from facestats_pipeline.core.composites.composite_specs import describe_filters

FLAGGED, NOT_FLAGGED = "any flag", "no flag"


@dataclass(frozen=True)
class Filters:
    """The filters of composites, and what only looking around needs; None, or an empty name, is no filter.

    `flag` is FLAGGED, NOT_FLAGGED, or one reason out of core.metadata.flag_table; `name` is a part of the file name.
    """

    gender: str | None = None
    ethnicity: str | None = None
    age: AgeRange | None = None
    decile: DecileRange | None = None
    cluster: int | None = None
    flag: str | None = None
    name: str = ""

    def apply(self, master: pl.LazyFrame) -> pl.LazyFrame:
        """The rows that satisfy all of them, lazily."""
        rows = filter_images(master, gender=self.gender, ethnicity=self.ethnicity, age=self.age, decile=self.decile)
        if self.cluster is not None:
            rows = rows.filter(pl.col("cluster") == self.cluster)
        if self.flag in (FLAGGED, NOT_FLAGGED):
            rows = rows.filter(pl.col("flagged").fill_null(False) == (self.flag == FLAGGED))
        elif self.flag is not None:
            rows = rows.filter(pl.col("reasons").list.contains(self.flag))
        if self.name:
            rows = rows.filter(pl.col("filename").str.to_lowercase().str.contains(self.name.lower(), literal=True))
        return rows

    def describe(self) -> str:
        """The filters in one line; `all` where there is none."""
        core = describe_filters(self.gender, self.ethnicity, self.age, self.decile)
        parts = [] if core == "all" else [core]
        parts += [f"cluster={self.cluster}"] if self.cluster is not None else []
        parts += [f"flag={self.flag}"] if self.flag else []
        parts += [f"name contains {self.name!r}"] if self.name else []
        return " ".join(parts) or "all"


EVERYTHING = Filters()
