"""Filters of composites: exact where they hold, reported where they are relaxed, refused where they may not be."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.composites.composite_filters import filter_faces, filter_images
from facestats_pipeline.core.composites.composite_specs import CompositeRefused, CompositeSpec, describe_filters
from facestats_pipeline_tests.classes import AGE_BINS, ETHNICITIES, GENDERS, WITH_GLASSES
from facestats_pipeline_tests.examples import examples


def people(rows: list[tuple[str, str, str, float | None, int | None]]) -> pl.DataFrame:
    schema = {
        "gender_final": pl.String,
        "ethnicity_final": pl.String,
        "age_bin_final": pl.String,
        "age": pl.Float32,
        "attractiveness": pl.Int8,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_row_index("image_id")


MIXED = people(
    [
        ("Female", "White", "20-29", 24.0, 10),
        ("Female", "Black", "20-29", 29.9, 9),
        ("Female", "White", "30-39", 31.0, 8),
        ("Male", "White", "60-69", None, 1),
        ("unknown", "White", "20-29", 25.0, None),
        ("Male", "unknown", "unknown", 25.0, 5),
    ]
)


def ids(frame: pl.DataFrame) -> list[int]:
    return frame["image_id"].to_list()


def test_filters_are_exact_and_unknown_never_matches() -> None:
    assert ids(filter_images(MIXED)) == [0, 1, 2, 3, 4, 5]
    assert ids(filter_images(MIXED, gender="Female")) == [0, 1, 2]
    assert ids(filter_images(MIXED, ethnicity="White", decile=(8, 10))) == [0, 2]
    assert ids(filter_images(MIXED, gender="Male", decile=(1, 1))) == [3]
    assert ids(filter_images(MIXED, decile=(1, 10))) == [0, 1, 2, 3, 5]


def test_lazy_in_lazy_out() -> None:
    lazy = filter_images(MIXED.lazy(), gender="Female")
    assert isinstance(lazy, pl.LazyFrame)
    assert ids(lazy.collect()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ((20, 29), [0, 1, 4]),  # a whole bin: the bin decides, also for 29.9
        ((20, 28), [0, 4]),  # cut through the bin: the years decide, 29.9 is 29
        ((60, 69), [3]),  # no years known, but the bin lies inside
        ((62, 69), []),  # no years known and the range cuts the bin: nobody is guessed in
        ((25, 35), [1, 2, 4]),
    ],
)
def test_age_in_completed_years_with_the_final_bin_as_authority(age: tuple[int, int], expected: list[int]) -> None:
    assert ids(filter_images(MIXED, age=age)) == expected


def test_a_human_age_label_outweighs_the_years_of_a_model() -> None:
    frame = people([("Male", "White", "50-59", 25.0, 1)])
    assert filter_images(frame, age=(20, 29)).is_empty()
    assert filter_images(frame, age=(50, 59)).height == 1


def test_the_open_bin_belongs_to_seventy_and_over() -> None:
    frame = people([("Male", "White", "more than 70", None, 1)])
    assert filter_images(frame, age=(70, 99)).height == filter_images(frame, age=(60, 120)).height == 1
    assert filter_images(frame, age=(60, 69)).is_empty()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"gender": "female"}, "Female, Male"),
        ({"ethnicity": "Asian"}, "East Asian"),
        ({"age": (30, 20)}, "lowest first"),
        ({"decile": (0, 3)}, "between 1 and 10"),
    ],
)
def test_values_nobody_knows_name_what_is_allowed(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        filter_images(MIXED, **arguments)
    with pytest.raises(ValueError, match=words):
        CompositeSpec("x", filters=arguments)


def test_nothing_is_relaxed_when_enough_match() -> None:
    found = filter_faces(MIXED, gender="Female", min_n=3)
    assert (found.n, found.n_asked, found.relaxed, found.asked, found.applied) == (
        3,
        3,
        [],
        "gender=Female",
        "gender=Female",
    )


def test_relaxation_takes_the_first_step_that_is_enough_and_says_so() -> None:
    found = filter_faces(MIXED, gender="Female", decile=(10, 10), min_n=2)
    assert found.relaxed == ["decile=10:10 widened to decile=9:10"]
    assert (found.n, found.n_asked, found.applied) == (2, 1, "gender=Female decile=9:10")


def test_order_of_relaxation_is_decile_age_ethnicity_gender() -> None:
    asked = {"gender": "Female", "ethnicity": "Black", "age": (20, 29), "decile": (9, 9)}
    seen = [filter_faces(MIXED, **asked, min_n=n).relaxed for n in range(1, 7)]
    assert seen[0] == []
    assert seen[1] == ["decile=9:9 dropped", "age=20:29 dropped", "ethnicity=Black dropped"]
    assert seen[2] == seen[1]
    assert seen[3] == [*seen[1], "gender=Female dropped"]
    assert seen[5] == seen[3]


def test_strict_refuses_and_too_few_in_all_is_refused_too() -> None:
    with pytest.raises(CompositeRefused, match=r"1 photos match gender=Female decile=10:10; at least 2"):
        filter_faces(MIXED, gender="Female", decile=(10, 10), min_n=2, strict=True)
    with pytest.raises(CompositeRefused, match="6 usable photos in all; at least 7"):
        filter_faces(MIXED, gender="Female", min_n=7)


@examples(40)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([*GENDERS, "unknown"]),
            st.sampled_from([*ETHNICITIES[:3], "unknown"]),
            st.sampled_from([*AGE_BINS, "unknown"]),
            st.one_of(st.none(), st.floats(0, 100, width=32)),
            st.one_of(st.none(), st.integers(1, 10)),
        ),
        max_size=25,
    ),
    gender=st.one_of(st.none(), st.sampled_from(GENDERS)),
    ethnicity=st.one_of(st.none(), st.sampled_from(ETHNICITIES[:3])),
    low=st.integers(0, 60),
    decile=st.one_of(st.none(), st.integers(1, 10).map(lambda d: (d, d))),
    min_n=st.integers(2, 12),
)
def test_a_filter_is_either_kept_or_reported(rows, gender, ethnicity, low, decile, min_n) -> None:
    frame = people(rows)
    asked = {"gender": gender, "ethnicity": ethnicity, "age": (low, low + 9), "decile": decile}
    try:
        found = filter_faces(frame, **asked, min_n=min_n)
    except CompositeRefused:
        assert frame.height < min_n
        return
    assert found.n >= min_n
    assert (found.applied == found.asked) == (not found.relaxed)
    assert set(ids(filter_images(frame, **asked))) <= set(ids(found.frame))
    kept = {k: v for k, v in asked.items() if v is not None and not any(r.startswith(f"{k}=") for r in found.relaxed)}
    assert ids(filter_images(found.frame, **kept)) == ids(found.frame), "a filter that was not reported does not hold"


def test_description_of_filters() -> None:
    assert describe_filters({}) == "all"
    assert (
        describe_filters({"gender": "Male", "ethnicity": "East Asian", "age": (20, 29.5), "decile": (1, 3)})
        == "gender=Male ethnicity=East Asian age=20:29.5 decile=1:3"
    )


def test_an_extra_attribute_filters_and_is_relaxed_first_among_the_classes() -> None:
    frame = MIXED.with_columns(glasses_final=pl.Series(["glasses", "no glasses"] * 3))
    assert ids(filter_images(frame, WITH_GLASSES, glasses="glasses")) == [0, 2, 4]
    found = filter_faces(frame, WITH_GLASSES, gender="Female", glasses="no glasses", min_n=3)
    assert (found.asked, found.applied) == ("gender=Female glasses=no glasses", "gender=Female")
    assert found.relaxed == ["glasses=no glasses dropped"]
    with pytest.raises(ValueError, match="no such filter; use gender, ethnicity, age, decile"):
        filter_images(frame, glasses="glasses")
