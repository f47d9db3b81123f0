"""The bias audit: compares a model's metrics between groups and intersections, with intervals and correction for multiple testing.

Each metric is the mean of one number per photo (answered, correct, error, truth within the interval, confidence minus accuracy, score),
so one small engine computes all. Proportions get Wilson intervals and Fisher's exact test against the rest; other means get bootstrap
intervals and Welch's test. p-values are adjusted by Holm's method over all groups of one attribute and metric. Photos count as
independent: with many photos per person, the intervals are too narrow.

Fairlearn's MetricFrame gives the same group metrics (a test compares both). It has no intervals of differences, no tests and no minimum n,
and it needs pandas, so it is only a reference in the tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import fisher_exact, ttest_ind_from_stats

from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, ETHNICITY, GENDER, Catalogue
from facestats_pipeline.core.reports.bias_table import bias_table
from facestats_pipeline.core.statistics.calibration import Z95, wilson

DEFAULT_MIN_N = 30

BOOTSTRAP_ROWS = 1_000
"""Larger groups get the normal interval of the mean: the central limit theorem applies, and resampling would cost n × RESAMPLES."""

RESAMPLES = 2_000

Numbers = NDArray[np.float64]

SHARES = ("accuracy", "coverage", "interval_coverage")
"""Metrics that are proportions of photos."""
IN_SHARES = (*SHARES, "overconfidence")
"""Metrics whose gaps are differences of shares. Gaps of all other metrics are compared in standard deviations."""


@dataclass(frozen=True)
class Audit:
    """One audited prediction, given by column names.

    Args:
        attribute: its name in the result.
        prediction: out-of-fold predictions: class names (`unknown` or null for an abstention), or numbers (NaN or null for none).
        truth: people's labels of the same kind; None for a score without ratings, for which only means are compared.
        confidence: calibrated probability of a class prediction, optional.
        low, high: bounds of the interval of a number, optional.
        kind: `class` or `number`.
    """

    attribute: str
    prediction: str
    truth: str | None = None
    confidence: str | None = None
    kind: str = "class"
    low: str | None = None
    high: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("class", "number"):
            raise ValueError(f"kind={self.kind!r}: use 'class' or 'number'")
        if self.kind == "class" and self.truth is None:
            raise ValueError(f"audit of {self.attribute!r}: a class needs a truth column to be compared with")

    @property
    def columns(self) -> set[str]:
        """All columns that it names."""
        named = (self.prediction, self.truth, self.confidence, self.low, self.high)
        return {column for column in named if column is not None}


def bias_audit(
    frame: pl.DataFrame,
    audits: Sequence[Audit],
    *,
    groups: Sequence[Sequence[str]] | None = None,
    min_n: int = DEFAULT_MIN_N,
    seed: int = 0,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """Metrics of each audit for all photos and for each group: `bias_table().schema`.

    Args:
        frame: one row per photo, with the columns named by `audits` and `groups`. Groups should come from people's labels: groups predicted
            by the audited model hide its mistakes.
        audits: the predictions to compare; they must be out of fold.
        groups: columns that form groups, alone or crossed; by default `default_groups`. A photo with null or `unknown` in one of them is in
            no group of that kind.
        min_n: a smaller group is listed with its n and a note, but without metrics.
        seed: seed of the bootstrap.
        catalogue: its classes determine the order of groups.

    Raises:
        ValueError: with the names of missing columns.
    """
    groups = default_groups(catalogue) if groups is None else groups
    wanted = {c for kind in groups for c in kind}.union(*(audit.columns for audit in audits))
    if absent := sorted(wanted - set(frame.columns)):
        raise ValueError(f"the frame to audit lacks {', '.join(absent)}; it has {', '.join(frame.columns)}")
    members = list(_members(frame, groups, catalogue))
    rows: list[dict[str, Any]] = []
    for audit in audits:
        answered, metrics = _metrics(frame, audit)
        scale = _spread(frame, audit.truth or audit.prediction) if audit.kind == "number" else 1.0
        for metric, values in metrics.items():
            unit = 1.0 if metric in IN_SHARES else scale
            family = [
                _row(audit.attribute, metric, kind, group, inside, values, answered, min_n, seed)
                for kind, group, inside in members
            ]
            for row in family:
                row["gap_size"] = abs(row["gap"]) / unit if row["gap"] is not None and unit > 0 else None
            adjusted = holm([row["p"] for row in family])
            rows += [row | {"p_adjusted": p} for row, p in zip(family, adjusted, strict=True)]
    return pl.DataFrame(rows, schema=bias_table().schema)


def default_groups(catalogue: Catalogue = BUILT_IN) -> tuple[tuple[str, ...], ...]:
    """The default groups: each attribute alone, and gender × ethnicity."""
    return (*((name,) for name in catalogue.names), (GENDER.name, ETHNICITY.name))


def large_gaps(audit: pl.DataFrame, max_gap: float, max_gap_sd: float) -> pl.DataFrame:
    """Rows whose gap is too large and significant after correction; metrics in shares first, then by size.

    max_gap: limit for differences of shares. max_gap_sd: limit for errors and scores, in standard deviations (`gap_size`).
    """
    shares = pl.col("metric").is_in(IN_SHARES)
    limit = pl.when(shares).then(max_gap).otherwise(max_gap_sd)
    rows = audit.filter(pl.col("gap_size") >= limit, pl.col("p_adjusted") < 0.05)
    return rows.sort(shares, "gap_size", descending=True)


SHORT_WORDS = {
    "coverage": "share answered",
    "interval_coverage": "truth within the interval",
    "mae": "mean absolute error",
    "mean_error": "mean error",
    "mean_score": "mean score",
}
"""Metric → its name in running text, if it differs."""


def describe_gap(row: Mapping[str, Any]) -> str:
    """A row of the audit as text: `gender: accuracy 71.0% for Black, 94.8% for the rest (p < 0.001)`."""
    form = "{:.1%}" if row["metric"] in SHARES else "{:.2f}"
    mine, rest = form.format(row["value"]), form.format(row["value"] - row["gap"])
    p = "p < 0.001" if row["p_adjusted"] < 0.001 else f"p = {row['p_adjusted']:.3f}"
    metric = SHORT_WORDS.get(row["metric"], row["metric"])
    return f"{row['attribute']}: {metric} {mine} for {row['group']}, {rest} for the rest ({p})"


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted by Holm's (1979) step-down method; None values are not counted and stay None."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, index) in enumerate(known):
        running = max(running, min(1.0, p * (len(known) - rank)))
        adjusted[index] = running
    return adjusted


def _members(
    frame: pl.DataFrame, groups: Sequence[Sequence[str]], catalogue: Catalogue
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield (kind, group, bool mask of its rows), all photos first."""
    yield "all", "all", np.ones(frame.height, dtype=bool)
    places = {name: place for place, name in enumerate(name for each in catalogue for name in each.classes)}

    def order(group: str) -> list[tuple[int, str]]:
        """Sort key: known classes in the order of the catalogue (ages from young to old), then others by name."""
        return [(places.get(part, len(places)), part) for part in group.split(" × ")]

    for columns in groups:
        named = pl.all_horizontal(pl.col(c).is_not_null() & (pl.col(c) != UNKNOWN) for c in columns)
        label = pl.when(named).then(pl.concat_str([pl.col(c) for c in columns], separator=" × "))
        labels = frame.select(label.alias("group"))["group"]
        for group in sorted(labels.drop_nulls().unique().to_list(), key=order):
            yield " × ".join(columns), group, (labels == group).fill_null(False).to_numpy()


