"""Launches that come twice, late, or in another order than they were asked for, or are killed half way, on machines that know nothing of
each other and hold no lock: in the end each shard has each of its images once, made from what is there now."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.config import load_settings
from facestats_pipeline.io.freshness import ROOT, Freshness, Node
from facestats_pipeline.io.locations import open_store
from facestats_pipeline_tests.examples import examples
from facestats_pipeline_tests.io.small_store import discover, freshness_of

GRAPH = (
    Node(ROOT, "ingest", False, "1", ()),
    Node("manifest", "ingest", True, "1", (ROOT,)),
    Node("preproc", "preproc", True, "1", ("manifest",)),
    Node("embeddings_clip", "embeddings", True, "1", ("preproc",)),
    Node("master", "metadata", True, "1", ("embeddings_clip", "manifest")),
)
TABLES = [node.name for node in GRAPH[1:]]
PLANNER = 0


def machine(folder: Path, number: int) -> Freshness:
    """The freshness of a machine with its own copies, as a run that begins sees it."""
    store = open_store(load_settings(environ={}, data_uri=f"file://{folder}/bucket", data_dir=folder / f"m{number}"))
    return freshness_of(store, GRAPH)


def launch(freshness: Freshness, asset: str, shard: str) -> Iterator[None]:
    """A run over a shard, that pauses wherever a machine may stall: what it read may be replaced while it does."""
    store = freshness.store
    recipe = freshness.recipe(asset, shard)
    parent = GRAPH[[node.name for node in GRAPH].index(asset)].parents[0]
    if asset == "embeddings_clip" and not store.pictures_are_there(shard):
        return  # as the IO manager refuses to read them
    try:
        source = store.read_table(parent, None if parent == ROOT else shard)
    except FileNotFoundError:
        return  # launched before its inputs were there: it fails
    yield
    rows = source.filter(pl.col("shard") == shard).with_columns(status=pl.lit("ok"))
    if asset == "preproc":
        before = store.recipe(asset, shard)
        if before is not None and before.code_digest != freshness.code_digest(asset):
            store.forget_table(asset, shard)
        for image_id in rows["image_id"]:
            store.write_jpeg(shard, image_id, f"JPEG of {image_id}".encode())
        yield
        store.keep_jpegs(shard, set(rows["image_id"]), recipe)
        yield
    store.write_table(asset, shard, rows, recipe)


def bring_up_to_date(folder: Path, shards: list[str]) -> int:
    """What a planner starts until nothing is left to do; how many runs that were."""
    runs = 0
    for _ in range(3 * len(TABLES)):
        freshness = machine(folder, PLANNER)
        waiting = [key for key, state in freshness.states(shards).items() if state.status != "done"]
        if not waiting:
            return runs
        for asset, shard in waiting:
            if asset == waiting[0][0]:  # what follows from it may turn out to be current
                runs += 1
                list(launch(machine(folder, PLANNER), asset, str(shard)))
    raise AssertionError(f"the plan does not end: {waiting}")


operations = st.lists(
    st.one_of(
        st.tuples(st.just("launch"), st.integers(0, 1), st.sampled_from(TABLES)),
        st.tuples(st.just("go on"), st.integers(0, 20), st.none()),
        st.tuples(st.just("kill"), st.integers(0, 20), st.none()),
        st.tuples(st.just("photos"), st.integers(1, 3), st.none()),
    ),
    max_size=30,
)


@examples(20)
@given(operations)
def test_each_shard_is_made_once_whatever_is_launched(asked: list[tuple[str, int, str | None]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, counts = Path(name), [2, 1]
        shards = discover(machine(folder, PLANNER), *counts)
        under_way: list[Iterator[None]] = []
        for kind, number, asset in asked:
            if kind == "photos":
                counts[-1] += number
                discover(machine(folder, PLANNER), *counts)
            elif kind == "launch":
                own = machine(folder, PLANNER + 1 + len(under_way))
                under_way.append(launch(own, str(asset), shards[number]))
                next(under_way[-1], None)
            elif under_way and kind == "kill":
                under_way[number % len(under_way)].close()
            elif under_way:
                next(under_way[number % len(under_way)], None)
        for run in reversed(under_way):  # the latest first: what was launched long ago writes last
            list(run)
        bring_up_to_date(folder, shards)
        end = machine(folder, 1_000)  # a machine that has seen nothing of this
        inventory = end.store.read_table(ROOT)
        assert inventory.height == sum(counts)
        for table in TABLES:
            for shard in shards:
                expected = inventory.filter(pl.col("shard") == shard)["image_id"].to_list()
                assert end.store.read_table(table, shard)["image_id"].to_list() == expected, (table, shard)
        for image_id, shard in inventory.select("image_id", "shard").iter_rows():
            assert end.store.jpeg_path(shard, image_id).read_bytes() == f"JPEG of {image_id}".encode()
        objects = [path for path in (folder / "bucket" / "processed").rglob("*") if path.is_file()]
        assert len(objects) == 1 + (len(TABLES) + 1) * len(
            shards
        )  # the inventory; of each shard its tables and its JPEGs
        assert bring_up_to_date(folder, shards) == 0
