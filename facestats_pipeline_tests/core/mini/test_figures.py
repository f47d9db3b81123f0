"""The figures of the model card against cases with a known answer."""

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.mini.figures import Share, attribute_figures, identity_figures, leave_one_out_pearson


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_a_share_has_wilsons_interval() -> None:
    figure = Share(91, 100).percent()
    assert figure["value"] == 91.0
    assert (figure["lo"], figure["hi"]) == (pytest.approx(83.8, abs=0.1), pytest.approx(95.2, abs=0.1))


def test_accuracy_overall_and_per_group_and_without_missing_labels() -> None:
    labels = pl.DataFrame({"gender": ["Female", "Male", "Male", None], "race": ["White", "White", "Black", "Black"]})
    scores = {"gender": np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)}
    figures = attribute_figures(scores, labels)
    assert (figures["gender"]["value"], figures["gender"]["n"]) == (pytest.approx(66.67), 3)
    assert (figures["gender | White"]["value"], figures["gender | White"]["n"]) == (50.0, 2)
    assert (figures["gender | Black"]["value"], figures["gender | Black"]["n"]) == (100.0, 1)


def test_leave_one_out_finds_a_linear_target() -> None:
    rng = np.random.default_rng(0)
    x = unit(rng.normal(size=(40, 8)))
    signal = x[:, 0].astype(np.float64) + 0.02 * rng.normal(size=40)
    found = leave_one_out_pearson(x, signal)
    assert found["value"] > 0.9
    assert found["lo"] < found["value"] < found["hi"]


@pytest.mark.slow
def test_leave_one_out_finds_nothing_in_noise() -> None:
    x = unit(np.random.default_rng(0).normal(size=(40, 8)))
    # Of noise, leave-one-out predicts the mean of the others, which falls where the left-out value is high: r is negative then.
    noise = [leave_one_out_pearson(x, np.random.default_rng(seed).normal(size=40))["value"] for seed in range(9)]
    assert np.median(noise) < 0.2


def test_identity_of_a_perfect_and_of_a_blind_embedding() -> None:
    rng = np.random.default_rng(0)
    people = unit(rng.normal(size=(50, 32)))
    assert identity_figures(people, people) == {"rank1": 100.0, "equal_error": 0.0, "n": 50}
    blind = identity_figures(people, unit(rng.normal(size=(50, 32))))
    assert blind["rank1"] < 15
    assert 35 < blind["equal_error"] < 65
