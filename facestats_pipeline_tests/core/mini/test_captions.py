"""Captions say nothing that is not true of the labels they were made from."""

from itertools import pairwise

import numpy as np
import pytest

from facestats_pipeline.core.mini.captions import FEMALE, MALE, about, class_prompts, compose, corpus, matches
from facestats_pipeline_tests.classes import AGE_BINS, ETHNICITIES


def test_a_caption_is_true_of_the_photo_it_was_made_from() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        labels = np.array([rng.integers(2), rng.integers(7), rng.integers(9)])
        assert matches([about(rng, labels)], labels[None]).all()


def test_words_agree_with_the_classes_that_a_caption_matches() -> None:
    rng = np.random.default_rng(1)
    female, male = {"woman", "lady", "girl", "her", "female"}, {"man", "gentleman", "boy", "his", "male"}
    for _ in range(2000):
        caption = about(rng, np.array([rng.integers(2), rng.integers(7), rng.integers(9)]))
        words = set(caption.text.replace("-", " ").split())
        assert bool(words & female) == (caption.gender == {FEMALE}), caption
        assert bool(words & male) == (caption.gender == {MALE}), caption
        if words & {"elderly", "senior", "old"} and not words & {"years", "year"}:
            assert caption.age == {7, 8}, caption
        if "Asian" in words and not words & {"East", "Southeast", "South", "West"}:
            assert caption.ethnicity == {ETHNICITIES.index("East Asian"), ETHNICITIES.index("Southeast Asian")}, caption


def test_an_unnamed_attribute_matches_every_class() -> None:
    caption = compose(np.random.default_rng(0), None, None, 3, coarse=0)
    labels = np.array([[g, e, 3] for g in range(2) for e in range(7)] + [[0, 0, 4]])
    found = matches([caption], labels)[0]
    assert found[:-1].all()
    assert not found[-1]


def test_prompts_name_one_class_each_and_in_order() -> None:
    for seed in range(20):
        prompts = class_prompts(np.random.default_rng(seed))
        assert [len(prompts[name]) for name in ("gender", "ethnicity", "age_bin")] == [
            2,
            len(ETHNICITIES),
            len(AGE_BINS),
        ]
        for group in prompts.values():
            assert len(set(group)) == len(group)


def test_articles_fit_their_words() -> None:
    for text in corpus(3000, 2):
        words = text.split()
        for article, word in pairwise(words):
            if article in ("a", "an") and word != "European":
                assert (article == "an") == (word[0].lower() in "aeiou"), text
            assert not (article == "an" and word == "European"), text


@pytest.mark.parametrize("gender", [None, FEMALE, MALE])
def test_phrasings_are_many(gender: int | None) -> None:
    rng = np.random.default_rng(0)
    assert len({compose(rng, gender, None, None).text for _ in range(300)}) > 30
