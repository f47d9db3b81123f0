"""Out-of-fold metrics of a classifier, with intervals, and its fitted roll-up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.attributes.attribute import Rollup
from facestats_pipeline.core.statistics import calibration as cal
from facestats_pipeline.core.statistics.bootstrap import log_losses

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def classifier_report(
    proba: Floats, y: Ints, fold: Ints, classes: Sequence[str], target_error: float, logits: Floats
) -> dict[str, Any]:
    """JSON-able metrics of out-of-fold probabilities (n, k) with cross-fitted calibration.

    accuracy, recall per class, and error and coverage of answers (with cross-fitted thresholds) have 95% Wilson intervals;
    balanced_accuracy and log_loss have their standard deviation over folds. ece_uncalibrated is the ECE of the raw softmax; ece_by_chance
    is the ECE that a perfectly calibrated model would show on as many rows.
    """
    n, k = proba.shape
    top, picked = proba.max(axis=1), proba.argmax(axis=1)
    correct = picked == y
    answered = cal.crossfit_selective(top, correct, fold, target_error)
    raw = cal.softmax(logits)
    confusion = np.zeros((k, k), dtype=int)
    np.add.at(confusion, (y, picked), 1)
    report: dict[str, Any] = {
        "accuracy": cal.proportion(correct),
        "majority_share": float(np.bincount(y, minlength=k).max() / n),
        "balanced_accuracy": _recall(proba, y),
        "log_loss": log_loss(proba, y),
        "brier": float(((proba - np.eye(k)[y]) ** 2).sum(axis=1).mean()),
        "ece": cal.expected_calibration_error(top, correct),
        "ece_by_chance": cal.calibration_error_by_chance(top),
        "ece_uncalibrated": cal.expected_calibration_error(raw.max(axis=1), raw.argmax(axis=1) == y),
        "recall": {c: cal.proportion(correct[y == i]) for i, c in enumerate(classes)},
        "confusion": {"rows_are_labels": True, "classes": list(classes), "counts": confusion.tolist()},
        "reliability": cal.reliability(top, correct),
        "risk_coverage": cal.risk_coverage(top, correct),
        "target_error": target_error,
        "coverage": cal.proportion(answered),
        "answered_error": _or_none(cal.proportion(~correct[answered])),
        "over_folds": {},
    }
    for name, measure in (("accuracy", _accuracy), ("balanced_accuracy", _recall), ("log_loss", log_loss)):
        values = [measure(proba[fold == f], y[fold == f]) for f in np.unique(fold)]
        report["over_folds"][name] = {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1))}
    return report


@dataclass(frozen=True)
class FittedRollup:
    """The decision in an attribute's coarser classes: sums of its classes' probabilities, with their own calibration and threshold.

    The sums need a second calibration, because probabilities calibrated per class may be miscalibrated for unions of classes.
    """

    classes: tuple[str, ...]
    calibration: cal.Calibration
    threshold: float

    def apply(self, proba: Floats, fine: Sequence[str], coarse_of: Mapping[str, str]) -> Floats:
        """(n, m) calibrated probabilities of `classes` from probabilities (n, k) of `fine`. coarse_of: fine class → coarse class."""
        return self.calibration.apply(_log_sums(proba, fine, self.classes, coarse_of))


def fit_rollup(
    proba: Floats, y: Ints, fold: Ints, fine: Sequence[str], rollup: Rollup, target_error: float
) -> tuple[FittedRollup | None, dict[str, Any]]:
    """(fitted roll-up of out-of-fold probabilities (n, k), its metrics); (None, {}) if only one coarse class occurs."""
    names = tuple(c for c in rollup.classes if any(rollup.of[e] == c for e in fine))
    if len(names) < 2:
        return None, {}
    sums = _log_sums(proba, fine, names, rollup.of)
    coarse = np.array([names.index(rollup.of[e]) for e in fine], dtype=np.intp)[y]
    p = cal.crossfit_calibration(sums, coarse, fold, balanced=False)
    top, right = p.max(axis=1), p.argmax(axis=1) == coarse
    said = cal.crossfit_selective(top, right, fold, target_error)
    figures: dict[str, Any] = {
        "classes": list(names),
        "accuracy": cal.proportion(right),
        "ece": cal.expected_calibration_error(top, right),
        "coverage": cal.proportion(said),
        "answered_error": _or_none(cal.proportion(~right[said])),
    }
    calibration = cal.fit_calibration(sums, coarse, balanced=False)
    return FittedRollup(names, calibration, cal.choose_threshold(top, right, target_error)), figures


def _log_sums(proba: Floats, fine: Sequence[str], names: Sequence[str], coarse_of: Mapping[str, str]) -> Floats:
    sums = np.zeros((len(proba), len(names)))
    for column, name in enumerate(fine):
        sums[:, names.index(coarse_of[name])] += proba[:, column]
    return np.asarray(np.log(np.maximum(sums, 1e-12)))


def _accuracy(proba: Floats, y: Ints) -> float:
    return float((proba.argmax(axis=1) == y).mean())


def _recall(proba: Floats, y: Ints) -> float:
    """Balanced accuracy: the mean recall over the classes that occur."""
    picked = proba.argmax(axis=1)
    return float(np.mean([(picked[y == c] == c).mean() for c in np.unique(y)]))


def log_loss(proba: Floats, y: Ints) -> float:
    """Mean negative log-likelihood of the labels (n,) under probabilities (n, k)."""
    return float(log_losses(proba, y).mean())


def _or_none(share: dict[str, float]) -> dict[str, float] | None:
    return share if share["n"] else None  # without answers there is no error