def _metrics(frame: pl.DataFrame, audit: Audit) -> tuple[Numbers, dict[str, Numbers]]:
    """(answered per photo: 1, 0, or NaN without a label; metric → value per photo, NaN if the photo does not count)."""
    labelled = np.ones(frame.height, dtype=bool)
    if audit.kind == "number":
        guess = _floats(frame, audit.prediction)
        if audit.truth is None:
            return np.where(np.isfinite(guess), 1.0, 0.0), {"mean_score": guess}
        truth = _floats(frame, audit.truth)
        labelled = np.isfinite(truth)
        answered = np.where(labelled, np.isfinite(guess).astype(float), np.nan)
        metrics = {"coverage": answered, "mean_error": guess - truth, "mae": np.abs(guess - truth)}
        if audit.low is not None and audit.high is not None:
            low, high = _floats(frame, audit.low), _floats(frame, audit.high)
            known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
            metrics["interval_coverage"] = np.where(known, ((low <= truth) & (truth <= high)).astype(float), np.nan)
        return answered, metrics
    decision, label = pl.col(audit.prediction), pl.col(str(audit.truth))
    has_label = label.is_not_null() & (label != UNKNOWN)
    has_answer = decision.is_not_null() & (decision != UNKNOWN)
    table = frame.select(labelled=has_label, answered=has_answer, right=(decision == label).fill_null(False))
    labelled, given = table["labelled"].to_numpy(), table["answered"].to_numpy()
    answered = np.where(labelled, given.astype(float), np.nan)
    right = np.where(labelled & given, table["right"].to_numpy().astype(float), np.nan)
    metrics = {"accuracy": right, "coverage": answered}
    if audit.confidence is not None:
        metrics["overconfidence"] = _floats(frame, audit.confidence) - right
    return answered, metrics


