"""One shard of preprocessed photos: kept, made, or made again when its JPEG is gone."""

import io

import numpy as np
import polars as pl
from PIL import Image

from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.preproc.preprocessed_shard import PreprocessedShard
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings
from facestats_pipeline_tests.core.small_shards import image_id, manifest


class Photos:
    """A photo for each file name, and which were read."""

    def __init__(self) -> None:
        self.read_names: list[str] = []

    def __call__(self, filename: str, expected: str) -> bytes:
        self.read_names.append(filename)
        if filename == "3.jpg":
            return b"no photo"
        pixels = np.random.default_rng(int(filename[0])).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()


def shard(
    rows: pl.DataFrame, photos: Photos, previous: pl.DataFrame | None = None, jpegs: set[str] | None = None
) -> PreprocessedShard:
    there = jpegs or set()
    return PreprocessedShard(
        rows,
        read=photos,
        settings=PreprocSettings(size=32),
        detector=None,
        previous=previous,
        has_jpeg=lambda image_id: image_id in there,
    )


def made_of(one: PreprocessedShard) -> tuple[dict[str, bytes], pl.DataFrame]:
    return dict(one.jpegs), one.table()


def test_one_jpeg_and_one_row_per_live_image() -> None:
    status = pl.Series(["ok", "duplicate", "ok", "ok", "removed"])
    jpegs, table = made_of(shard(manifest(5, status=status), Photos()))
    assert dict(table.schema) == dict(PREPROC.schema)
    assert table["image_id"].to_list() == [image_id(i) for i in (0, 2, 3)]
    assert table["status"].to_list() == ["ok", "ok", "unsupported"]
    assert set(jpegs) == {image_id(0), image_id(2)}
    assert Image.open(io.BytesIO(jpegs[image_id(0)])).size == (32, 32)
    assert table["detector"].unique().to_list() == ["none"]


def test_what_is_there_is_kept_and_not_read() -> None:
    first, table = made_of(shard(manifest(2), Photos()))
    photos = Photos()
    jpegs, again = made_of(shard(manifest(3), photos, table, set(first)))
    assert photos.read_names == ["2.jpg"]
    assert set(jpegs) == {image_id(2)}
    assert again.head(2).equals(table)
    assert again["image_id"].to_list() == [image_id(i) for i in range(3)]


def test_a_row_without_its_jpeg_is_made_again() -> None:
    _, table = made_of(shard(manifest(2), Photos()))
    photos = Photos()
    jpegs, again = made_of(shard(manifest(2), photos, table, {image_id(1)}))
    assert photos.read_names == ["0.jpg"]
    assert set(jpegs) == {image_id(0)}
    assert again.equals(table)


def test_a_row_that_never_had_a_jpeg_is_kept() -> None:
    _, table = made_of(shard(manifest(4), Photos()))
    photos = Photos()
    _, again = made_of(shard(manifest(4), photos, table, {image_id(i) for i in range(3)}))
    assert photos.read_names == []
    assert again.equals(table)


def test_a_removed_image_leaves_the_table() -> None:
    first, table = made_of(shard(manifest(2), Photos()))
    _, again = made_of(shard(manifest(2, status=pl.Series(["removed", "ok"])), Photos(), table, set(first)))
    assert again["image_id"].to_list() == [image_id(1)]
