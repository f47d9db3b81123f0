"""Recipes: digests that are the same tomorrow and on another machine, and that differ when anything that matters does."""

import pytest

from facestats_pipeline.io.recipes import Recipe, digest, family_of
from facestats_pipeline_tests.io.small_store import recipe


def test_digests_are_stable_for_ever() -> None:
    """Recipes lie in users' files: a change here makes every collection stale, so it must be meant."""
    assert digest({"b": 1, "a": [1, None, "ü"]}) == "c6a9057f3478a1c4"
    assert family_of("manifest", "1", {"raw_photos": "abc"}) == "ea1262cce054bbd7"
    assert recipe(inputs={"raw_photos": "abc"}).fingerprint == "a29d25a25e2ebf4f"


def test_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert recipe(inputs={"a": "1", "b": "2"}).fingerprint == recipe(inputs={"b": "2", "a": "1"}).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "other"},
        {"family": "other"},
        {"inputs": {"raw_photos": "other"}},
        {"basis": {"images": 1}},
        {"skipped": "no labels"},
    ],
)
def test_fingerprint_changes_with_everything_that_decides_the_content(change: dict[str, object]) -> None:
    assert recipe(**change).fingerprint != recipe().fingerprint


def test_json_round_trip() -> None:
    made = recipe(inputs={"raw_photos": "ü"}, basis={"images": 3, "collection": "c"}, skipped="why")
    assert Recipe.from_json(made.to_json()) == made


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"asset": "a"}', '{"nothing": 1}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Recipe.from_json(text)
