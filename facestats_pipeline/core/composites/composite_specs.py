"""What a composite is asked to show: a group, a method, a name. No pictures are touched here."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from facestats_pipeline.core.labels.vocabulary import ETHNICITIES, GENDERS

DEFAULT_FLOOR = 10
"""Fewest photos a composite may be made of: below it, single people can be recognised in the average (k-anonymity)."""

METHODS = ("mean", "aligned")
"""Methods that can be asked for; `warped` will join them when dense landmarks are there."""

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
    """No composite is made: too few photos, an unavailable method, or filters that only strictness forbids to relax."""


@dataclass(frozen=True)
class CompositeSpec:
    """One composite to make.

    Args:
        name: file stem, unique among the specs of a run.
        caption: what a reader sees under the picture.
        gender: one of `vocabulary.GENDERS`, or None for all.
        ethnicity: one of `vocabulary.ETHNICITIES`, or None for all.
        age: (lowest, highest) completed years, both included.
        decile: (lowest, highest) score decile, 1–10, both included.
        method: one of `METHODS`.
        strict: refuse instead of relaxing filters when fewer than `floor` photos match.
        floor: fewest photos it may be made of.
    """

    name: str
    caption: str = ""
    gender: str | None = None
    ethnicity: str | None = None
    age: tuple[float, float] | None = None
    decile: tuple[int, int] | None = None
    method: str = "aligned"
    strict: bool = False
    floor: int = DEFAULT_FLOOR

    def __post_init__(self) -> None:
        check_filters(self.gender, self.ethnicity, self.age, self.decile)
        check_method(self.method)
        if self.floor < 2:
            raise ValueError(
                f"floor={self.floor}: a composite of fewer than 2 photos is a photo of somebody; use 2 or more"
            )

    @property
    def filters(self) -> dict[str, Any]:
        """The four filters as keyword arguments of `filter_images` and `filter_faces`."""
        return {"gender": self.gender, "ethnicity": self.ethnicity, "age": self.age, "decile": self.decile}


def check_filters(
    gender: str | None, ethnicity: str | None, age: tuple[float, float] | None, decile: tuple[int, int] | None
) -> None:
    """Raise ValueError naming the filter, its value and what is allowed."""
    if gender is not None and gender not in GENDERS:
        raise ValueError(f"gender={gender!r}: use one of {', '.join(GENDERS)}")
    if ethnicity is not None and ethnicity not in ETHNICITIES:
        raise ValueError(f"ethnicity={ethnicity!r}: use one of {', '.join(ETHNICITIES)}")
    if age is not None and not 0 <= age[0] <= age[1]:
        raise ValueError(f"age={age}: use (lowest, highest) in years, 0 or more, lowest first")
    if decile is not None and not 1 <= decile[0] <= decile[1] <= 10:
        raise ValueError(f"decile={decile}: use (lowest, highest) between 1 and 10, lowest first")


def check_method(method: str) -> None:
    """Raise CompositeRefused for `warped` (not available yet) and ValueError for a method nobody knows."""
    if method == "warped":
        raise CompositeRefused(f"method 'warped' is not available yet; available are {' and '.join(METHODS)}")
    if method not in METHODS:
        raise ValueError(f"method={method!r}: use one of {', '.join(METHODS)}")


def describe_filters(
    gender: str | None = None,
    ethnicity: str | None = None,
    age: tuple[float, float] | None = None,
    decile: tuple[int, int] | None = None,
) -> str:
    """The filters in one line, `gender=Female age=20:29`; `all` where there is none."""
    parts = [f"gender={gender}"] if gender else []
    parts += [f"ethnicity={ethnicity}"] if ethnicity else []
    parts += [f"age={age[0]:g}:{age[1]:g}"] if age else []
    parts += [f"decile={decile[0]}:{decile[1]}"] if decile else []
    return " ".join(parts) or "all"


def default_specs(
    master: pl.DataFrame | None = None, *, method: str = "aligned", floor: int = DEFAULT_FLOOR
) -> list[CompositeSpec]:
    """Everyone, each gender, each ethnicity, each age group, gender × age, and the ends of the score.

    All are strict: a picture called "Male" that shows everybody would be wrong, so a group that is too small is refused with a
    reason instead. With `master`, the ends of the score are deciles 1 and 10 where each holds at least `floor` photos, else
    deciles 1–3 and 8–10; without scores they are left out.
    """
    specs = [CompositeSpec("everyone", "Everyone")]
    specs += [CompositeSpec(_slug(g), g, gender=g) for g in GENDERS]
    specs += [CompositeSpec(_slug(e), e.replace("_", " / "), ethnicity=e) for e in ETHNICITIES]
    specs += [
        CompositeSpec(_slug("age", name), _age_caption(name, lo, hi), age=(lo, hi)) for name, lo, hi in AGE_GROUPS
    ]
    specs += [
        CompositeSpec(_slug(g, "age", name), f"{g}, {_age_caption(name, lo, hi).lower()}", gender=g, age=(lo, hi))
        for g in GENDERS
        for name, lo, hi in AGE_GROUPS
    ]
    for lo, hi in score_ends(master, floor):
        words = f"Score decile {lo}" if lo == hi else f"Score deciles {lo}–{hi}"
        specs.append(CompositeSpec(_slug("decile", str(lo), str(hi)), words, decile=(lo, hi)))
    return [replace(spec, method=method, strict=True, floor=floor) for spec in specs]


def score_ends(master: pl.DataFrame | None, floor: int) -> list[tuple[int, int]]:
    """Decile ranges of the top and bottom composites; empty where the frame has no scores."""
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
    """Raise ValueError when two specs would write the same file."""
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise ValueError(f"two composites are called {spec.name!r}; give each its own name")
        seen.add(spec.name)


def _age_caption(name: str, lo: int, hi: int) -> str:
    return f"{name.capitalize()} ({lo}–{hi})" if hi < 100 else f"{name.capitalize()} ({lo}+)"


def _slug(*words: str) -> str:
    return "_".join(words).lower().replace(" ", "_")
