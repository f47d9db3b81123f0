import pytest

from facestats_pipeline.core.labels import vocabulary as v
from facestats_pipeline.core.user_files.cells import is_null


def test_every_class_has_a_place_in_the_roll_up_and_every_bin_its_years() -> None:
    assert set(v.ETHNICITY_TO_4) == set(v.ETHNICITIES)
    assert set(v.ETHNICITY_TO_4.values()) == set(v.ETHNICITY4)
    assert len(v.AGE_EDGES) == len(v.AGE_BINS)
    assert all(end == start for (_, end), (start, _) in zip(v.AGE_EDGES, v.AGE_EDGES[1:], strict=False))


def test_unknown_is_no_class() -> None:
    assert all(v.UNKNOWN not in classes for classes in v.CLASSES.values())
    assert is_null(v.UNKNOWN)


@pytest.mark.parametrize("name", v.ETHNICITIES)
def test_canonical_names_are_their_own(name: str) -> None:
    assert v.canonical_ethnicity(name) == name
    assert v.canonical_ethnicity(name.upper().replace(" ", "_")) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hispanic", "Latino_Hispanic"),
        ("latino/hispanic", "Latino_Hispanic"),
        ("West Asian", "Middle Eastern"),
        ("Asian", None),
        ("east_asian/white", None),
        ("", None),
    ],
)
def test_ethnicity_words(text: str, expected: str | None) -> None:
    assert v.canonical_ethnicity(text) == expected


@pytest.mark.parametrize(("text", "expected"), [(" F ", "Female"), ("MALE", "Male"), ("1", None), ("femail", None)])
def test_gender_words(text: str, expected: str | None) -> None:
    assert v.canonical_gender(text) == expected


@pytest.mark.parametrize(
    ("years", "expected"),
    [
        (0, "0-2"),
        (2.9, "0-2"),
        (3, "3-9"),
        (19.99, "10-19"),
        (69.9, "60-69"),
        (70, "more than 70"),
        (120, "more than 70"),
        (-1, None),
        (121, None),
        (float("nan"), None),
    ],
)
def test_age_bin_of(years: float, expected: str | None) -> None:
    assert v.age_bin_of(years) == expected
