"""Stratified cross-validation folds that keep groups together."""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

Ints = npt.NDArray[np.intp]


def make_folds(y: npt.ArrayLike, k: int, *, groups: Sequence[Hashable | None] | None = None, seed: int = 0) -> Ints:
    """(n,) fold numbers 0…k−1, stratified by class.

    y: (n,) class indices. groups: rows of one group (a person, a set of near-duplicates) share a fold; a row with None is a group of its
    own. k is lowered to the number of groups in the smallest class, but never below 2.
    """
    target = np.asarray(y)
    ids = group_ids(groups, len(target))
    k = max(2, min(k, int(independent_counts(target, ids).min())))
    fold = np.zeros(len(target), dtype=np.intp)
    rows = np.zeros((len(target), 1))
    if len(np.unique(ids)) == len(ids):
        parts = StratifiedKFold(k, shuffle=True, random_state=seed).split(rows, target)
    else:
        parts = StratifiedGroupKFold(k, shuffle=True, random_state=seed).split(rows, target, ids)
    for number, (_, held) in enumerate(parts):
        fold[held] = number
    return fold


def group_ids(groups: Sequence[Hashable | None] | None, n: int) -> Ints:
    """(n,) group numbers: equal for rows of one group, unique for every None. Raises ValueError unless there are n groups."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} rows")
    seen: dict[Hashable, int] = {}
    return np.array(
        [seen.setdefault(("row", i) if g is None else ("group", g), len(seen)) for i, g in enumerate(groups)]
    )


def independent_counts(y: npt.ArrayLike, groups: Ints) -> Ints:
    """The number of different groups per class, for the classes that occur, in ascending order."""
    target = np.asarray(y)
    return np.array([len(np.unique(groups[target == c])) for c in np.unique(target)])
