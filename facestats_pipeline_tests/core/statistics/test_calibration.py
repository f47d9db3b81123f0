import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.statistics import calibration as cal


def drawn(n: int, k: int, seed: int = 0, spread: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels that are drawn from their softmax: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, k)) * spread
    p = cal.softmax(z)
    return z, (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)


def test_wilson_against_published_values() -> None:
    # Newcombe (1998), Table I, method 3: 81/263, 15/148, 0/20, 1/29
    for k, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert cal.wilson(k, n) == pytest.approx((low, high), abs=5e-5)
    assert cal.wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_holds_the_share(k: int, n: int) -> None:
    k = min(k, n)
    low, high = cal.wilson(k, n)
    assert 0 <= low <= k / n + 1e-12
    assert k / n - 1e-12 <= high <= 1


@pytest.mark.parametrize("factor", [0.01, 0.3, 1.0, 7.0, 500.0])
def test_temperature_undoes_a_scale(factor: float) -> None:
    z, y = drawn(4000, 5)
    assert cal.fit_calibration(z * factor, y, balanced=False).temperature == pytest.approx(factor, rel=0.08)


def test_biases_bring_back_frequencies_that_balancing_took_out() -> None:
    rng = np.random.default_rng(0)
    prior = np.array([0.9, 0.1])
    y = (rng.random(4000) < prior[1]).astype(int)
    x = rng.normal(size=4000) + 2 * y
    balanced = 2 * x - 2  # log-likelihood ratio alone
    p = cal.fit_calibration(np.stack([-balanced / 2, balanced / 2], axis=1), y).apply(
        np.stack([-balanced / 2, balanced / 2], axis=1)
    )
    truth = 1 / (1 + np.exp(-(balanced + math.log(prior[1] / prior[0]))))
    assert np.abs(p[:, 1] - truth).mean() < 0.01
    assert p[:, 1].mean() == pytest.approx(y.mean(), abs=0.01)


def test_a_rare_class_gets_no_bias_of_its_own_from_a_handful_of_rows() -> None:
    z, y = drawn(60, 3)
    y = np.where(y == 2, 0, y)
    y[:2] = 2
    bias = np.array(cal.fit_calibration(z, y).bias)
    assert np.isfinite(bias).all()
    assert bias.sum() == pytest.approx(0, abs=1e-9)


def test_ece_is_low_for_calibrated_and_exact_for_a_known_gap() -> None:
    z, y = drawn(20_000, 4)
    p = cal.softmax(z)
    assert cal.expected_calibration_error(p.max(axis=1), p.argmax(axis=1) == y) < 0.015
    assert cal.expected_calibration_error([0.9] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.4)
    assert math.isnan(cal.expected_calibration_error([], []))


def test_cross_fitted_calibration_never_sees_its_fold() -> None:
    z, y = drawn(200, 3)
    fold = np.arange(200) % 4
    p = cal.crossfit_calibration(z, y, fold)
    changed = y.copy()
    changed[fold == 0] = (changed[fold == 0] + 1) % 3
    q = cal.crossfit_calibration(z, changed, fold)
    assert np.allclose(p[fold == 0], q[fold == 0])
    assert not np.allclose(p[fold == 1], q[fold == 1])


def test_reliability_rows_cover_every_answer() -> None:
    rows = cal.reliability([0.0, 0.5, 1.0, 0.99], [False, True, True, True], bins=10)
    assert sum(r["n"] for r in rows) == 4
    assert all(r["ci_lo"] <= r["accuracy"] <= r["ci_hi"] for r in rows)


def test_risk_coverage_ends_at_the_whole_error() -> None:
    rows = cal.risk_coverage([0.9, 0.8, 0.7, 0.6], [True, True, False, False])
    assert [r["risk"] for r in rows] == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert rows[-1]["coverage"] == 1


def test_threshold_edges() -> None:
    assert cal.choose_threshold([], [], 0.05) == cal.NEVER
    assert cal.choose_threshold([0.9] * 100, [True] * 100, 0.05) == 0.0
    assert cal.choose_threshold([0.9] * 100, [False] * 100, 0.05) == cal.NEVER
    assert cal.choose_threshold([0.9] * 10, [True] * 10, 0.05) == cal.NEVER  # ten right answers do not show 5%
    p, ok = np.r_[np.full(50, 0.9), np.full(50, 0.6)], np.r_[np.ones(50, bool), np.zeros(50, bool)]
    assert cal.choose_threshold(p, ok, 0.05) == pytest.approx(0.75)


def test_threshold_keeps_the_target_on_new_rows() -> None:
    errors, coverage = [], []
    for seed in range(20):
        z, y = drawn(3000, 2, seed=seed)
        p = cal.softmax(z)
        top, ok = p.max(axis=1), p.argmax(axis=1) == y
        threshold = cal.choose_threshold(top[:1500], ok[:1500], 0.05)
        answered = top[1500:] >= threshold
        errors.append((~ok[1500:])[answered].mean())
        coverage.append(answered.mean())
    assert np.mean(errors) == pytest.approx(0.05, abs=0.01)
    assert np.mean(coverage) > 0.25  # an oracle that knows the error at each confidence answers 0.32


def test_conformal_quantile_by_hand() -> None:
    assert cal.conformal_quantile(range(1, 10), 0.9) == 9
    assert cal.conformal_quantile(range(1, 9), 0.9) == math.inf
    assert cal.conformal_quantile(range(1, 100), 0.5) == 50


def test_conformal_coverage_on_new_rows() -> None:
    rng = np.random.default_rng(0)
    inside = [
        np.mean(np.abs(rng.normal(size=200)) <= cal.conformal_quantile(np.abs(rng.normal(size=60)), 0.9))
        for _ in range(200)
    ]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.015)


def test_crossfit_coverage_is_near_nominal() -> None:
    scores = np.abs(np.random.default_rng(1).normal(size=2000))
    assert cal.crossfit_coverage(scores, np.arange(2000) % 5, 0.8).mean() == pytest.approx(0.8, abs=0.02)
