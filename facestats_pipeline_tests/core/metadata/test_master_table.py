import logging
from typing import Any

import polars as pl
import pytest

from facestats_pipeline.core.joins import MergeError
from facestats_pipeline.core.metadata.master_table import master_table, run_merge
from facestats_pipeline_tests.core import small_shards as shard
from facestats_pipeline_tests.core.metadata.merge_inputs import inputs


def test_everything_known_about_an_image_is_in_its_row() -> None:
    master = run_merge(shard.manifest(3), **inputs(3))
    row = master.row(1, named=True)
    assert master.height == 3
    assert row["image_id"] == shard.image_id(1)
    expected: dict[str, Any] = {
        "licence": "CC0-1.0",
        "width": 640,
        "preproc_status": "ok",
        "sharpness": 300.0,
        "mesh_pitch": 1.5,
        "model_id": "test@0",
        "gender": "Female",
        "flagged": False,
        "reasons": [],
        "manual_gender": None,
        "predicted_gender": "Female",
        "gender_final": "Female",
        "gender_final_source": "model",
        "attractiveness": 5,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["cluster"] is not None


def test_only_live_images_have_a_row_whatever_the_other_tables_hold() -> None:
    states = ["ok", "corrupt", "too_large", "unsupported", "duplicate", "removed", "ok"]
    manifest = shard.manifest(7, status=states)
    master = run_merge(manifest, **inputs(7))
    assert master["image_id"].to_list() == [shard.image_id(0), shard.image_id(6)]


def test_a_file_without_an_id_and_a_duplicate_do_not_disturb() -> None:
    """A photo that could not be read has no id; a duplicate has the id of the image it repeats."""
    manifest = shard.manifest(3, status=["ok", "corrupt", "duplicate"]).with_columns(
        image_id=pl.Series([shard.image_id(0), None, shard.image_id(0)])
    )
    master = run_merge(manifest, **inputs(3))
    assert master.select("image_id", "filename").rows() == [(shard.image_id(0), "0.jpg")]


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize("absent", [(), *((name,) for name in inputs(0)), tuple(inputs(0))], ids="-".join)
def test_the_schema_is_constant_whatever_is_absent(n: int, absent: tuple[str, ...]) -> None:
    given = {name: frame for name, frame in inputs(n).items() if name not in absent}
    master = run_merge(shard.manifest(n), **given)
    assert master.schema == pl.Schema(master_table().schema)
    assert master.height == n


def test_a_table_that_lacks_rows_leaves_nulls() -> None:
    given = inputs(3) | {"scores": shard.scores(1), "quality": shard.quality(0)}
    master = run_merge(shard.manifest(3), **given)
    assert master["attractiveness_pct"].to_list() == [0.5, None, None]
    assert master["sharpness"].to_list() == [None] * 3


@pytest.mark.parametrize("name", inputs(0))
def test_a_table_that_lists_an_image_twice_is_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    given = inputs(3)
    given[name] = pl.concat([given[name], given[name].head(2)])
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(MergeError, match=r"\.parquet has 2 rows that repeat") as refusal,
    ):
        run_merge(shard.manifest(3), **given)
    told = str(refusal.value) + caplog.text
    assert not any(shard.image_id(i) in told or f"{i}.jpg" in told for i in range(3))


def test_two_live_rows_of_one_image_are_refused() -> None:
    twice = pl.concat([shard.manifest(2), shard.manifest(1)])
    with pytest.raises(MergeError, match=r"manifest\.parquet has 1 rows that repeat an image_id among its 3 rows"):
        run_merge(twice)


def test_a_live_row_without_an_id_is_refused() -> None:
    manifest = shard.manifest(2).with_columns(image_id=pl.Series([shard.image_id(0), None]))
    with pytest.raises(MergeError, match="1 rows without an image_id"):
        run_merge(manifest)


def test_the_order_of_inputs_does_not_matter() -> None:
    manifest, given = shard.manifest(4), inputs(4)
    shuffled = {name: frame.reverse() for name, frame in given.items()}
    assert run_merge(manifest, **given).equals(run_merge(manifest, **shuffled))


def test_no_column_beside_those_it_says_it_takes_is_needed() -> None:
    names = {
        "quality": "image_quality",
        "geometry": "face_geometry",
        "embeddings": "embeddings_clip",
        "flags": "attributes_flags",
    }
    names |= {key: f"attributes_with_{key}" for key in ("clusters", "manual", "predictions")}
    names |= {"final": "attributes_final", "scores": "attractiveness_scores"}

    def slim(table: str, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(name for name in frame.columns if name in master_table().reads[table])

    given = {key: slim(names.get(key, key), frame) for key, frame in inputs(3).items()}
    assert run_merge(slim("manifest", shard.manifest(3)), **given).equals(run_merge(shard.manifest(3), **inputs(3)))


def test_tables_in_another_order_or_with_fewer_rows_are_joined_by_image() -> None:
    whole = run_merge(shard.manifest(4), **inputs(4))
    turned = run_merge(shard.manifest(4), **{key: frame.reverse() for key, frame in inputs(4).items()})
    assert turned.equals(whole)
    fewer = run_merge(shard.manifest(4), **inputs(4) | {"quality": shard.quality(4).tail(1)})
    assert fewer["sharpness"].to_list() == [None, None, None, 300.0]
