"""What an attribute is, declared once; a declaration that cannot work is refused when it is made."""

from dataclasses import replace

import pytest

from facestats_pipeline.core.attributes.attribute import Attribute, Rollup
from facestats_pipeline.core.attributes.catalogue import AGE, BUILT_IN, ETHNICITY, GENDER, Catalogue

GLASSES = Attribute("glasses", ("no glasses", "glasses"))


def test_the_built_in_attributes_have_the_columns_that_files_have() -> None:
    assert BUILT_IN.names == ("gender", "ethnicity", "age_bin")
    assert GENDER.columns == ("gender", "gender_top", "gender_p", "gender_source")
    assert ETHNICITY.columns == ("ethnicity", "ethnicity4", "ethnicity_top", "ethnicity_p", "ethnicity_source")
    assert AGE.columns == ("age_bin", "age_bin_top", "age_p", "age", "age_lo", "age_hi", "age_source")
    assert [a.trainer for a in BUILT_IN] == ["gender_classifier", "ethnicity_classifier", "age_model"]
    assert [a.model_stem for a in BUILT_IN] == ["gender_clf", "ethnicity_clf", "age_model"]


def test_a_name_and_classes_are_enough() -> None:
    assert GLASSES.columns == ("glasses", "glasses_top", "glasses_p", "glasses_source")
    assert (GLASSES.title, GLASSES.description, GLASSES.trainer) == (
        "Glasses",
        "perceived glasses",
        "glasses_classifier",
    )
    assert GLASSES.headers == {"glasses": ("glasses",)}
    assert not GLASSES.prompts  # zero-shot does not know it


def test_an_extra_attribute_comes_last_and_is_found_by_name() -> None:
    catalogue = BUILT_IN.with_extra(GLASSES)
    assert catalogue.names == (*BUILT_IN.names, "glasses")
    assert catalogue["glasses"] is GLASSES
    assert "glasses" in catalogue and "glasses" not in BUILT_IN
    with pytest.raises(KeyError, match="there are gender, ethnicity, age_bin"):
        BUILT_IN["glasses"]


@pytest.mark.parametrize(
    ("text", "name"), [("race", "ethnicity"), ("Age", "age_bin"), ("age-bin", "age_bin"), ("sex", "gender")]
)
def test_people_find_an_attribute_by_its_header_words(text: str, name: str) -> None:
    found = BUILT_IN.asked_for(text)
    assert found is not None and found.name == name


def test_a_word_for_no_attribute_finds_none() -> None:
    assert BUILT_IN.asked_for("glasses") is None


@pytest.mark.parametrize(
    ("name", "classes", "problem"),
    [
        ("Glasses", ("no", "yes"), "lower-case"),
        ("9lives", ("no", "yes"), "begins with a letter"),
        ("glasses", ("yes",), "at least two classes"),
        ("glasses", ("on_nose", "On nose"), "the same word"),
        ("glasses", ("none", "some"), "'none' cannot be a class"),
        ("glasses", ("unknown", "yes"), "'unknown' cannot be a class"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(name: str, classes: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Attribute(name, classes)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"words": {"specs": "spectacles"}}, "none of its classes"),
        ({"words": {"glasses": "no glasses"}}, "stands for another"),
        ({"prompts": {"glasses": ("a person with glasses",)}}, "no prompts for 'no glasses'"),
        ({"prompts": {"glasses": ("a",), "no glasses": ("b",)}, "templates": ("a photo",)}, "needs one {}"),
        ({"target_error": 1.0}, "between 0 and 1"),
        ({"years": ((0.0, 3.0),)}, "years are given for every class"),
        ({"rollup": Rollup("glasses2", ("a", "b"), {"glasses": "a"})}, "a place for every class"),
    ],
)
def test_parts_that_do_not_fit_the_classes_are_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        replace(GLASSES, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gender", "share the column 'gender'"),
        ("age", "share the column 'age_p'|share the column 'age'"),
        ("ethnicity4", "share the column 'ethnicity4'"),
        ("race", "'ethnicity' and 'race' share the header word of labels files 'race'"),
    ],
)
def test_two_attributes_never_share_a_column_or_a_header(name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        BUILT_IN.with_extra(Attribute(name, ("no glasses", "glasses")))


def test_a_catalogue_is_a_key() -> None:
    """Table specifications are cached by catalogue."""
    assert {BUILT_IN: 1}[Catalogue((GENDER, ETHNICITY, AGE))] == 1


@pytest.mark.parametrize("name", ETHNICITY.classes)
def test_canonical_names_are_their_own(name: str) -> None:
    assert ETHNICITY.class_named(name) == name
    assert ETHNICITY.class_named(name.upper().replace(" ", "_")) == name


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
    assert ETHNICITY.class_named(text) == expected


@pytest.mark.parametrize(("text", "expected"), [(" F ", "Female"), ("MALE", "Male"), ("1", None), ("femail", None)])
def test_gender_words(text: str, expected: str | None) -> None:
    assert GENDER.class_named(text) == expected


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
    assert AGE.class_of_years(years) == expected
