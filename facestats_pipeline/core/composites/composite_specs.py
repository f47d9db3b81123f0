"""Specifications of composites: group, method, name. This module reads no pictures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from facestats_pipeline.core.attributes.attribute import slug
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue

DEFAULT_FLOOR = 10
"""Smallest number of photos in a composite: with fewer, single people can be recognised in the average (k-anonymity)."""

METHODS = ("mean", "aligned", "warped")
"""How faces are brought together; `movers.mover` describes each method."""

DECILE = "decile"
"""Filter by the score."""

AGE_GROUPS: tuple[tuple[str, int, int], ...] = (
    ("children", 0, 9),
    ("teens", 10, 19),
    ("twenties", 20, 29),
    ("thirties", 30, 39),
    ("forties", 40, 49),
    ("fifties", 50, 59),
    ("sixties and older", 60, 120),
)
"""Age groups of the default composites, in completed years; each is a union of whole FairFace bins."""


class CompositeRefused(Exception):
    """No composite can be made: too few photos match, and the filters may not be relaxed or relaxing does not help."""


@dataclass(frozen=True)
class CompositeSpec:
    """One composite to make.

    Args:
        name: file stem, unique among the specs of a run.
        caption: the text under the picture.
        filters: the arguments of `filter_images`: attribute → class, age → (lowest, highest) completed years, decile → (lowest, highest)
            decile of the score, 1–10; both ends included.
        method: one of `METHODS`.
        strict: refuse instead of relaxing filters when fewer than `floor` photos match.
        floor: smallest number of photos.
        weight: numeric column of the master, such as `attractiveness`, that weights the photos; None gives equal weights.
        catalogue: the attributes that filters may name.
    """

    name: str
    caption: str = ""
    filters: Mapping[str, Any] = field(default_factory=dict)
    method: str = "aligned"
    strict: bool = False
    floor: int = DEFAULT_FLOOR
    weight: str | None = None
    catalogue: Catalogue = BUILT_IN

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", {name: value for name, value in self.filters.items() if value is not None})
        check_filters(self.filters, self.catalogue)
        check_method(self.method)
        if self.floor < 2:
            raise ValueError(
                f"floor={self.floor}: a composite of fewer than 2 photos is a photo of somebody; use 2 or more"
            )


def filter_names(catalogue: Catalogue = BUILT_IN) -> tuple[str, ...]:
    """The names of filters and groupings: every attribute (by its years, if it has any), and the score's decile."""
    return (*(attribute.stem if attribute.years else attribute.name for attribute in catalogue), DECILE)


def check_filters(filters: Mapping[str, Any], catalogue: Catalogue = BUILT_IN) -> None:
    """Raise ValueError with the filter, its value and the allowed ones, if a filter is invalid."""
    names = filter_names(catalogue)
    if unknown := [name for name in filters if name not in names]:
        raise ValueError(f"{unknown[0]}={filters[unknown[0]]!r}: no such filter; use {', '.join(names)}")
    for attribute in catalogue:
        value = filters.get(attribute.stem if attribute.years else attribute.name)
        if value is None:
            continue
        if attribute.years is None and value not in attribute.classes:
            raise ValueError(f"{attribute.name}={value!r}: use one of {', '.join(attribute.classes)}")
        if attribute.years is not None and not 0 <= value[0] <= value[1]:
            raise ValueError(f"{attribute.stem}={value}: use (lowest, highest) in years, 0 or more, lowest first")
    decile = filters.get(DECILE)
    if decile is not None and not 1 <= decile[0] <= decile[1] <= 10:
        raise ValueError(f"decile={decile}: use (lowest, highest) between 1 and 10, lowest first")


def check_method(method: str) -> None:
    """Raise ValueError for an unknown method."""
    if method not in METHODS:
        raise ValueError(f"method={method!r}: use one of {', '.join(METHODS)}")


def describe_filters(filters: Mapping[str, Any], catalogue: Catalogue = BUILT_IN) -> str:
    """The filters as one line, `gender=Female age=20:29`; `all` without filters."""
    given = [(name, filters[name]) for name in filter_names(catalogue) if filters.get(name) is not None]
    parts = [
        f"{name}={value}" if isinstance(value, str) else f"{name}={value[0]:g}:{value[1]:g}" for name, value in given
    ]
    return " ".join(parts) or "all"