def _row(
    attribute: str,
    metric: str,
    kind: str,
    group: str,
    inside: NDArray[np.bool_],
    values: Numbers,
    answered: Numbers,
    min_n: int,
    seed: int,
) -> dict[str, Any]:
    counted = np.isfinite(values)
    mine, rest = values[inside & counted], values[~inside & counted]
    asked = answered[inside & np.isfinite(answered)]
    row: dict[str, Any] = dict.fromkeys(bias_table().schema)
    row |= {"attribute": attribute, "metric": metric, "group_kind": kind, "group": group, "n": len(mine), "note": ""}
    if len(asked) >= min_n:
        row["coverage"] = float(asked.mean())
    if len(mine) < min_n:
        return row | {"note": f"n = {len(mine)} is below {min_n}: no figure"}
    binary = metric in SHARES
    low, high = wilson(float(mine.sum()), len(mine)) if binary else _mean_interval(mine, seed)
    row |= {"value": float(mine.mean()), "ci_lo": low, "ci_hi": high}
    if kind == "all" or len(rest) < min_n:
        return row
    gap = float(mine.mean() - rest.mean())
    rest_low, rest_high = wilson(float(rest.sum()), len(rest)) if binary else _mean_interval(rest, seed)
    # Newcombe 1998, method 10 (for means: the same square-and-add of the two intervals).
    down = np.hypot(row["value"] - low, rest_high - rest.mean())
    up = np.hypot(high - row["value"], rest.mean() - rest_low)
    return row | {"gap": gap, "gap_lo": float(gap - down), "gap_hi": float(gap + up), "p": _p_value(mine, rest, binary)}


def _mean_interval(values: Numbers, seed: int) -> tuple[float, float]:
    """95% interval of the mean: percentile bootstrap, or the normal interval for large groups."""
    mean = float(values.mean())
    if len(values) > BOOTSTRAP_ROWS:
        half = Z95 * float(values.std(ddof=1)) / np.sqrt(len(values))
        return mean - half, mean + half
    picks = np.random.default_rng(seed).integers(0, len(values), size=(RESAMPLES, len(values)), dtype=np.int32)
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _p_value(mine: Numbers, rest: Numbers, binary: bool) -> float | None:
    if binary:
        table = [[mine.sum(), len(mine) - mine.sum()], [rest.sum(), len(rest) - rest.sum()]]
        return float(fisher_exact(np.asarray(table, dtype=np.int64)).pvalue)
    sds = mine.std(ddof=1), rest.std(ddof=1)
    if max(sds) < 1e-12:
        return None  # both groups are constant: there is no noise to test against
    means = mine.mean(), rest.mean()
    test = ttest_ind_from_stats(means[0], sds[0], len(mine), means[1], sds[1], len(rest), equal_var=False)
    return float(test.pvalue)


def _spread(frame: pl.DataFrame, column: str) -> float:
    values = _floats(frame, column)
    return float(np.nanstd(values)) if np.isfinite(values).any() else 0.0


def _floats(frame: pl.DataFrame, column: str) -> Numbers:
    return frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
