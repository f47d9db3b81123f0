"""Which model is kept, and that nobody is judged by a choice that saw them."""

import numpy as np

from facestats_pipeline.core.attractiveness.candidates import choose


def test_the_least_wrong_is_kept_and_each_part_is_judged_by_the_others_choice() -> None:
    target = np.zeros(6)
    parts = np.array([0, 0, 1, 1, 2, 2])
    ratings = {
        "steady": np.full(6, 1.0),
        "lucky": np.array([0.0, 0.0, 1.1, 1.1, 1.1, 1.1]),  # better on the whole, for the sake of part 0
    }
    kind, honest = choose(ratings, target, np.ones(6, np.float32), parts)
    assert kind == "lucky"
    assert honest.tolist() == [1.0, 1.0, 1.1, 1.1, 1.1, 1.1]


def test_rows_that_weigh_more_decide_more_and_a_tie_goes_to_the_first() -> None:
    target, parts = np.zeros(4), np.array([0, 1, 0, 1])
    ratings = {"a": np.array([2.0, 2.0, 0.0, 0.0]), "b": np.array([0.0, 0.0, 1.0, 1.0])}
    assert choose(ratings, target, np.array([1, 1, 5, 5], np.float32), parts)[0] == "a"
    assert choose(ratings, target, np.ones(4, np.float32), parts)[0] == "b"
    assert choose({"a": ratings["b"], "b": ratings["b"]}, target, np.ones(4, np.float32), parts)[0] == "a"
