"""IO managers of shards by small assets of the tests: one shard, a range, a missing shard, a crash half way, JPEGs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
import polars as pl
import pytest

from facestats_pipeline.core.phases import current
from facestats_pipeline.io import io_managers as io
from facestats_pipeline.io.freshness import ROOT, inventory_inputs
from facestats_pipeline.io.shard_frames import AllShards, LazyShards
from facestats_pipeline_tests.io.bench import KEYS, Bench, error_of
from facestats_pipeline_tests.io.small_store import inventory, table

SHARDS = dg.DynamicPartitionsDefinition(name="shards")
sharded = {"partitions_def": SHARDS}


def asset_of_shards(name: str, make: Callable[[str], pl.DataFrame], **options: Any) -> dg.AssetsDefinition:
    @dg.asset(name=name, io_manager_key="shard_tables", **sharded, **options)
    def made(context: dg.AssetExecutionContext) -> Mapping:
        return LazyShards(context.partition_keys, make)

    return made


manifest = asset_of_shards("manifest", lambda shard: table(2).with_columns(shard=pl.lit(shard)))


@dg.asset(io_manager_key="shard_tables", **sharded)
def preproc(manifest: LazyShards) -> LazyShards:
    return manifest.map(lambda rows: rows.with_columns(seen=True))


def test_one_shard(bench: Bench) -> None:
    assert bench.run(manifest, preproc, first=KEYS[1]).success
    assert bench.files() == {
        "processed/manifest.parquet/shard-00001.parquet",
        "processed/preproc.parquet/shard-00001.parquet",
    }
    assert bench.store.read_table("preproc", KEYS[1])["seen"].to_list() == [True, True]
    recipe = bench.store.recipe("preproc", KEYS[1])
    upstream = bench.store.recipe("manifest", KEYS[1])
    assert recipe is not None
    assert upstream is not None
    assert recipe.inputs == {"manifest": upstream.fingerprint}


def test_a_range_is_one_run_with_a_materialization_for_each_shard(bench: Bench) -> None:
    result = bench.run(manifest, preproc, first=KEYS[0], last=KEYS[2])
    assert result.success
    for name in ("manifest", "preproc"):
        assert sorted(made.partition for made in result.asset_materializations_for_node(name)) == KEYS
        rows = [made.metadata["dagster/row_count"].value for made in result.asset_materializations_for_node(name)]
        assert rows == [2, 2, 2]
    assert bench.store.scan("preproc").collect().height == 6


def test_a_missing_shard_is_named_with_what_to_do(bench: Bench) -> None:
    assert bench.run(manifest, first=KEYS[0]).success
    result = bench.run(manifest, preproc, first=KEYS[0], last=KEYS[1], only="preproc")
    assert not result.success
    assert "manifest of shard-00001 has not been made yet" in error_of(result)
    assert "facestats run" in error_of(result)


def test_a_crash_half_way_leaves_whole_shards_only(bench: Bench) -> None:
    def make(shard: str) -> pl.DataFrame:
        if shard == KEYS[1]:
            raise RuntimeError("out of memory")
        return table(2)

    result = bench.run(asset_of_shards("manifest", make), first=KEYS[0], last=KEYS[2])
    assert not result.success
    assert "out of memory" in error_of(result)
    assert bench.files() == {"processed/manifest.parquet/shard-00000.parquet"}
    assert bench.store.recipe("manifest", KEYS[0]) is not None


def test_the_whole_table_is_read_lazily_or_shard_by_shard(bench: Bench) -> None:
    @dg.asset(io_manager_key="tables")
    def near_duplicates(manifest: pl.LazyFrame) -> pl.DataFrame:
        assert isinstance(manifest, pl.LazyFrame)
        return manifest.collect()

    @dg.asset(io_manager_key="tables")
    def fairface_label_structure(manifest: AllShards) -> pl.DataFrame:
        assert isinstance(manifest, AllShards)
        return pl.DataFrame({"shard": list(manifest), "rows": [frame.height for frame in manifest.values()]})

    assert bench.run(manifest, first=KEYS[0], last=KEYS[1]).success
    for reader in (near_duplicates, fairface_label_structure):
        assert bench.run(manifest, reader, only=reader.key.path[-1]).success
    assert bench.store.read_table("near_duplicates").height == 4
    assert bench.store.read_table("fairface_label_structure").rows() == [(KEYS[0], 2), (KEYS[1], 2)]


def test_a_shard_table_reads_an_asset_without_shards(bench: Bench) -> None:
    @dg.asset(io_manager_key="tables")
    def raw_photos() -> pl.DataFrame:
        return inventory(2, 1)

    @dg.asset(name="manifest", io_manager_key="shard_tables", **sharded)
    def own(context: dg.AssetExecutionContext, raw_photos: pl.DataFrame) -> LazyShards:
        return LazyShards(context.partition_keys, lambda shard: raw_photos.filter(pl.col("shard") == shard))

    assert bench.run(raw_photos).success
    root = bench.store.recipe(ROOT)
    assert root is not None
    assert root.inputs == inventory_inputs(inventory(2, 1))
    assert bench.run(raw_photos, own, first=KEYS[0], last=KEYS[1], only="manifest").success
    assert bench.store.scan("manifest").collect().height == 3
    recipe = bench.store.recipe("manifest", KEYS[1])
    assert recipe is not None
    assert recipe.inputs == {ROOT: root.inputs[KEYS[1]]}


class Photos:
    """What the asset `preproc` returns for a shard."""

    def __init__(self, ids: list[str], crash_after: int = 99) -> None:
        self.ids, self.crash_after = ids, crash_after

    @property
    def jpegs(self) -> Iterator[tuple[str, bytes]]:
        for i, image_id in enumerate(self.ids):
            if i == self.crash_after:
                raise RuntimeError("disk full")
            yield image_id, b"jpeg of " + image_id.encode()

    def table(self) -> pl.DataFrame:
        return pl.DataFrame({"image_id": self.ids, "filename": self.ids, "status": ["ok"] * len(self.ids)})


def photos_asset(make: Callable[[str], Photos]) -> dg.AssetsDefinition:
    @dg.asset(name="preproc", io_manager_key="jpeg_shards", **sharded)
    def made(context: dg.AssetExecutionContext) -> LazyShards:
        return LazyShards(context.partition_keys, make)

    return made


@dg.asset(io_manager_key="shard_tables", **sharded)
def image_quality(preproc: LazyShards) -> LazyShards:
    def measure(images: io.ShardImages) -> pl.DataFrame:
        sizes = [images.path(image_id).stat().st_size for image_id in images.pictured["image_id"]]
        return images.pictured.select("image_id", "filename").with_columns(bytes=pl.Series(sizes))

    return preproc.map(measure)


def test_jpegs_and_their_table(bench: Bench) -> None:
    pictures = photos_asset(lambda shard: Photos([f"{shard}-a", f"{shard}-b"]))
    assert bench.run(pictures, image_quality, first=KEYS[0], last=KEYS[1]).success
    assert bench.store.jpeg_path(KEYS[1], "shard-00001-b").read_bytes() == b"jpeg of shard-00001-b"
    assert bench.store.scan("image_quality").collect()["bytes"].to_list() == [21] * 4


def test_each_shard_tells_where_its_time_went(bench: Bench) -> None:
    def make(shard: str) -> Photos:
        current().add("decode", 7.0)
        current().count(2)
        return Photos([f"{shard}-a", f"{shard}-b"])

    result = bench.run(photos_asset(make), image_quality, first=KEYS[0], last=KEYS[1])
    for made in result.asset_materializations_for_node("preproc"):
        told = {key: value.value for key, value in made.metadata.items()}
        assert (told["seconds_decode"], told["images"]) == (7.0, 2)
        assert told["seconds_write"] > 0, "its JPEGs and its table"
        assert told["images_per_second"] == pytest.approx(2 / told["seconds"], rel=0.2)
    for made in result.asset_materializations_for_node("image_quality"):
        told = {key: value.value for key, value in made.metadata.items()}
        assert told["images"] == told["images_per_second"] == 0, "no image is worked on"
        assert told["seconds_read"] + told["seconds_compute"] + told["seconds_write"] <= told["seconds"] + 0.01


def test_jpegs_that_no_row_names_are_removed(bench: Bench) -> None:
    assert bench.run(photos_asset(lambda shard: Photos(["a", "b"])), first=KEYS[0]).success
    assert bench.run(photos_asset(lambda shard: Photos(["b", "c"])), first=KEYS[0]).success
    assert {path.stem for path in bench.store.jpeg_path(KEYS[0], "x").parent.iterdir()} == {"b", "c"}


def test_a_crash_among_the_jpegs_leaves_the_shard_incomplete(bench: Bench) -> None:
    crashing = photos_asset(
        lambda shard: Photos([f"{shard}-{i}" for i in range(4)], crash_after=2 if shard == KEYS[1] else 99)
    )
    result = bench.run(crashing, first=KEYS[0], last=KEYS[1])
    assert not result.success
    assert "disk full" in error_of(result)
    assert bench.store.shards("preproc") == [KEYS[0]]
    assert not any(".tmp" in name for name in bench.files())
