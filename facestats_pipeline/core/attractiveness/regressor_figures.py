"""Metrics of rating predictions, overall and per group, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.statistics import bootstrap
from facestats_pipeline.core.statistics.calibration import proportion

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

MIN_N = 30
"""Smaller groups are listed without metrics."""


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Pearson's r; 0 if one side is constant."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(a) < 2 or a.std() < 1e-12 or b.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def regression_figures(predicted: Floats, target: Floats, fold: Ints, ids: Ints, seed: int) -> dict[str, Any]:
    """pearson, mae and rmse of out-of-fold predictions (n,) as {value, ci_lo, ci_hi}, and `over_folds` with their mean and sd over folds.

    The 95% intervals come from a bootstrap over the groups `ids` (n,): photos of one person, or near-duplicates, are drawn together.
    """
    numbers = np.unique(ids, return_inverse=True)[1]
    found: dict[str, Any] = dict(
        bootstrap.intervals(bootstrap.regression_figures(predicted, target), numbers, seed=seed)
    )
    error = predicted - target
    by_fold = {
        "pearson": [pearson(predicted[fold == f], target[fold == f]) for f in np.unique(fold)],
        "mae": [float(np.abs(error[fold == f]).mean()) for f in np.unique(fold)],
        "rmse": [float(np.sqrt((error[fold == f] ** 2).mean())) for f in np.unique(fold)],
    }
    found["over_folds"] = {
        name: {"mean": float(np.mean(v)), "sd": float(np.std(v, ddof=1)) if len(v) > 1 else 0.0}
        for name, v in by_fold.items()
    }
    return found


def interval_folds(fold: Ints, ids: Ints, seed: int) -> Ints:
    """(n,) parts for cross-fitting the interval: each part's interval comes from the errors of the others.

    The parts are the folds. A published test set is a single fold and is split into two halves (groups stay whole), because errors on
    training rows are too small for an interval.
    """
    if len(np.unique(fold)) > 1:
        return fold
    numbers = np.unique(ids, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(numbers.max(initial=-1)) + 1)
    return np.asarray(order[numbers] % 2, dtype=np.intp)


def figures_by_group(
    predicted: Floats, target: Floats, inside: npt.NDArray[np.bool_], kinds: Mapping[str, Sequence[str | None]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Kind of group → group → n, and from MIN_N photos on coverage of the interval (with Wilson interval), mae and mean_error.

    predicted, target, inside: (n,). kinds: kind → n group names from people's labels, None without a label.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, labels in kinds.items():
        given = np.array(["" if label is None else label for label in labels])
        for group in sorted(set(given.tolist()) - {""}):
            mine = given == group
            figures: dict[str, Any] = {"n": int(mine.sum())}
            if figures["n"] >= MIN_N:
                error = predicted[mine] - target[mine]
                figures |= {
                    "coverage": proportion(inside[mine]),
                    "mae": _mean(np.abs(error)),
                    "mean_error": _mean(error),
                }
            found.setdefault(kind, {})[group] = figures
    return found


def _mean(values: Floats) -> dict[str, float]:
    """A mean with its standard error."""
    return {"value": float(values.mean()), "se": float(values.std(ddof=1) / np.sqrt(len(values)))}