def default_specs(
    master: pl.DataFrame | None = None,
    *,
    method: str = "aligned",
    floor: int = DEFAULT_FLOOR,
    catalogue: Catalogue = BUILT_IN,
) -> list[CompositeSpec]:
    """The default composites: everyone, each class of every attribute, each age group, gender × age, and both ends of the score.

    All are strict: a picture titled "Male" that shows everybody would be wrong, so a group that is too small is refused. With `master`, the
    ends of the score are deciles 1 and 10 if each has at least `floor` photos, else deciles 1–3 and 8–10; without scores they are left out.
    """
    everyone = CompositeSpec("everyone", "Everyone", catalogue=catalogue)
    specs = [everyone]
    for grouping in filter_names(catalogue):
        specs += specs_by(grouping, everyone) if grouping != DECILE else []
    for gender in specs_by("gender", everyone):
        specs += [replace(spec, name=f"{gender.name}_{spec.name}") for spec in specs_by("age", gender)]
    for lo, hi in score_ends(master, floor):
        caption, filters = _decile_caption(lo, hi), {DECILE: (lo, hi)}
        specs.append(replace(everyone, name=f"decile_{lo}_{hi}", caption=caption, filters=filters))
    return [replace(spec, method=method, strict=True, floor=floor) for spec in specs]


def specs_by(grouping: str, base: CompositeSpec) -> list[CompositeSpec]:
    """One strict spec for each part of a grouping, based on `base`; strict, so that captions are true.

    Raises:
        ValueError: for a grouping that is not in `filter_names`, or for which `base` already has a filter.
    """
    groupings = filter_names(base.catalogue)
    if grouping not in groupings:
        raise ValueError(f"grouping={grouping!r}: use one of {', '.join(groupings)}")
    if grouping in base.filters:
        raise ValueError(f"the photos are filtered by {grouping} already, so they cannot be split by it")
    parts: list[tuple[str, str, Any]]
    if grouping == DECILE:
        parts = [(f"decile_{one}", _decile_caption(one, one), (one, one)) for one in range(1, 11)]
    elif grouping not in base.catalogue:
        parts = [(f"{grouping}_{slug(name)}", _age_caption(name, lo, hi), (lo, hi)) for name, lo, hi in AGE_GROUPS]
    else:
        attribute = base.catalogue[grouping]
        before, heading = ("", "") if attribute.standalone else (f"{attribute.name}_", f"{attribute.title}: ")
        parts = [(before + slug(one), heading + one.replace("_", " / "), one) for one in attribute.classes]
    inside = f"{base.caption}, " if base.filters else ""
    return [
        replace(
            base,
            name=name,
            caption=inside + (words.lower() if inside and grouping in ("age", DECILE) else words),
            strict=True,
            filters={**base.filters, grouping: value},
        )
        for name, words, value in parts
    ]


def score_ends(master: pl.DataFrame | None, floor: int) -> list[tuple[int, int]]:
    """The decile ranges of the top and bottom composites; empty without scores."""
    if master is None:
        return [(10, 10), (1, 1)]
    if "attractiveness" not in master.columns or master["attractiveness"].null_count() == master.height:
        return []
    counts = master["attractiveness"].value_counts()
    per_decile = dict(zip(counts["attractiveness"].to_list(), counts["count"].to_list(), strict=True))
    if min(per_decile.get(1, 0), per_decile.get(10, 0)) >= floor:
        return [(10, 10), (1, 1)]
    return [(8, 10), (1, 3)]


def names_are_unique(specs: Iterable[CompositeSpec]) -> None:
    """Raise ValueError when two specs share a name, since they would write the same file."""
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise ValueError(f"two composites are called {spec.name!r}; give each its own name")
        seen.add(spec.name)


def _age_caption(name: str, lo: int, hi: int) -> str:
    return f"{name.capitalize()} ({lo}–{hi})" if hi < 100 else f"{name.capitalize()} ({lo}+)"


def _decile_caption(lo: int, hi: int) -> str:
    return f"Score decile {lo}" if lo == hi else f"Score deciles {lo}–{hi}"
