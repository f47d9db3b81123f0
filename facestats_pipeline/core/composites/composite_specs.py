"""What a composite is asked to show: a group, a method, a name. No pictures are touched here."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from facestats_pipeline.core.labels.vocabulary import ETHNICITIES, GENDERS

DEFAULT_FLOOR = 10
"""Fewest photos a composite may be made of: below it, single people can be recognised in the average (k-anonymity)."""

METHODS = ("mean", "aligned", "warped")
"""How faces are brought together; `movers.mover` says what each does."""

GROUPINGS = ("gender", "ethnicity", "age", "decile")
"""What a collection can be split by, one composite for each part."""

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
    """No composite is made: too few photos, or filters that only strictness forbids to relax."""


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
        weight: column of numbers of the master by which photos count, `attractiveness` say; None counts all the same.
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
    weight: str | None = None

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
    """Raise ValueError for a method nobody knows."""
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
    everyone = CompositeSpec("everyone", "Everyone")
    specs = [everyone]
    for grouping in ("gender", "ethnicity", "age"):
        specs += specs_by(grouping, everyone)
    for gender in specs_by("gender", everyone):
        specs += [replace(spec, name=f"{gender.name}_{spec.name}") for spec in specs_by("age", gender)]
    for lo, hi in score_ends(master, floor):
        specs.append(CompositeSpec(_slug("decile", str(lo), str(hi)), _decile_caption(lo, hi), decile=(lo, hi)))
    return [replace(spec, method=method, strict=True, floor=floor) for spec in specs]


def specs_by(grouping: str, base: CompositeSpec) -> list[CompositeSpec]:
    """`base` for each part of a grouping, strict: what a caption says is what is shown.

    Raises:
        ValueError: for a grouping that is none of `GROUPINGS`, or one that `base` has a filter for already.
    """
    if grouping not in GROUPINGS:
        raise ValueError(f"grouping={grouping!r}: use one of {', '.join(GROUPINGS)}")
    if base.filters[grouping] is not None:
        raise ValueError(f"the photos are filtered by {grouping} already, so they cannot be split by it")
    parts: list[tuple[str, str, Any]]
    if grouping == "gender":
        parts = [(_slug(one), one, one) for one in GENDERS]
    elif grouping == "ethnicity":
        parts = [(_slug(one), one.replace("_", " / "), one) for one in ETHNICITIES]
    elif grouping == "age":
        parts = [(_slug("age", name), _age_caption(name, lo, hi), (lo, hi)) for name, lo, hi in AGE_GROUPS]
    else:
        parts = [(f"decile_{one}", _decile_caption(one, one), (one, one)) for one in range(1, 11)]
    inside = "" if describe_filters(**base.filters) == "all" else f"{base.caption}, "
    return [
        replace(
            base,
            name=name,
            caption=inside + (words.lower() if inside and grouping in ("age", "decile") else words),
            strict=True,
            **{grouping: value},
        )
        for name, words, value in parts
    ]


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


def _decile_caption(lo: int, hi: int) -> str:
    return f"Score decile {lo}" if lo == hi else f"Score deciles {lo}–{hi}"


def _slug(*words: str) -> str:
    return "_".join(words).lower().replace(" ", "_")
