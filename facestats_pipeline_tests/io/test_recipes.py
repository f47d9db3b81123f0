"""Recipes: digests that are the same tomorrow and on another machine, and that differ when anything that matters does."""

import pytest

from facestats_pipeline.io.recipes import Recipe, code_digest_of, digest
from facestats_pipeline_tests.io.small_store import recipe


def test_digests_are_stable_for_ever() -> None:
    """Recipes lie in users' files: a change here makes every collection stale, so it must be meant."""
    assert digest({"b": 1, "a": [1, None, "ü"]}) == "c6a9057f3478a1c4"
    assert code_digest_of("manifest", "1", {"raw_photos": "abc"}) == "ea1262cce054bbd7"
    assert recipe(inputs={"raw_photos": "abc"}).fingerprint == "a29d25a25e2ebf4f"


def test_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert recipe(inputs={"a": "1", "b": "2"}).fingerprint == recipe(inputs={"b": "2", "a": "1"}).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "other"},
        {"code_digest": "other"},
        {"inputs": {"raw_photos": "other"}},
        {"fitted_on": {"images": 1}},
        {"skipped": "no labels"},
    ],
)
def test_fingerprint_changes_with_everything_that_decides_the_content(change: dict[str, object]) -> None:
    assert recipe(**change).fingerprint != recipe().fingerprint


def test_json_round_trip() -> None:
    made = recipe(inputs={"raw_photos": "ü"}, fitted_on={"images": 3, "collection": "c"}, skipped="why")
    assert Recipe.from_json(made.to_json()) == made


def test_a_recipe_that_an_earlier_version_wrote_is_the_same() -> None:
    """Its text too: JPEGs in one file are compared with their table by it."""
    written = (
        '{"asset": "age_model", "basis": {"collection": "c", "images": 3}, "code_version": "1", "family": "f", '
        '"inputs": {"labels_csv": "abc"}, "skipped": ""}'
    )
    made = recipe(asset="age_model", inputs={"labels_csv": "abc"}, fitted_on={"images": 3, "collection": "c"})
    assert Recipe.from_json(written) == made
    assert Recipe.from_json(written).fingerprint == made.fingerprint == "c339fae68f4e6c72"
    assert made.to_json() == written


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"asset": "a"}', '{"nothing": 1}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Recipe.from_json(text)
