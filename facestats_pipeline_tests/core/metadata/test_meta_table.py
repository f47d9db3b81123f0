import polars as pl
import pytest

from facestats_pipeline.core.metadata.meta_table import attributes_with_meta
from facestats_pipeline_tests.core import small_shards as shard


def test_meta_has_the_row_of_each_image() -> None:
    meta = attributes_with_meta(
        shard.attributes(2),
        shard.preproc(2, face_score=[0.9, 0.8]).reverse(),
        shard.quality(2, sharpness=[1.0, 2.0]).reverse(),
        None,
    )
    assert meta["image_id"].to_list() == [shard.image_id(0), shard.image_id(1)]
    assert meta["sharpness"].to_list() == [1.0, 2.0]
    assert meta["face_score"].to_list() == pytest.approx([0.9, 0.8])
    assert meta["preproc_status"].to_list() == ["ok", "ok"]
    assert meta["mesh_yaw"].to_list() == [None, None]


def test_mesh_angles_do_not_replace_the_angles_of_quality() -> None:
    geometry = shard.ids(1).with_columns(yaw=pl.lit(12.0, pl.Float32), pitch=pl.lit(3.0, pl.Float32))
    meta = attributes_with_meta(shard.attributes(1), shard.preproc(1), shard.quality(1, yaw=7.0), geometry)
    assert meta.select("yaw", "mesh_yaw", "mesh_pitch", "mesh_roll").row(0) == (7.0, 12.0, 3.0, None)
