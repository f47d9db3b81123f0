"""Which photos go into a composite, and what had to be relaxed to find enough of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import polars as pl

from facestats_pipeline.core.composites.composite_specs import (
    DEFAULT_FLOOR,
    CompositeRefused,
    check_filters,
    describe_filters,
)
from facestats_pipeline.core.labels.vocabulary import AGE_BINS, AGE_EDGES

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

AgeRange = tuple[float, float]
DecileRange = tuple[int, int]

AGE_STEPS = (5, 10)
"""Years by which an age range is widened on both sides, in this order, before the age filter is dropped."""


@dataclass(frozen=True)
class FilterResult:
    """Photos for a composite.

    Attributes:
        frame: the rows of the master that are used.
        asked: the filters as asked, one line.
        applied: the filters that `frame` satisfies, one line.
        filters: the same as arguments of `filter_images`.
        relaxed: what was given up, one sentence each; empty when everything asked was kept.
        n_asked: rows that satisfy the filters as asked.
        n: rows of `frame`.
    """

    frame: pl.DataFrame
    asked: str
    applied: str
    filters: dict[str, Any]
    relaxed: list[str]
    n_asked: int
    n: int


def filter_images(
    master: Frame,
    *,
    gender: str | None = None,
    ethnicity: str | None = None,
    age: AgeRange | None = None,
    decile: DecileRange | None = None,
) -> Frame:
    """The rows of `master` that satisfy every filter given, and no others; lazy in, lazy out.

    `unknown` and null never match a filter. Age is in completed years, both ends included. The final age bin decides wherever it
    lies wholly inside or outside the range, since it may be a human label; only a bin that the range cuts through is decided by
    `age` in years.

    Raises:
        ValueError: for a value outside the vocabulary or a reversed range.
    """
    check_filters(gender, ethnicity, age, decile)
    conditions = []
    if gender is not None:
        conditions.append(pl.col("gender_final") == gender)
    if ethnicity is not None:
        conditions.append(pl.col("ethnicity_final") == ethnicity)
    if age is not None:
        conditions.append(_age_condition(age))
    if decile is not None:
        conditions.append(pl.col("attractiveness").is_between(*decile))
    return master.filter(*conditions) if conditions else master


def filter_faces(
    master: pl.DataFrame | pl.LazyFrame,
    *,
    gender: str | None = None,
    ethnicity: str | None = None,
    age: AgeRange | None = None,
    decile: DecileRange | None = None,
    min_n: int = DEFAULT_FLOOR,
    strict: bool = False,
) -> FilterResult:
    """Rows for a composite: as asked where at least `min_n` match, else with filters relaxed one step at a time.

    The order: the decile range grows by one on both sides until it is 1–10, then goes; the age range grows by 5 and by 10 years
    on both sides, then goes; ethnicity goes; gender goes. The first step that leaves `min_n` rows is taken, and `relaxed` names
    everything that was given up on the way.

    Raises:
        CompositeRefused: with `strict` as soon as a filter would have to be relaxed; without it when even all rows are too few.
        ValueError: for a value outside the vocabulary or a reversed range.
    """
    table = master.collect() if isinstance(master, pl.LazyFrame) else master
    asked = _Filters(gender, ethnicity, age, decile)
    n_asked = filter_images(table, **asked.arguments).height
    wanted = describe_filters(**asked.arguments)
    if strict and n_asked < min_n:
        raise CompositeRefused(
            f"{n_asked} photos match {wanted}; at least {min_n} are needed and no filter may be relaxed"
        )
    for candidate in _ladder(asked):
        frame = filter_images(table, **candidate.arguments)
        if frame.height >= min_n:
            relaxed = _differences(asked, candidate)
            kept = candidate.arguments
            return FilterResult(frame, wanted, describe_filters(**kept), kept, relaxed, n_asked, frame.height)
    raise CompositeRefused(f"there are {table.height} usable photos in all; at least {min_n} are needed")


@dataclass(frozen=True)
class _Filters:
    gender: str | None
    ethnicity: str | None
    age: AgeRange | None
    decile: DecileRange | None

    @property
    def arguments(self) -> dict[str, Any]:
        return dict(self.__dict__)


def _ladder(asked: _Filters) -> Iterator[_Filters]:
    """The filters as asked, then each further relaxation, every one at least as wide as the last."""
    current = asked
    yield current
    while current.decile is not None:
        low, high = current.decile
        wider = (max(1, low - 1), min(10, high + 1))
        current = replace(current, decile=None if wider == current.decile else wider)
        yield current
    if asked.age is not None:
        for years in AGE_STEPS:
            current = replace(current, age=(max(0, asked.age[0] - years), asked.age[1] + years))
            yield current
        current = replace(current, age=None)
        yield current
    for name in ("ethnicity", "gender"):
        if getattr(current, name) is not None:
            current = replace(current, **{name: None})
            yield current


def _differences(asked: _Filters, applied: _Filters) -> list[str]:
    """One sentence for each filter that is no longer what was asked."""
    sentences = []
    for name in ("decile", "age", "ethnicity", "gender"):
        before, after = getattr(asked, name), getattr(applied, name)
        if before == after:
            continue
        was = describe_filters(**{name: before})
        sentences.append(f"{was} dropped" if after is None else f"{was} widened to {describe_filters(**{name: after})}")
    return sentences


def _age_condition(age: AgeRange) -> pl.Expr:
    low, high = age
    inside, cut = [], []
    for age_bin, (start, end) in zip(AGE_BINS, AGE_EDGES, strict=True):
        if low <= start and end <= high + 1:
            inside.append(age_bin)
        elif low < end and start < high + 1:
            cut.append(age_bin)
    years = pl.col("age").is_between(low, high + 1, closed="left")  # completed years: 29.9 is 29
    return pl.col("age_bin_final").is_in(inside) | (pl.col("age_bin_final").is_in(cut) & years)
