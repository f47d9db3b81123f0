"""Evaluates probes on photos not used for fitting, calibration or thresholds.

`answers` and `years` give one row per photo; the rows may come from several probes that each leave out other photos. The `…_figures`
functions compute metrics from them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.attributes.catalogue import AGE, BUILT_IN, Catalogue
from facestats_pipeline.core.attributes.probe_age import MIN_YEARS, TrainedAge, within_bins
from facestats_pipeline.core.attributes.probe_classifier import TrainedProbe
from facestats_pipeline.core.statistics import calibration as cal
from facestats_pipeline.core.statistics.bootstrap import calibration_figures, intervals, regression_figures

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def answers(probe: TrainedProbe, x: npt.ArrayLike, labels: Sequence[str | None]) -> pl.DataFrame:
    """row, confidence, correct, answered for those of n photos that have a label and an embedding. x: (n, d).

    A label whose class the probe does not know counts as an error.
    """
    rows = np.asarray(x, dtype=np.float32)
    at = np.array([v is not None and v != UNKNOWN for v in labels], dtype=bool) & np.isfinite(rows).all(axis=1)
    return _answers(probe.predict_proba(rows[at]), probe.classes, probe.threshold, labels, np.flatnonzero(at))


def rolled_answers(
    probe: TrainedProbe, x: npt.ArrayLike, labels: Sequence[str | None], catalogue: Catalogue = BUILT_IN
) -> pl.DataFrame:
    """As `answers`, of the roll-up in coarser classes, with its own threshold. ValueError for a probe without one."""
    rollup = catalogue[probe.attribute].rollup
    if probe.rollup is None or rollup is None:
        raise ValueError(f"the probe of {probe.attribute} has no roll-up")
    rows, coarse = np.asarray(x, dtype=np.float32), [rollup.of.get(str(v)) for v in labels]
    at = np.array([v is not None for v in coarse], dtype=bool) & np.isfinite(rows).all(axis=1)
    proba = probe.rollup.apply(probe.predict_proba(rows[at]), probe.classes, rollup.of)
    return _answers(proba, probe.rollup.classes, probe.rollup.threshold, coarse, np.flatnonzero(at))


def years(
    age: TrainedAge, x: npt.ArrayLike, known: Sequence[float | None], bins: Sequence[str | None], *, seed: int = 0
) -> pl.DataFrame:
    """row, truth, years, low, high for the photos with an embedding and an age. x: (n, d).

    If fewer than MIN_YEARS ages are known, the others are sampled uniformly within their bins, as in training.
    """
    rows = np.asarray(x, dtype=np.float32)
    truth = np.array([np.nan if v is None else float(v) for v in known])
    if np.isfinite(truth).sum() < MIN_YEARS:
        truth = within_bins(truth, bins, seed)
    at = np.flatnonzero(np.isfinite(rows).all(axis=1) & np.isfinite(truth))
    said, low, high = age.predict_years(rows[at], age.probe.predict_proba(rows[at]))
    return pl.DataFrame({"row": at, "truth": truth[at], "years": said, "low": low, "high": high})


def classifier_figures(table: pl.DataFrame, target_error: float, groups: Ints, *, seed: int = 0) -> dict[str, Any]:
    """Metrics of a table of `answers`. groups: (n,) group of each row, for the bootstrap.

    The keys: n; accuracy, coverage (share answered) and answered_error (None without answers) with Wilson intervals; ece with a bootstrap
    interval, ece_by_chance; target_error; target_met: whether the target is at least the lower end of the interval of answered_error.
    """
    confidence, right, answered = (table[c].to_numpy() for c in ("confidence", "correct", "answered"))
    error = cal.proportion(~right[answered]) if answered.any() else None
    return {
        "n": table.height,
        "accuracy": cal.proportion(right),
        **intervals(calibration_figures(confidence, right), _numbered(groups, table), seed=seed),
        "ece_by_chance": cal.calibration_error_by_chance(confidence, seed=seed),
        "target_error": target_error,
        "coverage": cal.proportion(answered),
        "answered_error": error,
        "target_met": error is None or error["ci_lo"] <= target_error,
    }


def years_figures(table: pl.DataFrame, nominal: float, groups: Ints, *, seed: int = 0) -> dict[str, Any]:
    """Metrics of a table of `years`: mae, rmse, pearson with bootstrap intervals; interval_coverage with Wilson's, also by age bin."""
    truth, said, low, high = (table[c].to_numpy() for c in ("truth", "years", "low", "high"))
    inside = (low <= truth) & (truth <= high)
    band = np.array([AGE.class_of_years(v) for v in truth.tolist()])
    return {
        "n": table.height,
        **intervals(regression_figures(said, truth), _numbered(groups, table), seed=seed),
        "nominal": nominal,
        "interval_coverage": cal.proportion(inside),
        "median_width": float(np.median(high - low)),
        "by_bin": {b: cal.proportion(inside[band == b]) for b in AGE.classes if (band == b).any()},
    }


def _answers(
    proba: Floats, classes: Sequence[str], threshold: float, labels: Sequence[str | None], at: Ints
) -> pl.DataFrame:
    top = proba.max(axis=1)
    said = [classes[i] for i in proba.argmax(axis=1).tolist()]
    correct = np.array([name == labels[i] for name, i in zip(said, at.tolist(), strict=True)], dtype=bool)
    return pl.DataFrame({"row": at, "confidence": top, "correct": correct, "answered": top >= threshold})


def _numbered(groups: Ints, table: pl.DataFrame) -> Ints:
    return np.asarray(np.unique(groups[table["row"].to_numpy()], return_inverse=True)[1], dtype=np.intp)
