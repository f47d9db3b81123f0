"""Calibration of probabilities, and the threshold below which a model abstains.

Calibration is bias-corrected temperature scaling (Alexandari, Kundaje & Shrikumar, 2020): softmax(logits / T + b). T corrects the
confidence (Guo et al., 2017); b restores the class frequencies that training with balanced weights removes. The probability of the top
class is then calibrated on its own (`top_label.py`). Everything is fitted on out-of-fold logits, never on rows the model was trained on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from facestats_pipeline.core.statistics.top_label import LEAST_ROWS, TopLabel, fit_top_label

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

Z95 = 1.959963984540054
_PARTS = 5


@dataclass(frozen=True)
class Calibration:
    """softmax(logits / temperature + bias), then `top_label`. `bias` has one number per class and sums to zero."""

    temperature: float
    bias: tuple[float, ...]
    top_label: TopLabel = field(default_factory=TopLabel)

    def apply(self, logits: npt.ArrayLike) -> Floats:
        """Calibrated probabilities (n, k) f64 from logits (n, k)."""
        scaled = np.asarray(logits, dtype=np.float64) / self.temperature + np.asarray(self.bias)
        return self.top_label.apply(softmax(scaled))


def softmax(logits: npt.ArrayLike) -> Floats:
    """Row-wise softmax, (n, k) f64; a row that contains NaN becomes NaN."""
    z = np.asarray(logits, dtype=np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def wilson(successes: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval of a proportion (95% by default); (0, 1) for n = 0."""
    if n <= 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def fit_calibration(
    logits: npt.ArrayLike, y: npt.ArrayLike, *, balanced: bool = True, prior_strength: float = 10.0
) -> Calibration:
    """Fit temperature and class biases by maximum likelihood on out-of-fold logits, then calibrate the top class.

    logits (n, k), y (n,) class indices. A prior worth `prior_strength` rows pulls the biases towards the log class frequencies when the
    model was trained with `balanced` classes, else towards zero, so a handful of rows does not decide the bias of a small class. A weak
    prior pulls the temperature towards logits of unit spread. The top class is calibrated on cross-fitted probabilities: temperature
    and biases for a row are fitted on other rows. With fewer than LEAST_ROWS rows the top class is left as it is.
    """
    z, target = np.asarray(logits, dtype=np.float64), np.asarray(y, dtype=np.intp)
    whole = _fit_whole(z, target, balanced, prior_strength)
    if len(z) < LEAST_ROWS:
        return whole
    proba, part = np.empty(z.shape), np.arange(len(z)) % _PARTS
    for held in (part == f for f in range(_PARTS)):
        proba[held] = _fit_whole(z[~held], target[~held], balanced, prior_strength).apply(z[held])
    return replace(whole, top_label=fit_top_label(proba, target))


def _fit_whole(z: Floats, target: Ints, balanced: bool, prior_strength: float) -> Calibration:
    """Temperature and class biases alone, without calibration of the top class."""
    n, k = z.shape
    counts = np.bincount(target, minlength=k) + 1.0  # plus one: a class without rows has no log frequency
    start = np.log(counts / counts.sum()) if balanced else np.zeros(k)
    start -= start.mean()
    # The optimizer works on logits of unit spread, so its bounds and the prior mean the same for every model.
    unit = float(np.std(z - z.mean(axis=1, keepdims=True))) or 1.0
    z = z / unit
    onehot = np.eye(k)[target]

    def loss(params: Floats) -> tuple[float, Floats]:
        scaled, bias = z * math.exp(-params[0]), params[1:]
        p = softmax(scaled + bias)
        nll = -float(np.log(np.maximum(p[np.arange(n), target], 1e-300)).sum())
        error = p - onehot
        pull = bias - start
        value = nll + prior_strength / 2 * float(pull @ pull) + 0.5 * float(params[0] ** 2)
        slope = params[0] - float((error * scaled).sum())
        return value / n, np.concatenate([[slope], error.sum(axis=0) + prior_strength * pull]) / n

    bounds = [(-5.0, 5.0)] + [(-15.0, 15.0)] * k
    optimum = minimize(loss, np.concatenate([[0.0], start]), jac=True, method="L-BFGS-B", bounds=bounds).x
    bias = optimum[1:] - optimum[1:].mean()
    return Calibration(unit * math.exp(optimum[0]), tuple(float(b) for b in bias))


def crossfit_calibration(
    logits: npt.ArrayLike, y: npt.ArrayLike, fold: npt.ArrayLike, *, balanced: bool = True
) -> Floats:
    """Cross-fitted probabilities (n, k): each fold is calibrated on the other folds, which measures calibration on unseen rows."""
    z, target, folds = np.asarray(logits, dtype=np.float64), np.asarray(y), np.asarray(fold)
    out = np.full(z.shape, np.nan)
    for f in np.unique(folds):
        held = folds == f
        out[held] = fit_calibration(z[~held], target[~held], balanced=balanced).apply(z[held])
    return out


