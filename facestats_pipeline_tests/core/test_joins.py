import polars as pl
import pytest

from facestats_pipeline.core.joins import MergeError, conform, join_taken
from facestats_pipeline.core.preproc.geometry_table import FACE_GEOMETRY
from facestats_pipeline.core.preproc.preproc_table import DETECTION, PREPROC
from facestats_pipeline.core.tables import KEYS
from facestats_pipeline_tests.core import small_shards as shard


def test_conform_keeps_rows_when_every_column_is_missing() -> None:
    frame = conform(pl.DataFrame({"other": [1, 2]}), KEYS)
    assert frame.rows() == [(None, None), (None, None)]


def test_conform_refuses_a_value_that_does_not_fit() -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError):
        conform(pl.DataFrame({"n": ["many"]}), {"n": pl.Int32()})


def test_columns_that_are_taken_over_get_their_new_names() -> None:
    joined = join_taken(shard.ids(2), shard.preproc(2, status=["ok", "no_face"]).reverse(), DETECTION)
    assert joined.columns == [*KEYS, *(column.name for column in DETECTION)]
    assert joined["preproc_status"].to_list() == ["ok", "no_face"]


def test_what_is_absent_is_null_and_keeps_every_row() -> None:
    few = shard.preproc(1).drop("detector", "face_count")
    for right in (None, pl.DataFrame(), few):
        joined = join_taken(shard.ids(2), right, DETECTION)
        assert joined.height == 2 and dict(joined.schema) == {**KEYS, **{one.name: one.dtype for one in DETECTION}}
    assert joined.row(0)[2:] == ("p", None, None, pytest.approx(0.95), "ok", "")


def test_a_table_that_lists_an_image_twice_is_named() -> None:
    with pytest.raises(MergeError, match=r"preproc\.parquet has 1 rows that repeat an image_id among its 3 rows"):
        join_taken(shard.ids(2), pl.concat([shard.preproc(2), shard.preproc(1)]), DETECTION)


def test_columns_of_two_tables_are_not_taken_from_one() -> None:
    with pytest.raises(ValueError, match="face_score, yaw are not taken over from one table"):
        join_taken(shard.ids(1), shard.preproc(1), PREPROC.taken("face_score") + FACE_GEOMETRY.taken("yaw"))
