"""A store and a graph of a few assets for tests of what lies below Dagster: real names, so that each has its place in the layout."""

from pathlib import Path

import polars as pl

from facestats_pipeline.io.freshness import PREPROC, ROOT, Freshness, Node, inventory_inputs
from facestats_pipeline.io.layout import SHARD_TABLES, TABLES
from facestats_pipeline.io.recipes import Recipe
from facestats_pipeline.io.store import Store

SHARDS = ["shard-00000", "shard-00001"]
GRAPH = (
    Node(ROOT, "ingest", False, "1", ()),
    Node("manifest", "ingest", True, "1", (ROOT,)),
    Node("preproc", "preproc", True, "1", ("manifest",)),
    Node("embeddings_clip", "embeddings", True, "1", ("preproc",)),
    Node("gender_classifier", "attributes", False, "1", ("embeddings_clip", "labels_csv"), refits=True),
    Node("attributes", "attributes", True, "1", ("embeddings_clip", "gender_classifier")),
    Node("attributes_with_manual", "metadata", True, "1", ("attributes", "manual_labels_csv")),
    Node("master", "metadata", True, "1", ("attributes_with_manual", "manifest")),
    Node("data_card", "reports", False, "1", ("master",)),
)


def recipe(**changes: object) -> Recipe:
    """Any recipe."""
    return Recipe(**{"asset": "manifest", "code_version": "1", "code_digest": "f", **changes})  # type: ignore[arg-type]


def table(n: int = 2) -> pl.DataFrame:
    """n rows with the two columns that every table has."""
    return pl.DataFrame({"image_id": [f"{i:032x}" for i in range(n)], "filename": [f"{i}.jpg" for i in range(n)]})


def inventory(*counts: int) -> pl.DataFrame:
    """An inventory with so many files in each shard."""
    rows = [
        (f"{shard}/{i}.jpg", f"{shard}-{i}", f"shard-{shard:05d}") for shard, n in enumerate(counts) for i in range(n)
    ]
    names = ["filename", "image_id", "shard"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(state=pl.lit("ok"), reason=pl.lit(""))


def store_in(folder: Path) -> Store:
    """An empty store."""
    return Store(folder, folder / "models")


def freshness_of(store: Store, graph: tuple[Node, ...] = GRAPH) -> Freshness:
    """A freshness that has cached nothing, as each process begins with."""
    return Freshness(store, lambda: graph, refit_growth=0.5)


def discover(freshness: Freshness, *counts: int) -> list[str]:
    """What `raw_photos` does: the inventory with a fingerprint of each shard; names of the shards."""
    files = inventory(*counts)
    made = Recipe(ROOT, freshness.graph[ROOT].code_version, freshness.code_digest(ROOT), inventory_inputs(files))
    freshness.store.write_table(ROOT, None, files, made)
    return files["shard"].unique().sort().to_list()


def make(freshness: Freshness, name: str, shard: str | None = None, *, skipped: str = "") -> None:
    """Write an artifact with the recipe of now."""
    made = freshness.recipe(name, shard, skipped=skipped)
    if name in SHARD_TABLES or name in TABLES:
        files = freshness.store.read_table(ROOT).with_columns(status=pl.lit("ok"))
        rows = files.filter(pl.col("shard") == shard) if shard is not None else files
        if name == PREPROC and shard is not None:
            for image_id in rows["image_id"]:
                freshness.store.write_jpeg(shard, image_id, b"jpeg")
            freshness.store.keep_jpegs(shard, set(rows["image_id"]), made)
        freshness.store.write_table(name, shard, rows, made)
    else:
        freshness.store.write_files(name, {} if skipped else {f"{name}.bin": b"content"}, made)


def make_waiting(
    freshness: Freshness, shards: list[str], *, skip: tuple[str, ...] = ()
) -> list[tuple[str, str | None]]:
    """Make whatever is not done, parents first; what was made, in order. Assets in `skip` are made as skipped."""
    made = []
    for name, node in freshness.graph.items():
        for shard in shards if node.sharded else [None]:
            if freshness.states(shards)[name, shard].status != "done":
                make(freshness, name, shard, skipped="nothing to learn from" if name in skip else "")
                made.append((name, shard))
    return made


def waiting(freshness: Freshness, shards: list[str]) -> dict[str, str]:
    """Asset → `stale` or `missing`, or both; what is done is left out."""
    found: dict[str, set[str]] = {}
    for (name, _), state in freshness.states(shards).items():
        if state.status != "done":
            found.setdefault(name, set()).add(state.status)
    return {name: " ".join(sorted(statuses)) for name, statuses in found.items()}