def reliability(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 15) -> list[dict[str, float]]:
    """Rows of a reliability diagram: lo, hi, n, confidence, accuracy, ci_lo, ci_hi per equal-width bin of confidence."""
    p, ok = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    index = np.clip(np.ceil(p * bins).astype(int) - 1, 0, bins - 1)
    rows = []
    for b in range(bins):
        inside = index == b
        if n := int(inside.sum()):
            hits = int(ok[inside].sum())
            lo, hi = wilson(hits, n)
            rows.append(
                {"lo": b / bins, "hi": (b + 1) / bins, "n": n, "confidence": float(p[inside].mean())}
                | {"accuracy": hits / n, "ci_lo": lo, "ci_hi": hi}
            )
    return rows


def expected_calibration_error(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 15) -> float:
    """ECE (Naeini et al., 2015; Guo et al., 2017): mean |confidence − accuracy| over equal-width bins, weighted by size; NaN for none."""
    rows = reliability(confidence, correct, bins=bins)
    total = sum(r["n"] for r in rows)
    return sum(r["n"] * abs(r["confidence"] - r["accuracy"]) for r in rows) / total if total else math.nan


def calibration_error_by_chance(confidence: npt.ArrayLike, *, seed: int = 0, draws: int = 200) -> float:
    """Expected ECE of a perfectly calibrated model with these confidences (n,): the part that is sampling noise of n rows."""
    p = np.asarray(confidence, dtype=np.float64)
    rng = np.random.default_rng(seed)
    return float(np.mean([expected_calibration_error(p, rng.random(len(p)) < p) for _ in range(draws)]))


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, points: int = 101) -> list[dict[str, float]]:
    """Risk–coverage curve (El-Yaniv & Wiener, 2010): error among the most confident rows, at up to `points` coverages.

    Each row has coverage, risk, ci_lo, ci_hi, threshold.
    """
    p, ok = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    order = np.argsort(-p, kind="stable")
    errors = np.cumsum(~ok[order])
    rows = []
    for m in np.unique(np.linspace(1, len(p), min(points, len(p))).round().astype(int)):
        lo, hi = wilson(int(errors[m - 1]), int(m))
        rows.append(
            {"coverage": m / len(p), "risk": float(errors[m - 1] / m), "ci_lo": lo, "ci_hi": hi}
            | {"threshold": float(p[order[m - 1]])}
        )
    return rows


NEVER = 2.0
"""A threshold above every probability: the model always abstains."""


def choose_threshold(confidence: npt.ArrayLike, correct: npt.ArrayLike, target_error: float) -> float:
    """The lowest confidence at which the model may answer with an expected error of at most `target_error` among the answers.

    The error of m answered rows counts as (errors + 1) / (m + 1), the finite-sample correction of conformal risk control (Angelopoulos
    et al., 2022): few rows give a cautious threshold, many approach the target. The widest coverage that meets the target wins.
    Returns 0.0 when the model may always answer, NEVER when it must always abstain.
    """
    p, ok = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if not len(p):
        return NEVER
    order = np.argsort(-p, kind="stable")
    errors = np.cumsum(~ok[order])
    m = np.arange(1, len(p) + 1)
    meets = (errors + 1) / (m + 1) <= target_error
    last_of_tie = np.append(p[order][1:] < p[order][:-1], True)  # rows of equal confidence are answered together
    good = np.flatnonzero(meets & last_of_tie)
    if not len(good):
        return NEVER
    at = int(good[-1])
    if at == len(p) - 1:
        return 0.0
    return float((p[order][at] + p[order][at + 1]) / 2)  # midway: a rounding error in a confidence flips no answer


def crossfit_selective(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, fold: npt.ArrayLike, target_error: float
) -> npt.NDArray[np.bool_]:
    """(n,) bool: which rows are answered when each fold's threshold is chosen on the other folds."""
    p, ok, folds = np.asarray(confidence), np.asarray(correct), np.asarray(fold)
    answered = np.zeros(len(p), dtype=bool)
    for f in np.unique(folds):
        held = folds == f
        answered[held] = p[held] >= choose_threshold(p[~held], ok[~held], target_error)
    return answered


def conformal_quantile(scores: npt.ArrayLike, coverage: float) -> float:
    """The ⌈(n + 1)·coverage⌉-th smallest score (split conformal; Vovk et al., 2005); inf when n is too small for the coverage."""
    s = np.sort(np.asarray(scores, dtype=np.float64))
    rank = math.ceil((len(s) + 1) * coverage)
    return float(s[rank - 1]) if 1 <= rank <= len(s) else math.inf


def crossfit_coverage(scores: npt.ArrayLike, fold: npt.ArrayLike, coverage: float) -> npt.NDArray[np.bool_]:
    """(n,) bool: which rows lie within the interval fitted on the other folds' scores, to measure coverage on unseen rows."""
    s, folds = np.asarray(scores, dtype=np.float64), np.asarray(fold)
    inside = np.zeros(len(s), dtype=bool)
    for f in np.unique(folds):
        held = folds == f
        inside[held] = s[held] <= conformal_quantile(s[~held], coverage)
    return inside


def proportion(hits: Sequence[bool] | npt.NDArray[np.bool_]) -> dict[str, float]:
    """A proportion with its Wilson interval: value (NaN for n = 0), ci_lo, ci_hi, n."""
    n, k = len(hits), int(np.sum(hits))
    lo, hi = wilson(k, n)
    return {"value": k / n if n else math.nan, "ci_lo": lo, "ci_hi": hi, "n": n}
