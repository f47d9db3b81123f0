"""How well ratings are predicted, with intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Pearson's r; 0 where one side is constant."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(a) < 2 or a.std() < 1e-12 or b.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def regression_figures(predicted: Floats, target: Floats, fold: npt.NDArray[np.intp], seed: int) -> dict[str, Any]:
    """Pearson, MAE and RMSE of out-of-fold predictions with 95% bootstrap intervals, and their mean and spread over the folds."""
    error = predicted - target
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(target), size=(1000, len(target)))
    boot = {
        "pearson": [pearson(predicted[i], target[i]) for i in drawn],
        "mae": np.abs(error)[drawn].mean(axis=1),
        "rmse": np.sqrt((error**2)[drawn].mean(axis=1)),
    }
    found: dict[str, Any] = {
        "pearson": pearson(predicted, target),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
    }
    for name, values in boot.items():
        found[f"{name}_ci_lo"], found[f"{name}_ci_hi"] = (float(v) for v in np.quantile(values, [0.025, 0.975]))
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
