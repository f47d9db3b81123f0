"""The index and near-duplicates as assets: what is new is added, what is gone is gone."""

from typing import Any

import numpy as np
import polars as pl

from facestats_pipeline.core.embeddings.index import load_index
from facestats_pipeline.defs.embeddings import assets
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.io_managers import Skipped
from facestats_pipeline.io.layout import INDEX
from facestats_pipeline.io.shard_frames import AllShards
from facestats_pipeline_tests.core import small_shards as shard
from facestats_pipeline_tests.io.small_store import recipe

SHARD = "shard-00000"
WIDTH = 16


def embedded(n: int) -> pl.DataFrame:
    """n photos; 3 is a copy of 2, and 7 of 0."""
    x = np.random.default_rng(0).standard_normal((n, WIDTH)).astype(np.float32)
    for copy, original in ((3, 2), (7, 0)):
        if n > copy:
            x[copy] = x[original]
    return shard.ids(n).with_columns(
        embedding=pl.Series(x, dtype=pl.Array(pl.Float32, WIDTH)), model_id=pl.lit("trained@1")
    )


def run(folder: DataFolder, frame: pl.DataFrame) -> tuple[Any, pl.DataFrame]:
    """Both assets over a collection of one shard, written as their IO managers write them; facts of the index, and the pairs."""
    store, freshness = folder.store, folder.freshness
    store.write_table("embeddings_clip", SHARD, frame, recipe(inputs={"rows": str(frame["image_id"].to_list())}))
    files = assets.embedding_index(AllShards([SHARD], lambda _: frame), folder=folder)  # type: ignore[operator]
    made = store.write_files("embedding_index", files.content, freshness.recipe("embedding_index"), files.facts)
    quality = frame.select("image_id").with_columns(phash=pl.lit(None, pl.String)).lazy()
    paths = {name: store.base("embedding_index") / name for name in made.files}
    pairs = assets.near_duplicates(paths, quality, folder=folder)  # type: ignore[operator]
    store.write_table("near_duplicates", None, pairs, freshness.recipe("near_duplicates"))
    return files.facts, pairs


def numbers(pairs: pl.DataFrame) -> list[tuple[int, int]]:
    return [(int(a, 16), int(b, 16)) for a, b in pairs.select("image_id", "other_id").iter_rows()]


def test_new_photos_are_added_and_compared(folder: DataFolder) -> None:
    facts, pairs = run(folder, embedded(6))
    assert (facts["vectors"], facts["added"]) == (6, 6)
    assert numbers(pairs) == [(2, 3)]
    facts, pairs = run(folder, embedded(9))
    assert (facts["vectors"], facts["added"]) == (9, 3)
    assert numbers(pairs) == [(0, 7), (2, 3)]
    assert list(load_index(folder.store.base("embedding_index") / INDEX).marks.values()) == [6, 9]


def test_the_vector_of_a_photo_that_is_gone_leaves_the_file(folder: DataFolder) -> None:
    run(folder, embedded(9))
    facts, pairs = run(folder, embedded(9).filter(pl.col("image_id") != shard.image_id(3)))
    assert (facts["vectors"], facts["added"]) == (8, 8), "made anew: a freed slot keeps its vector"
    assert numbers(pairs) == [(0, 7)]
    index = load_index(folder.store.base("embedding_index") / INDEX)
    assert index.size == 8 and shard.image_id(3) not in index


def test_without_embeddings_there_is_no_index(folder: DataFolder) -> None:
    nothing = AllShards([], lambda _: pl.DataFrame())
    assert isinstance(assets.embedding_index(nothing, folder=folder), Skipped)  # type: ignore[operator]
