"""Intervals hold what they say, know that rows of one group are not independent, and agree with plain formulas."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss

from facestats_pipeline.core.statistics.bootstrap import (
    calibration_figures,
    classifier_figures,
    intervals,
    regression_figures,
)
from facestats_pipeline.core.statistics.calibration import calibration_error_by_chance, expected_calibration_error


def probabilities(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of three classes, and labels drawn by them."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([1.0, 1.0, 1.0], n)
    return proba, (rng.random((n, 1)) > proba.cumsum(axis=1)).sum(axis=1)


def test_values_are_those_of_plain_formulas() -> None:
    proba, y = probabilities(500, 0)
    found = intervals(classifier_figures(proba, y), np.arange(500), resamples=50)
    assert found["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(y, proba.argmax(axis=1)))
    assert found["log_loss"]["value"] == pytest.approx(log_loss(y, proba))
    top, right = proba.max(axis=1), proba.argmax(axis=1) == y
    assert found["ece"]["value"] == pytest.approx(expected_calibration_error(top, right))
    rng = np.random.default_rng(1)
    truth = rng.normal(size=300)
    said = truth + rng.normal(size=300)
    numbers = intervals(regression_figures(said, truth), np.arange(300), resamples=200)
    assert numbers["mae"]["value"] == pytest.approx(np.abs(said - truth).mean())
    assert numbers["rmse"]["value"] == pytest.approx(np.sqrt(((said - truth) ** 2).mean()))
    assert numbers["pearson"]["value"] == pytest.approx(np.corrcoef(said, truth)[0, 1])
    for figure in numbers.values():
        assert figure["ci_lo"] < figure["value"] < figure["ci_hi"]


def test_intervals_cover_the_truth() -> None:
    hits = 0
    for seed in range(60):
        values = np.random.default_rng(seed).exponential(1.0, 200)
        found = intervals(lambda w, v=values: {"mean": w @ v / w.sum(axis=1)}, np.arange(200), seed=seed, resamples=300)
        hits += found["mean"]["ci_lo"] <= 1 <= found["mean"]["ci_hi"]
    assert 51 <= hits <= 60  # 57 expected


def test_rows_of_one_group_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=50), 8)

    def width(groups: np.ndarray) -> float:
        mean = intervals(lambda w: {"mean": w @ values / w.sum(axis=1)}, groups)["mean"]
        return mean["ci_hi"] - mean["ci_lo"]

    assert width(np.repeat(np.arange(50), 8)) == pytest.approx(np.sqrt(8) * width(np.arange(400)), rel=0.25)


@pytest.mark.slow
def test_the_calibration_error_is_bracketed_as_it_is_measured() -> None:
    values, found = [], []
    for seed in range(30):
        proba, y = probabilities(400, seed)
        figures = calibration_figures(proba.max(axis=1), proba.argmax(axis=1) == y)
        found.append(intervals(figures, np.arange(400), resamples=200)["ece"])
        values.append(found[-1]["value"])
        chance = calibration_error_by_chance(proba.max(axis=1))
    assert np.mean(values) == pytest.approx(chance, rel=0.2)  # of calibrated models all of it is noise
    assert sum(f["ci_lo"] <= np.mean(values) <= f["ci_hi"] for f in found) >= 25  # 28.5 expected
    off = np.full(2000, 0.9)
    sure = intervals(calibration_figures(off, np.random.default_rng(0).random(2000) < 0.8), np.arange(2000))["ece"]
    assert 0.05 < sure["ci_lo"] < 0.1 < sure["ci_hi"]
