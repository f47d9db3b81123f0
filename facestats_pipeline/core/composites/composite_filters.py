"""Which photos go into a composite, and what had to be relaxed to find enough of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import polars as pl

from facestats_pipeline.core.attributes.attribute import Attribute
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.composites.composite_specs import (
    DECILE,
    DEFAULT_FLOOR,
    CompositeRefused,
    check_filters,
    describe_filters,
)

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

AgeRange = tuple[float, float]
DecileRange = tuple[int, int]
Filters = dict[str, Any]
"""Attribute → class, age → AgeRange, decile → DecileRange."""

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
    filters: Filters
    relaxed: list[str]
    n_asked: int
    n: int


def filter_images(master: Frame, catalogue: Catalogue = BUILT_IN, /, **filters: Any) -> Frame:
    """The rows of `master` that satisfy every filter given, and no others; lazy in, lazy out.

    Filters: attribute=class, age=(lowest, highest), decile=(lowest, highest); None is no filter.
    `unknown` and null never match a filter. Age is in completed years, both ends included. The final age bin decides wherever it
    lies wholly inside or outside the range, since it may be a human label; only a bin that the range cuts through is decided by
    `age` in years.

    Raises:
        ValueError: for a value outside the vocabulary or a reversed range.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    check_filters(given, catalogue)
    conditions = []
    for attribute in catalogue:
        if attribute.years is not None and attribute.stem in given:
            conditions.append(_years_condition(attribute, given[attribute.stem]))
        elif attribute.years is None and attribute.name in given:
            conditions.append(pl.col(attribute.final_column) == given[attribute.name])
    if DECILE in given:
        conditions.append(pl.col("attractiveness").is_between(*given[DECILE]))
    return master.filter(*conditions) if conditions else master


def filter_columns(catalogue: Catalogue = BUILT_IN) -> tuple[str, ...]:
    """Columns of master that filters look at."""
    finals = (attribute.final_column for attribute in catalogue)
    return (*finals, *(attribute.stem for attribute in catalogue if attribute.years), "attractiveness")


def filter_faces(
    master: pl.DataFrame | pl.LazyFrame,
    catalogue: Catalogue = BUILT_IN,
    /,
    *,
    min_n: int = DEFAULT_FLOOR,
    strict: bool = False,
    **filters: Any,
) -> FilterResult:
    """Rows for a composite: as asked where at least `min_n` match, else with filters relaxed one step at a time.

    The order: the decile range grows by one on both sides until it is 1–10, then goes; the age range grows by 5 and by 10 years
    on both sides, then goes; the other attributes go, the last of the catalogue first (ethnicity before gender). The first step that
    leaves `min_n` rows is taken, and `relaxed` names everything that was given up on the way.

    Raises:
        CompositeRefused: with `strict` as soon as a filter would have to be relaxed; without it when even all rows are too few.
        ValueError: for a value outside the vocabulary or a reversed range.
    """
    table = master.collect() if isinstance(master, pl.LazyFrame) else master
    asked = {name: value for name, value in filters.items() if value is not None}
    n_asked = filter_images(table, catalogue, **asked).height
    wanted = describe_filters(asked, catalogue)
    if strict and n_asked < min_n:
        raise CompositeRefused(
            f"{n_asked} photos match {wanted}; at least {min_n} are needed and no filter may be relaxed"
        )
    for kept in _ladder(asked, catalogue):
        frame = filter_images(table, catalogue, **kept)
        if frame.height >= min_n:
            relaxed = _differences(asked, kept, catalogue)
            return FilterResult(frame, wanted, describe_filters(kept, catalogue), kept, relaxed, n_asked, frame.height)
    raise CompositeRefused(f"there are {table.height} usable photos in all; at least {min_n} are needed")


def _order_of_relaxing(catalogue: Catalogue) -> list[str]:
    years = [attribute.stem for attribute in catalogue if attribute.years]
    return [DECILE, *years, *(attribute.name for attribute in reversed(catalogue.attributes) if not attribute.years)]


def _ladder(asked: Filters, catalogue: Catalogue) -> Iterator[Filters]:
    """The filters as asked, then each further relaxation, every one at least as wide as the last."""
    current = dict(asked)
    yield dict(current)
    for name in _order_of_relaxing(catalogue):
        if name not in current:
            continue
        for wider in _widened(name, asked[name]):
            current[name] = wider
            yield dict(current)
        del current[name]
        yield dict(current)


def _widened(name: str, value: Any) -> list[Any]:
    """Steps on the way from a range to no filter; a class has none."""
    if name == DECILE:
        (low, high), steps = value, list[DecileRange]()
        while (low, high) != (wider := (max(1, low - 1), min(10, high + 1))):
            low, high = wider
            steps.append(wider)
        return steps
    return [] if isinstance(value, str) else [(max(0, value[0] - years), value[1] + years) for years in AGE_STEPS]


def _differences(asked: Filters, applied: Filters, catalogue: Catalogue) -> list[str]:
    """One sentence for each filter that is no longer what was asked."""
    sentences = []
    for name in _order_of_relaxing(catalogue):
        before, after = asked.get(name), applied.get(name)
        if before == after:
            continue
        was = describe_filters({name: before}, catalogue)
        now = describe_filters({name: after}, catalogue)
        sentences.append(f"{was} dropped" if after is None else f"{was} widened to {now}")
    return sentences


def _years_condition(attribute: Attribute, age: AgeRange) -> pl.Expr:
    assert attribute.years is not None
    low, high = age
    inside, cut = [], []
    for age_bin, (start, end) in zip(attribute.classes, attribute.years, strict=True):
        if low <= start and end <= high + 1:
            inside.append(age_bin)
        elif low < end and start < high + 1:
            cut.append(age_bin)
    years = pl.col(attribute.stem).is_between(low, high + 1, closed="left")  # completed years: 29.9 is 29
    final = pl.col(attribute.final_column)
    return final.is_in(inside) | (final.is_in(cut) & years)
