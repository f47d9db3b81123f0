from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from facestats_pipeline.core.labels.ratings import RATINGS_SCHEMA, Ratings, read_ratings
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline_tests.examples import examples


def read(folder: Path, text: str | bytes) -> Ratings:
    path = folder / "ratings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_ratings(path)


def test_raters_are_averaged(tmp_path: Path) -> None:
    ratings = read(tmp_path, "file,rating,rater\na.jpg,2,r1\na.jpg,4,r2\nb.jpg,5,r1\nc.jpg,,r1\n")
    assert ratings.frame.rows() == [("a.jpg", 3.0, pytest.approx(2**0.5), 2, 2), ("b.jpg", 5.0, None, 1, 1)]
    assert ratings.scale == (2.0, 5.0)
    assert ratings.provenance.kind == "human"


def test_a_rater_who_rates_twice_counts_once(tmp_path: Path) -> None:
    ratings = read(tmp_path, "file,rating,rater\na.jpg,1,r1\na.jpg,3,r1\na.jpg,4,r2\n")
    assert ratings.frame.row(0)[1] == 3.0
    assert ratings.frame.row(0)[3] == 2
    assert "more than once" in ratings.warnings[0]


def test_means_with_sd_and_n(tmp_path: Path) -> None:
    ratings = read(tmp_path, "file;rating;sd;n\na.jpg;3,5;1,2;40\nb.jpg;2;-1;0\n")
    assert ratings.frame.row(0) == ("a.jpg", 3.5, pytest.approx(1.2), 40, 0)
    assert ratings.scale is None
    assert ratings.frame.row(1)[2:] == (None, None, 0)
    assert ratings.rejected["column"].to_list() == ["sd", "n"]


def test_rows_that_disagree_without_raters_are_rejected(tmp_path: Path) -> None:
    ratings = read(tmp_path, "file,rating\na.jpg,2\na.jpg,3\nb.jpg,4\nb.jpg,4\nc.jpg,nice\n")
    assert ratings.frame["file"].to_list() == ["b.jpg"]
    assert sorted(ratings.rejected["row"]) == [2, 3, 6]
    assert "merged" in ratings.warnings[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("file,colour\na.jpg,red\n", "no 'rating' column"),
        ("file,rating\na.jpg,\n", "no usable rating"),
        ("file,attractiveness,attractiveness_raw\na.jpg,3,0.2\n", "a model made this table"),
        ("file,rating\na.jpg,inf\n", "no usable rating"),
    ],
)
def test_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelsError, match=r"ratings\.csv") as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='file,rating\n"13.;', max_size=80).map(lambda t: ("file,rating\n" + t).encode()),
    )
)
def test_hostile_bytes_give_ratings_or_one_error(tmp_path: Path, data: bytes) -> None:
    try:
        ratings = read(tmp_path, data)
    except LabelsError:
        return
    assert dict(ratings.frame.schema) == RATINGS_SCHEMA
    assert ratings.frame["rating"].is_finite().all()


def test_scut_list(tmp_path: Path) -> None:
    assert read(tmp_path, "AF1.jpg 3.2\nCM7.jpg 2.85\n").frame.select("file", "rating").rows()[1] == (
        "CM7.jpg",
        pytest.approx(2.85),
    )


def test_london(shared_data: Path) -> None:
    frame = read_ratings(shared_data / "london" / "labels.csv").frame
    assert frame.height == 102
    assert frame["n"].unique().to_list() == [2513]
    assert frame.null_count().row(0) == (0, 0, 0, 0, 0)
