"""Only new rows are made; the others are taken over, in the order that is wanted now."""

import polars as pl
import pytest

from facestats_pipeline.core.reuse import with_reuse


def rows(*names: str, **columns: object) -> pl.DataFrame:
    return pl.DataFrame({"image_id": names, "filename": [f"{n}.jpg" for n in names]}).with_columns(**columns)


class Maker:
    """Measures rows, and remembers which."""

    def __init__(self, value: str = "new", leave_out: str = "") -> None:
        self.asked: list[list[str]] = []
        self.value, self.leave_out = value, leave_out

    def __call__(self, wanted: pl.DataFrame) -> pl.DataFrame:
        self.asked.append(wanted["image_id"].to_list())
        made = wanted.filter(pl.col("image_id") != self.leave_out)
        return made.select("image_id", "filename").with_columns(value=pl.lit(self.value))


def test_everything_is_made_when_there_is_nothing() -> None:
    for previous in (None, rows().with_columns(value=pl.lit("old"))):
        make = Maker()
        assert with_reuse(previous, rows("a", "b"), make)["value"].to_list() == ["new", "new"]
        assert make.asked == [["a", "b"]]


def test_only_what_is_new_is_made_and_the_order_is_that_of_now() -> None:
    make = Maker()
    made = with_reuse(rows("a", "c", value=pl.lit("old")), rows("d", "c", "b", "a"), make)
    assert made["image_id"].to_list() == ["d", "c", "b", "a"]
    assert made["value"].to_list() == ["new", "old", "new", "old"]
    assert make.asked == [["d", "b"]]


def test_nothing_is_asked_for_when_nothing_is_new() -> None:
    make = Maker()
    previous = rows("a", "b", "c", value=pl.lit("old"))
    assert with_reuse(previous, rows("b", "a"), make).rows() == [("b", "b.jpg", "old"), ("a", "a.jpg", "old")]
    assert make.asked == []


def test_the_same_image_under_another_name_is_made_anew() -> None:
    make = Maker()
    renamed = rows("a").with_columns(filename=pl.lit("other.jpg"))
    assert with_reuse(rows("a", value=pl.lit("old")), renamed, make)["value"].to_list() == ["new"]


def test_rows_may_be_left_out() -> None:
    made = with_reuse(rows("a", value=pl.lit("old")), rows("a", "b", "c"), Maker(leave_out="b"))
    assert made["image_id"].to_list() == ["a", "c"]


def test_maker_sees_all_columns_of_what_is_wanted() -> None:
    seen: list[list[str]] = []

    def make(wanted: pl.DataFrame) -> pl.DataFrame:
        seen.append(wanted.columns)
        return wanted.select("image_id", "filename").with_columns(value=pl.lit("new"))

    with_reuse(rows("a", value=pl.lit("old")), rows("a", "b", width=pl.lit(3)), make)
    assert seen == [["image_id", "filename", "width"]]


@pytest.mark.parametrize("n", [0, 1])
def test_columns_and_types_do_not_depend_on_how_much_was_reused(n: int) -> None:
    previous = rows(*"ab"[:n]).with_columns(value=pl.lit("old"))
    assert with_reuse(previous, rows("a", "b"), Maker()).schema == with_reuse(None, rows("a", "b"), Maker()).schema
