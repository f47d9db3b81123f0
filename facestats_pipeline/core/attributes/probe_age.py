"""The age model: a probe of age bins, plus years with a conformal interval."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from facestats_pipeline.core.attributes.attribute import MAX_AGE, Attribute
from facestats_pipeline.core.attributes.catalogue import AGE
from facestats_pipeline.core.attributes.duplicate_groups import DuplicateGroups
from facestats_pipeline.core.attributes.probe_classifier import MIN_PER_CLASS, TrainedProbe, train_classifier
from facestats_pipeline.core.single_thread import single_threaded
from facestats_pipeline.core.statistics import calibration as cal
from facestats_pipeline.core.statistics.bootstrap import intervals, regression_figures
from facestats_pipeline.core.statistics.folds import group_ids
from facestats_pipeline.core.training.provenance import Provenance

Floats = npt.NDArray[np.float64]
Edges = dict[str, tuple[float, float]]

MIN_YEARS = 50
"""From this many rows with an age in years on, years are learned from those rows alone."""
FROM_BINS = "bins (ages taken as uniform within a bin)"
ALPHAS = tuple(10.0**e for e in range(1, 7))


@dataclass(frozen=True)
class TrainedAge:
    """Age bins from a calibrated probe; years from the bins' centres and a ridge regression; a conformal interval.

    Attributes:
        probe: the classifier of age bins.
        centres, widths: (k,) centre and width in years of each bin that the probe knows.
        ridge: StandardScaler and Ridge from embeddings to years; None if the bins alone do better.
        ridge_share: weight of the ridge in the years, 0–1; the rest is the expected value of the bins.
        quantile: half-width of the interval in units of the predicted spread.
        coverage: the nominal coverage of the interval.
        report: JSON-able metrics.
        oof_years: (n, 3) f32 out-of-fold years, lower and upper bound of the training rows; empty if unknown.
    """

    probe: TrainedProbe
    centres: tuple[float, ...]
    widths: tuple[float, ...]
    ridge: Pipeline | None
    ridge_share: float
    quantile: float
    coverage: float
    report: dict[str, Any]
    oof_years: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    @property
    def metrics(self) -> dict[str, float | int | str]:
        """The few metrics to show with the model, for bins and years."""
        interval = self.report["interval"]
        return self.probe.metrics | {
            "years_from": str(self.report["basis"]),
            "years_mae": float(self.report["mae"]["value"]),
            "years_interval_coverage": float(interval["coverage"]["value"]),
            "years_interval_width": float(interval["median_width"]),
        }

    def predict_years(self, x: npt.ArrayLike, proba: Floats) -> tuple[Floats, Floats, Floats]:
        """(years, lower, upper), each (n,) f64, from embeddings (n, d) and their bin probabilities (n, k); NaN for NaN probabilities."""
        rows = np.asarray(x, dtype=np.float32)
        expected, spread = _expected(proba, np.array(self.centres), np.array(self.widths))
        years = expected
        finite = np.isfinite(expected)
        if self.ridge is not None and finite.any():
            years = expected.copy()
            years[finite] = _mix(expected[finite], np.asarray(self.ridge.predict(rows[finite])), self.ridge_share)
        return _bounded(years, self.quantile * spread)


@single_threaded
def train_age(
    x: npt.ArrayLike,
    years: Sequence[float | None] | None,
    age_bin: Sequence[str | None],
    *,
    image_ids: Sequence[str],
    encoder_id: str,
    provenance: Provenance | None,
    groups: Sequence[Hashable | None] | None = None,
    duplicates: DuplicateGroups | None = None,
    seed: int = 0,
    folds: int = 5,
    kind: Literal["auto", "logistic", "lightgbm"] = "auto",
    target_error: float | None = None,
    coverage: float = 0.9,
    min_per_class: int = MIN_PER_CLASS,
    start: TrainedProbe | None = None,
    threads: int = 1,
    attribute: Attribute = AGE,
) -> TrainedAge:
    """Train age bins and years on embeddings (n, d).

    years: known ages, None if unknown. age_bin: the bins; a known age fills in a missing one. With at least MIN_YEARS known ages, years
    are fitted and evaluated on those rows. With fewer, the age is assumed uniform within its bin (the last one as 70–90), which makes
    intervals too wide rather than too narrow; `basis` in the report tells which. The interval is split-conformal on out-of-fold residuals
    scaled by the predicted spread (Lei et al., 2018), so it is wider where the bins are less sure. Raises like `train_classifier`.
    """
    rows = np.asarray(x, dtype=np.float32)
    known = np.array([np.nan if v is None else float(v) for v in (years if years is not None else [None] * len(rows))])
    bins = [b if b is not None else attribute.class_of_years(v) for b, v in zip(age_bin, known, strict=True)]
    probe = train_classifier(
        rows,
        bins,
        attribute,
        image_ids=image_ids,
        encoder_id=encoder_id,
        provenance=provenance,
        groups=groups,
        duplicates=duplicates,
        seed=seed,
        folds=folds,
        kind=kind,
        target_error=target_error,
        min_per_class=min_per_class,
        start=start,
        threads=threads,
    )
    position = {image_id: i for i, image_id in enumerate(image_ids)}
    at = np.array([position[i] for i in probe.image_ids])
    ids = group_ids(groups, len(rows)) if duplicates is None else duplicates.ids
    return with_years(probe, rows[at], known[at], groups=ids[at], seed=seed, coverage=coverage, attribute=attribute)


def with_years(
    probe: TrainedProbe,
    rows: npt.NDArray[np.float32],
    known: Floats,
    *,
    seed: int,
    coverage: float,
    groups: npt.NDArray[np.intp] | None = None,
    attribute: Attribute = AGE,
) -> TrainedAge:
    """Fit years and their interval on top of a probe of age bins, on the rows that it was calibrated on.

    rows: (n, d) embeddings in the order of `probe.oof_target`. known: (n,) ages, NaN if unknown. groups: (n,) groups for the bootstrap of
    the metrics; by default each row is its own group.
    """
    target, basis = _target_years(known, probe, attribute, seed)
    use = np.isfinite(target)
    centres, widths = _bins(probe, known, attribute)
    expected, spread = _expected(probe.oof_proba.astype(np.float64), centres, widths)
    fold, linear = probe.oof_fold, np.full(len(rows), np.nan)
    for f in np.unique(fold):
        seen = use & (fold != f)
        linear[fold == f] = _ridge().fit(rows[seen], target[seen]).predict(rows[fold == f])
    maes = {share: float(np.abs(_mix(expected, linear, share) - target)[use].mean()) for share in (0.0, 0.5, 1.0)}
    share = min(maes, key=lambda s: maes[s])
    years = _mix(expected, linear, share)
    scores = np.abs(np.clip(years, 0, MAX_AGE) - target) / spread
    quantile = _quantile(scores[use], coverage)
    # Each fold's interval comes from the other folds' residuals, so the stored out-of-fold intervals are those whose coverage is measured.
    reach = np.array([_quantile(scores[use & (fold != f)], coverage) for f in range(int(fold.max()) + 1)])[fold]
    oof = np.stack(_bounded(years, reach * spread), axis=1)
    predicted, y_use, labels = oof[use, 0], target[use], probe.oof_target[use]
    inside = (scores <= reach)[use]
    errors = np.abs(predicted - y_use)
    together = np.unique((np.arange(len(rows)) if groups is None else groups)[use], return_inverse=True)[1]
    said = probe.oof_proba.argmax(axis=1)[use]
    report = {
        "basis": basis,
        "n": len(y_use),
        "mae": {"value": float(errors.mean()), "se": float(errors.std(ddof=1) / np.sqrt(len(errors)))},
        "rmse": float(np.sqrt((errors**2).mean())),
        "pearson": float(np.corrcoef(predicted, y_use)[0, 1]),
        "intervals": intervals(regression_figures(predicted, y_use), together, seed=seed),
        "mae_by_share_of_ridge": {str(s): m for s, m in maes.items()},
        "ridge_share": share,
        "interval": {
            "nominal": coverage,
            "coverage": cal.proportion(inside),
            "median_width": float(np.median((oof[:, 2] - oof[:, 1])[use])),
            "by_bin": _by_class(inside, labels, probe.classes),
            "by_predicted_bin": _by_class(inside, said, probe.classes),
        },
    }
    ridge = _ridge().fit(rows[use], y_use) if share > 0 else None
    numbers = (tuple(centres.tolist()), tuple(widths.tolist()))
    return TrainedAge(probe, *numbers, ridge, share, quantile, coverage, report, oof.astype(np.float32))


def _by_class(inside: npt.NDArray[np.bool_], number: npt.NDArray[np.intp], classes: Sequence[str]) -> dict[str, Any]:
    return {c: cal.proportion(inside[number == i]) for i, c in enumerate(classes) if (number == i).any()}


def _quantile(scores: Floats, coverage: float) -> float:
    """`conformal_quantile`, capped at MAX_AGE: with too few rows for the coverage, the interval spans all ages."""
    return min(cal.conformal_quantile(scores, coverage), MAX_AGE)


def _bounded(years: Floats, reach: Floats) -> tuple[Floats, Floats, Floats]:
    """(years, lower, upper), all clipped to 0…MAX_AGE."""
    middle = np.clip(years, 0, MAX_AGE)
    return middle, np.clip(middle - reach, 0, MAX_AGE), np.clip(middle + reach, 0, MAX_AGE)


def _edges(attribute: Attribute) -> Edges:
    """Class → [from, to) in years. ValueError for an attribute without years."""
    if attribute.years is None:
        raise ValueError(f"{attribute.name} has no years")
    return dict(zip(attribute.classes, attribute.years, strict=True))


def within_bins(known: Floats, bins: Sequence[str | None], seed: int, attribute: Attribute = AGE) -> Floats:
    """(n,) ages in years: the known ones; for the others a uniform sample from the bin; NaN without either."""
    edges_of = _edges(attribute)
    edges = np.array([(np.nan, np.nan) if b is None else edges_of[b] for b in bins]).reshape(-1, 2)
    drawn = edges[:, 0] + (edges[:, 1] - edges[:, 0]) * np.random.default_rng(seed).random(len(edges))
    return np.where(np.isfinite(known), known, drawn)


def _target_years(known: Floats, probe: TrainedProbe, attribute: Attribute, seed: int) -> tuple[Floats, str]:
    """(target years, NaN for rows to leave out; their basis, for the report)."""
    if np.isfinite(known).sum() >= MIN_YEARS:
        return known, "years"
    return within_bins(known, [probe.classes[i] for i in probe.oof_target], seed, attribute), FROM_BINS


def _bins(probe: TrainedProbe, known: Floats, attribute: Attribute) -> tuple[Floats, Floats]:
    """(centres, widths) of the probe's bins in years. A bin with at least ten known ages is centred on their mean."""
    edges_of = _edges(attribute)
    edges = np.array([edges_of[c] for c in probe.classes], dtype=np.float64)
    centres = edges.mean(axis=1)
    for i in range(len(centres)):
        ages = known[(probe.oof_target == i) & np.isfinite(known)]
        if len(ages) >= 10:
            centres[i] = ages.mean()
    return centres, edges[:, 1] - edges[:, 0]


def _expected(proba: Floats, centres: Floats, widths: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (at least one year) of the age under bin probabilities, with uniform density within a bin."""
    mean = proba @ centres
    variance = proba @ (centres**2 + widths**2 / 12) - mean**2
    return mean, np.sqrt(np.maximum(variance, 1.0))


def _mix(expected: Floats, linear: Floats, share: float) -> Floats:
    return np.asarray((1 - share) * expected + share * linear)


def _ridge() -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("ridge", RidgeCV(alphas=ALPHAS))])
