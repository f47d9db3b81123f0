"""A store and a graph of a few assets for tests of what lies below Dagster: real names, so that each has its place in the layout."""

from pathlib import Path

import polars as pl

from facestats_pipeline.io.freshness import PICTURES, ROOT, Node, RecipeBook, inventory_inputs
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
    return Recipe(**{"asset": "manifest", "code_version": "1", "family": "f", **changes})  # type: ignore[arg-type]


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


def book_of(store: Store, graph: tuple[Node, ...] = GRAPH) -> RecipeBook:
    """A book that has cached nothing, as each process begins with."""
    return RecipeBook(store, lambda: graph, refit_growth=0.5)


def discover(book: RecipeBook, *counts: int) -> list[str]:
    """What `raw_photos` does: the inventory with a fingerprint of each shard; names of the shards."""
    files = inventory(*counts)
    made = Recipe(ROOT, book.graph[ROOT].code_version, book.family(ROOT), inventory_inputs(files))
    book.store.write_table(ROOT, None, files, made)
    return files["shard"].unique().sort().to_list()


def make(book: RecipeBook, name: str, shard: str | None = None, *, skipped: str = "") -> None:
    """Write an artifact with the recipe of now."""
    made = book.recipe(name, shard, skipped=skipped)
    if name in SHARD_TABLES or name in TABLES:
        files = book.store.read_table(ROOT).with_columns(status=pl.lit("ok"))
        rows = files.filter(pl.col("shard") == shard) if shard is not None else files
        if name == PICTURES and shard is not None:
            for image_id in rows["image_id"]:
                book.store.write_jpeg(shard, image_id, b"jpeg")
            book.store.keep_jpegs(shard, set(rows["image_id"]), made)
        book.store.write_table(name, shard, rows, made)
    else:
        book.store.write_files(name, {} if skipped else {f"{name}.bin": b"content"}, made)


def make_waiting(book: RecipeBook, shards: list[str], *, skip: tuple[str, ...] = ()) -> list[tuple[str, str | None]]:
    """Make whatever is not done, parents first; what was made, in order. Assets in `skip` are made as skipped."""
    made = []
    for name, node in book.graph.items():
        for shard in shards if node.sharded else [None]:
            if book.states(shards)[name, shard].status != "done":
                make(book, name, shard, skipped="nothing to learn from" if name in skip else "")
                made.append((name, shard))
    return made


def waiting(book: RecipeBook, shards: list[str]) -> dict[str, str]:
    """Asset → `stale` or `missing`, or both; what is done is left out."""
    found: dict[str, set[str]] = {}
    for (name, _), state in book.states(shards).items():
        if state.status != "done":
            found.setdefault(name, set()).add(state.status)
    return {name: " ".join(sorted(statuses)) for name, statuses in found.items()}
