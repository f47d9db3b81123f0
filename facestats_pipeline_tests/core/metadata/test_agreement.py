import random

import pytest

from facestats_pipeline.core.metadata.agreement import krippendorff_alpha

# K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): the data of its sections A, B and C.
BINARY = ("0100000010", "1110010000")
NOMINAL_TWO = ("aabbdcccedda", "babbbccceddd")
MANY_OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def by_unit(*observers: str) -> list[list[str]]:
    return [[value for value in unit if value != "."] for unit in zip(*observers, strict=True)]


@pytest.mark.parametrize(
    ("observers", "alpha"),
    [(BINARY, 0.095), (NOMINAL_TWO, 0.692), (MANY_OBSERVERS, 0.743)],
    ids=["A: binary, two observers", "B: nominal, two observers", "C: nominal, many observers, missing data"],
)
def test_published_examples(observers: tuple[str, ...], alpha: float) -> None:
    assert krippendorff_alpha(by_unit(*observers)) == pytest.approx(alpha, abs=5e-4)


def test_perfect_agreement_is_one_and_systematic_disagreement_is_negative() -> None:
    assert krippendorff_alpha([["a", "a"], ["b", "b"], ["c"]]) == 1.0
    disagreement = krippendorff_alpha([["a", "b"], ["b", "a"]])
    assert disagreement is not None and disagreement < 0


def test_chance_is_about_zero() -> None:
    chance = random.Random(0)
    alpha = krippendorff_alpha([chance.choices("ab", k=3) for _ in range(4000)])
    assert alpha == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("units", [[], [["a"], ["b"]], [["a", "a"], ["a", "a"]]])
def test_undefined_where_nothing_can_be_compared(units: list[list[str]]) -> None:
    assert krippendorff_alpha(units) is None
