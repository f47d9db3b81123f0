"""95% intervals of figures that are no proportion, by resampling groups: photos of one person or one picture are drawn together."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Figures = Callable[[Floats], Mapping[str, Floats]]
Interval = dict[str, float]

RESAMPLES = 1_000
BINS = 15
_STEP = 4_000_000  # weights held at once


def intervals(figures: Figures, groups: Ints, *, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Name → {value, ci_lo, ci_hi} of `figures`, a function of weights (b, n) that gives b values a name.

    groups: (n,) numbers 0…g−1. Percentile intervals, moved by as much as the mean of the resamples is off the value: an expected
    calibration error grows by resampling, since noise only ever adds to it. Its interval is one of the error as it is measured on n
    rows, noise of counting included; `calibration.calibration_error_by_chance` says how much that is.
    """
    n, count = len(groups), int(groups.max()) + 1
    rng = np.random.default_rng(seed)
    point = figures(np.ones((1, n)))
    step = max(1, _STEP // max(n, count))
    drawn: dict[str, list[Floats]] = {name: [] for name in point}
    for start in range(0, resamples, step):
        b = min(step, resamples - start)
        times = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(b)])
        for name, values in figures(times[:, groups].astype(np.float64)).items():
            drawn[name].append(values)
    out: dict[str, Interval] = {}
    for name, values in point.items():
        value = float(values[0])
        again = np.concatenate(drawn[name])
        low, high = np.nanquantile(again, [0.025, 0.975]) + value - np.nanmean(again)
        if name.startswith("ece"):
            low = max(0.0, low)
        out[name] = {"value": value, "ci_lo": float(low), "ci_hi": float(high)}
    return out


def calibration_figures(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> Figures:
    """ece of confidences (n,) that were correct (n,) or not, under weights."""
    top, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    off = np.eye(BINS)[np.clip(np.ceil(top * BINS).astype(int) - 1, 0, BINS - 1)] * (top - right)[:, None]  # (n, bins)
    return lambda weights: {"ece": np.abs(weights @ off).sum(axis=1) / weights.sum(axis=1)}


def classifier_figures(proba: Floats, y: Ints) -> Figures:
    """balanced_accuracy, log_loss and ece of probabilities (n, k) for labels (n,), under weights."""
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
    """mae, rmse and pearson of predictions (n,) of numbers (n,), under weights."""
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
    """Negative log (n,) of the probability (n, k) that was given to each label (n,)."""
    return np.asarray(-np.log(np.maximum(proba[np.arange(len(y)), y], 1e-12)))
