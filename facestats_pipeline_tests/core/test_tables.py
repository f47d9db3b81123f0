import polars as pl
import pytest

from facestats_pipeline.core.tables import FILENAME, IMAGE_ID, KEYS, Column, Table

PHOTOS = Table(
    "photos",
    "photos.parquet",
    (
        IMAGE_ID,
        FILENAME,
        Column("width", pl.Int32(), "width in pixels"),
        Column("status", pl.String(), "ok or corrupt"),
    ),
)
JOINED = Table(
    "joined",
    "metadata/joined.parquet",
    (
        *PHOTOS.keys,
        *PHOTOS.taken("width", photo_status="status"),
        Column("area", pl.Float32(), "share of the picture", (*PHOTOS.sources("width"), ("other", "height"))),
    ),
    rows_by=PHOTOS.sources("status"),
)


def test_what_is_taken_over_brings_dtype_meaning_and_source() -> None:
    assert JOINED.schema == {**KEYS, "width": pl.Int32(), "photo_status": pl.String(), "area": pl.Float32()}
    assert JOINED.descriptions["width"] == "width in pixels"
    assert JOINED.descriptions["photo_status"] == "ok or corrupt (status of photos)"
    assert JOINED.lineage["photo_status"] == (("photos", "status"),)
    assert JOINED.lineage["image_id"] == (("photos", "image_id"),)


def test_without_names_all_is_taken_but_what_identifies_a_row() -> None:
    assert [column.name for column in PHOTOS.content] == ["width", "status"]


def test_a_table_knows_what_it_reads_of_each_other() -> None:
    assert JOINED.reads == {"photos": ("image_id", "status", "filename", "width"), "other": ("image_id", "height")}
    assert [column.name for column in JOINED.taken_from("photos")] == ["width", "photo_status"]


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    for ask in (PHOTOS.taken, PHOTOS.sources):
        with pytest.raises(KeyError, match="photos has no column 'height'; it has image_id, filename, width, status"):
            ask("height")


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="twice has two columns of one name: width"):
        Table("twice", "twice.parquet", (*PHOTOS.columns, *PHOTOS.taken("width")))


def test_a_sharded_table_in_which_nobody_could_be_erased_is_refused() -> None:
    with pytest.raises(ValueError, match="counts needs a column image_id, by which erasure finds its rows"):
        Table("counts", "counts.parquet", (Column("n", pl.Int64(), "photos"),))
    assert Table("counts", "counts.parquet", (Column("n", pl.Int64(), "photos"),), kind="table").schema
