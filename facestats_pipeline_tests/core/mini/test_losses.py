"""Loss terms against cases that can be worked out by hand."""

import math

import pytest
import torch

from facestats_pipeline.core.mini.losses import (
    Heads,
    blend_soft,
    classification,
    many_positives,
    soft_targets,
    view_contrast,
)


def test_soft_targets_are_probabilities_with_their_peak_at_the_label() -> None:
    labels = torch.tensor([[0, 3, 4], [1, 6, 0]])
    targets = soft_targets(labels, 0.1)
    for column, name in enumerate(("gender", "ethnicity", "age_bin")):
        torch.testing.assert_close(targets[name].sum(1), torch.ones(2))
        assert targets[name].argmax(1).tolist() == labels[:, column].tolist()
    age = targets["age_bin"][0]
    assert age[3] == age[5] > age[2]


def test_a_soft_label_takes_its_share_of_each_target() -> None:
    targets = soft_targets(torch.tensor([[0, 3, 4]]), 0.0)
    soft = torch.cat([torch.tensor([[0.2, 0.8]]), torch.full((1, 7), 1 / 7), torch.eye(9)[4:5]], 1)
    blended = blend_soft(targets, soft, 0.25)
    torch.testing.assert_close(blended["gender"], torch.tensor([[0.75 + 0.05, 0.2]]))
    torch.testing.assert_close(blended["ethnicity"][0, 3], torch.tensor(0.75 + 0.25 / 7))
    torch.testing.assert_close(blended["age_bin"], 0.75 * targets["age_bin"] + 0.25 * torch.eye(9)[4:5])


def test_many_positives_is_the_mean_over_right_answers() -> None:
    similarity = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    loss = many_positives(similarity, torch.tensor([[True, True, False]]))
    assert float(loss) == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2, abs=1e-6)


def test_rows_that_match_nothing_or_everything_say_nothing() -> None:
    similarity = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    matches = torch.tensor([[False] * 4, [True] * 4, [True, False, False, False]])
    assert float(many_positives(similarity, matches)) == pytest.approx(
        float(many_positives(similarity[2:], matches[2:]))
    )
    assert float(many_positives(similarity, torch.zeros(3, 4, dtype=torch.bool))) == 0.0


def test_views_that_agree_cost_less_than_views_that_do_not() -> None:
    views = torch.eye(8)
    right = float(view_contrast(views, views))
    wrong = float(view_contrast(views, views.roll(1, 0)))
    assert right == pytest.approx(math.log(1 + 14 * math.exp(-1 / 0.15)), abs=1e-4)
    assert wrong > right + 3


def test_heads_have_one_classifier_per_attribute() -> None:
    torch.manual_seed(0)
    heads = Heads(16)
    unit = torch.nn.functional.normalize(torch.randn(5, 16), dim=1)
    logits = heads.logits(unit)
    assert {name: value.shape[1] for name, value in logits.items()} == {"gender": 2, "ethnicity": 7, "age_bin": 9}


def test_classification_of_one_who_knows_nothing_costs_the_entropy_of_the_classes() -> None:
    blank = {"gender": torch.zeros(5, 2), "ethnicity": torch.zeros(5, 7), "age_bin": torch.zeros(5, 9)}
    loss = classification(blank, soft_targets(torch.zeros(5, 3, dtype=torch.long), 0.1))
    assert float(loss) == pytest.approx(math.log(2) + math.log(7) + math.log(9), abs=1e-5)
