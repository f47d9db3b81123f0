"""95% bootstrap intervals of metrics that are not proportions.

Groups are resampled, not rows: photos of one person, or near-duplicates of one photo, are drawn together.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Figures = Callable[[Floats], Mapping[str, Floats]]
Interval = dict[str, float]

RESAMPLES = 1_000
BINS = 15
_STEP = 4_000_000  # weights in memory at once: 32 MB


def intervals(figures: Figures, groups: Ints, *, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Bootstrap intervals: metric name → {value, ci_lo, ci_hi}.

    figures: a function of weights (b, n) that returns b values per metric. groups: (n,) group numbers 0…g−1.

    These are percentile intervals, shifted by the bias of the resamples (their mean minus the value). Resampling inflates an expected
    calibration error, since noise only adds to it. Its interval therefore describes the error as measured on n rows, sampling noise
    included; `calibration.calibration_error_by_chance` gives the size of that noise.
    """
    n, count = len(groups), int(groups.max()) + 1
    rng = np.random.default_rng(seed)
    point = figures(np.ones((1, n)))
    step = max(1, _STEP // max(n, count))
    drawn: dict[str, list[Floats]] = {name: [] for name in point}
    for start in range(0, resamples, step):
        b = min(step, resamples - start)
        # A resample is a weight per row, how often its group was drawn: metrics are then matrix products over all resamples at once.
        times = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(b)])
        for name, values in figures(times[:, groups].astype(np.float64)).items():
            drawn[name].append(values)
    out: dict[str, Interval] = {}
    for name, values in point.items():
        value = float(values[0])
        resampled = np.concatenate(drawn[name])
        low, high = np.nanquantile(resampled, [0.025, 0.975]) + value - np.nanmean(resampled)
        if name.startswith("ece"):
            low = max(0.0, low)
        out[name] = {"value": value, "ci_lo": float(low), "ci_hi": float(high)}
    return out


def calibration_figures(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> Figures:
    """Weighted `ece` of confidences (n,), given whether each was correct (n,)."""
    top, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    off = np.eye(BINS)[np.clip(np.ceil(top * BINS).astype(int) - 1, 0, BINS - 1)] * (top - right)[:, None]  # (n, bins)
    return lambda weights: {"ece": np.abs(weights @ off).sum(axis=1) / weights.sum(axis=1)}


def classifier_figures(proba: Floats, y: Ints) -> Figures:
    """Weighted `balanced_accuracy`, `log_loss` and `ece` of probabilities (n, k) for class indices (n,)."""
    right = (proba.argmax(axis=1) == y).astype(np.float64)
    loss = log_losses(proba, y)
    classes = np.eye(proba.shape[1])[y]  # (n, k)
    calibration = calibration_figures(proba.max(axis=1), right)

    def figures(weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        size = weights @ classes
        recall = np.divide(weights @ (classes * right[:, None]), size, out=np.full_like(size, np.nan), where=size > 0)
        return {
            "balanced_accuracy": np.nanmean(recall, axis=1),
            "log_loss": weights @ loss / total,
            **calibration(weights),
        }

    return figures


def regression_figures(predicted: Floats, truth: Floats) -> Figures:
    """Weighted `mae`, `rmse` and `pearson` of predictions (n,) against true values (n,)."""
    error = predicted - truth

    def figures(weights: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        means = [weights @ v / total for v in (predicted, truth, predicted * truth, predicted**2, truth**2)]
        spread = np.sqrt(np.maximum(means[3] - means[0] ** 2, 0) * np.maximum(means[4] - means[1] ** 2, 0))
        together = means[2] - means[0] * means[1]
        return {
            "mae": weights @ np.abs(error) / total,
            "rmse": np.sqrt(weights @ error**2 / total),
            "pearson": np.divide(together, spread, out=np.zeros_like(spread), where=spread > 0),
        }

    return figures


def log_losses(proba: Floats, y: Ints) -> Floats:
    """Negative log-likelihood (n,) of the class indices y (n,) under probabilities (n, k)."""
    return np.asarray(-np.log(np.maximum(proba[np.arange(len(y)), y], 1e-12)))
