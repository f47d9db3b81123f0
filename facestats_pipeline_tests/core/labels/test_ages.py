import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.labels.ages import parse_age
from facestats_pipeline_tests.classes import AGE_BINS, age_bin_of

DATES_OF_3_9 = "9-Mar 03-Sep 3-Sep Sep-03 Mar-09 2003-09-01 2003-09-30 2009-03-01 2024-03-09 2024-09-03 3/9/2024 09/03/2024 3/9/24 9.Mrz"
DATES_OF_10_19 = "19-Oct Oct-19 2019-10-01 2024-10-19 10/19/2024 19/10/2024 19.Okt"


@pytest.mark.parametrize("text", [*DATES_OF_3_9.split(), "2024-03-09 00:00:00", "2024-03-09T00:00:00"])
def test_dates_that_were_3_to_9(text: str) -> None:
    parsed = parse_age(text)
    assert (parsed.bin, parsed.repaired, parsed.years) == ("3-9", True, None)


@pytest.mark.parametrize("text", DATES_OF_10_19.split())
def test_dates_that_were_10_to_19(text: str) -> None:
    assert (parse_age(text).bin, parse_age(text).repaired) == ("10-19", True)


@pytest.mark.parametrize("text", ["1988-03-12", "2009-10-03", "1-Jan", "9/10/2011", "19-Nov", "2-3-4", "Mar-Sep"])
def test_other_dates_stand_for_no_bin(text: str) -> None:
    assert parse_age(text).bin is None
    assert parse_age(text).problem


@pytest.mark.parametrize("name", AGE_BINS)
def test_bins_are_themselves(name: str) -> None:
    assert parse_age(name).bin == parse_age(name.upper().replace("-", " – ")).bin == name
    assert not parse_age(name).repaired


@pytest.mark.parametrize("text", ["70+", ">70", "70 or more", "over 75", "more than 80", "≥70", "75-80"])
def test_the_open_bin(text: str) -> None:
    assert parse_age(text).bin == "more than 70"


@pytest.mark.parametrize("text", ["60+", "25-35", "9-3", "0-9", "121", "-4", "old", "20-", "1e3", "3 9"])
def test_what_fits_no_bin_says_why(text: str) -> None:
    parsed = parse_age(text)
    assert parsed.bin is None
    assert parsed.problem


def test_years_keep_their_number() -> None:
    assert (parse_age("34,5").years, parse_age("34,5").bin) == (34.5, "30-39")
    assert parse_age("6 years old").years == 6


@given(st.integers(0, 120))
def test_whole_years_fall_into_their_bin(years: int) -> None:
    assert parse_age(str(years)).bin == age_bin_of(years)


@given(st.text(max_size=30))
def test_any_text_gives_a_bin_or_a_problem(text: str) -> None:
    parsed = parse_age(text)
    assert (parsed.bin is None) == bool(parsed.problem)
