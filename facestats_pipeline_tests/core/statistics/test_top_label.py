import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.statistics import calibration as cal
from facestats_pipeline.core.statistics.top_label import LEAST_ROWS, TopLabel, fit_top_label


def said_too_surely(n: int, k: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose greatest class is right less often than they say: its true log-odds are 0.7 of those, less 0.4."""
    rng = np.random.default_rng(seed)
    p = cal.softmax(rng.normal(size=(n, k)) * 1.5)
    top = p.max(axis=1)
    truth = 1 / (1 + np.exp(-(0.7 * np.log(top / (1 - top)) - 0.4)))
    right = rng.random(n) < truth
    return p, np.where(right, p.argmax(axis=1), p.argmin(axis=1))


def ece(p: np.ndarray, y: np.ndarray) -> float:
    return cal.expected_calibration_error(p.max(axis=1), p.argmax(axis=1) == y)


def test_the_line_is_found_and_the_error_is_gone_on_other_rows() -> None:
    line = fit_top_label(*said_too_surely(20_000))
    assert (line.slope, line.intercept) == pytest.approx((0.7, -0.4), abs=0.06)
    p, y = said_too_surely(20_000, seed=1)
    assert ece(p, y) > 0.08
    assert ece(line.apply(p), y) < 0.03  # the second class sets a floor where both are close


@given(
    st.integers(2, 9), st.floats(0.2, 5), st.floats(-5, 5), st.integers(0, 10_000), st.floats(0.01, 60), st.booleans()
)
def test_the_decision_and_the_order_of_the_others_never_change(
    k: int, slope: float, intercept: float, seed: int, spread: float, equal: bool
) -> None:
    z = np.random.default_rng(seed).normal(size=(20, k)) * spread
    if equal:
        z[:, 1] = z[:, 0]
    p = cal.softmax(z)
    q = TopLabel(slope, intercept).apply(p)
    np.testing.assert_allclose(q.sum(axis=1), 1, atol=1e-6)
    assert (q >= 0).all() and (q <= 1).all()
    np.testing.assert_array_equal(q.argmax(axis=1), p.argmax(axis=1))
    for before, after in zip(p, q, strict=True):
        rest = np.arange(k) != before.argmax()
        np.testing.assert_array_equal(np.argsort(before[rest], kind="stable"), np.argsort(after[rest], kind="stable"))


def test_no_row_and_rows_without_numbers_pass_through() -> None:
    line = TopLabel(0.5, -0.1)
    assert line.apply(np.empty((0, 3))).shape == (0, 3)
    p = np.array([[np.nan, np.nan, np.nan], [0.2, 0.5, 0.3]])
    q = line.apply(p)
    assert np.isnan(q[0]).all() and np.isfinite(q[1]).all()


def test_few_rows_change_nothing() -> None:
    p, y = said_too_surely(LEAST_ROWS - 1)
    assert fit_top_label(p, y) == TopLabel()


def test_a_calibration_holds_for_the_greatest_class_where_temperature_alone_does_not() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=(12_000, 4)) * 2
    p = cal.softmax(z)
    top = p.max(axis=1)
    # right as often as said at both ends, less in the middle: no temperature can do that
    right = rng.random(len(z)) < np.where((top > 0.4) & (top < 0.75), top - 0.12, top)
    y = np.where(right, p.argmax(axis=1), np.argsort(p, axis=1)[:, -2])
    fold = np.arange(len(z)) % 4
    crossed = np.empty_like(p)
    for f in range(4):
        found = cal.fit_calibration(z[fold != f], y[fold != f], balanced=False)
        crossed[fold == f] = cal.Calibration(found.temperature, found.bias).apply(z[fold == f])
    with_top = cal.crossfit_calibration(z, y, fold, balanced=False)
    assert ece(with_top, y) < 0.8 * ece(crossed, y)
