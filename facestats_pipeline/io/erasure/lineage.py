"""Lineage of one image: every file and row that holds it, from the raw file on, with the code version and the run that made each."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.composites.composite_table import COMPOSITES
from facestats_pipeline.core.composites.membership import composites_with
from facestats_pipeline.io.erasure.erase import marked_models
from facestats_pipeline.io.erasure.places import Place, files_of, find_places
from facestats_pipeline.io.erasure.targets import Target
from facestats_pipeline.io.freshness import Freshness
from facestats_pipeline.io.layout import INDEX

Run = tuple[str, float]
"""Id of a Dagster run, and its Unix time in seconds."""


@dataclass(frozen=True)
class Holding:
    """A place that holds the image, with the values stored there and how it was made.

    Attributes:
        stage: ingest, preproc, …; `provided` for user files.
        kind, artifact, path, shard, rows, note: as in `Place`; a path inside the data folder is relative to it.
        values: the row of a table, without ids and vectors.
        code_version, fingerprint: from the recipe.
        made_at: modification time of the file, UTC, ISO 8601.
        run_id: the Dagster run that last wrote it; empty when Dagster has no such record.
    """

    stage: str
    kind: str
    artifact: str
    path: str
    shard: str | None = None
    rows: int = 1
    note: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    code_version: str = ""
    fingerprint: str = ""
    made_at: str = ""
    run_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The attributes as a JSON-serialisable dictionary, without empty ones."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None, {})}


def lineage(
    freshness: Freshness,
    raw: Path,
    target: Target,
    last_run: Callable[[str, str | None], Run | None] = lambda asset, shard: None,
    catalogue: Catalogue = BUILT_IN,
) -> list[Holding]:
    """Every place that holds an image of `target`, in the order of the graph. Read-only.

    `last_run(asset, shard)` returns the Dagster run that last made an artifact; `catalogue` is the collection's.
    """
    order = {name: at for at, name in enumerate(freshness.graph)}
    marked = marked_models(freshness)
    found = []
    for place in find_places(freshness.store, freshness.graph, raw, target):
        node = freshness.graph.get(place.artifact)
        recipe = freshness.store.recipe(place.artifact, place.shard) if node is not None else None
        made = last_run(place.artifact, place.shard) if node is not None else None
        note = _part(freshness, place, target, catalogue) if place.kind == "aggregate" else place.note
        if place.artifact in marked:
            note += f"; also from {marked[place.artifact]} erased since"
        found.append(
            Holding(
                stage=node.group if node is not None else "provided",
                kind=place.kind,
                artifact=place.artifact,
                path=_shown(place.path, freshness.store.data_dir),
                shard=place.shard,
                rows=place.rows,
                note=note,
                values=_values(place, target) if place.kind == "table" else {},
                code_version=recipe.code_version if recipe is not None else "",
                fingerprint=recipe.fingerprint if recipe is not None else "",
                made_at=datetime.fromtimestamp(place.path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                run_id=made[0] if made is not None else "",
            )
        )
    return sorted(found, key=lambda one: order.get(one.artifact, -1))


def _values(place: Place, target: Target) -> dict[str, Any]:
    """The table's row of the first image, without vectors and landmarks."""
    rows = pl.scan_parquet(place.path).filter(pl.col("image_id").is_in(list(target.ids))).head(1).collect()
    short = {
        name: dtype
        for name, dtype in rows.schema.items()
        if name not in ("image_id", "filename", "shard") and (not dtype.is_nested() or dtype == pl.List(pl.String))
    }
    return {
        name: value for name, value in rows.select(list(short)).row(0, named=True).items() if value not in (None, [])
    }


def _part(freshness: Freshness, place: Place, target: Target, catalogue: Catalogue) -> str:
    """How an aggregate holds the image."""
    if place.artifact == "embedding_index":
        from facestats_pipeline.core.embeddings.index import load_index

        index = load_index(freshness.store.file(place.artifact, INDEX), view=True)
        return "an entry" if any(image_id in index for image_id in target.ids) else "no entry"
    if place.artifact == "composites":
        names = composite_names(freshness, target, catalogue)
        return f"in {', '.join(names)}" if names else "in none of them"
    named = False
    for path in files_of(freshness.store, place.artifact):
        data = path.read_bytes() if path.suffix in (".json", ".csv", ".md") else b""
        text = _words(path) if path.suffix == ".parquet" else data.decode(errors="replace")
        named = named or any(word in text for word in (*target.ids, *target.filenames))
    return "named in it" if named else "made from the collection that it is in"


def _words(table: Path) -> str:
    """A table's columns as JSON text, without binary columns, which hold pixels and are not read."""
    return pl.scan_parquet(table).select(cs.all() - cs.binary()).collect().write_json()


def composite_names(freshness: Freshness, target: Target, catalogue: Catalogue) -> list[str]:
    """Names of the composites that include an image of `target`."""
    path = freshness.store.file(COMPOSITES.name, COMPOSITES.path)
    shards = [shard for shard in target.shards if shard in freshness.store.shards("master")]
    if not path.is_file() or not shards:
        return []
    rows = pl.concat([freshness.store.read_table("master", shard) for shard in shards], how="diagonal")
    mine = rows.filter(pl.col("image_id").is_in(list(target.ids)))
    table = pl.read_parquet(path)
    names = [composites_with(table, mine[i : i + 1], catalogue) for i in range(mine.height)]
    return list(dict.fromkeys(name for some in names for name in some))


def _shown(path: Path, data_dir: Path) -> str:
    return str(path.relative_to(data_dir)) if path.is_relative_to(data_dir) else str(path)
