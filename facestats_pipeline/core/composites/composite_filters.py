"""Filters that select the photos of a composite, and their step-by-step relaxation when too few photos match."""

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
        frame: the selected rows of the master.
        asked: the requested filters as one line.
        applied: the filters that `frame` satisfies, as one line.
        filters: the applied filters as arguments of `filter_images`.
        relaxed: one sentence per relaxed filter; empty if all requested filters apply.
        n_asked: number of rows that satisfy the requested filters.
        n: number of rows of `frame`.
    """

    frame: pl.DataFrame
    asked: str
    applied: str
    filters: Filters
    relaxed: list[str]
    n_asked: int
    n: int


def filter_images(master: Frame, catalogue: Catalogue = BUILT_IN, /, **filters: Any) -> Frame:
    """The rows of `master` that satisfy every filter; a lazy frame gives a lazy frame.

    Filters: attribute=class, age=(lowest, highest), decile=(lowest, highest); None is no filter. `unknown` and null never match. Age is in
    completed years, both ends included. A final age bin entirely inside or outside the range decides, because it may be a human label;
    for a bin that the range cuts, `age` in years decides.

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
    """The columns of master that filters use."""
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
    """The rows for a composite: those that match the filters if at least `min_n` do, else with filters relaxed step by step.

    The decile range is widened by one on both sides up to 1–10, then dropped; the age range is widened by 5 and by 10 years on both sides,
    then dropped; then the other attributes are dropped, the last of the catalogue first (ethnicity before gender). The first step with
    `min_n` rows is taken, and `relaxed` lists all changes.

    Raises:
        CompositeRefused: with `strict`, if a filter would have to be relaxed; otherwise if even all rows are too few.
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
    """Yield the requested filters, then each further relaxation, none narrower than the one before."""
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
    """The widened ranges between a range and no filter; none for a class."""
    if name == DECILE:
        (low, high), steps = value, list[DecileRange]()
        while (low, high) != (wider := (max(1, low - 1), min(10, high + 1))):
            low, high = wider
            steps.append(wider)
        return steps
    return [] if isinstance(value, str) else [(max(0, value[0] - years), value[1] + years) for years in AGE_STEPS]


def _differences(asked: Filters, applied: Filters, catalogue: Catalogue) -> list[str]:
    """One sentence for each filter that differs from the requested one."""
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
