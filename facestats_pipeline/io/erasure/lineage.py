"""Where one image is, from the raw file to every row and file that holds it, and which version of what made each."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from facestats_pipeline.core.composites.composite_table import COMPOSITES
from facestats_pipeline.core.composites.membership import composites_with
from facestats_pipeline.io.erasure.erase import marked_models
from facestats_pipeline.io.erasure.places import Place, files_of, find_places
from facestats_pipeline.io.erasure.targets import Target
from facestats_pipeline.io.freshness import Freshness
from facestats_pipeline.io.layout import INDEX

Run = tuple[str, float]
"""Id and Unix time of a Dagster run."""


@dataclass(frozen=True)
class Holding:
    """One place, with what it says of the image and how it came about.

    Attributes:
        stage: ingest, preproc, …; `provided` for what people gave.
        kind, artifact, path, shard, rows, note: as in `Place`; the path is relative to the data folder where it is inside.
        values: the row of a table, without ids and vectors.
        code_version, fingerprint: of the recipe.
        made_at: UTC, from the file.
        run_id: the Dagster run that wrote it last, where Dagster knows one.
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
        """JSON-able, without what is empty."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None, {})}


def lineage(
    freshness: Freshness,
    raw: Path,
    target: Target,
    last_run: Callable[[str, str | None], Run | None] = lambda asset, shard: None,
) -> list[Holding]:
    """Every place that holds the image or images of `target`, in the order of the graph. Reads; changes nothing.

    `last_run(asset, shard)` says which Dagster run made an artifact last.
    """
    order = {name: at for at, name in enumerate(freshness.graph)}
    marked = marked_models(freshness)
    found = []
    for place in find_places(freshness.store, freshness.graph, raw, target):
        node = freshness.graph.get(place.artifact)
        recipe = freshness.store.recipe(place.artifact, place.shard) if node is not None else None
        made = last_run(place.artifact, place.shard) if node is not None else None
        note = _part(freshness, place, target) if place.kind == "aggregate" else place.note
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
    """What the table says of the first of the images; vectors and landmarks are left out."""
    rows = pl.scan_parquet(place.path).filter(pl.col("image_id").is_in(list(target.ids))).head(1).collect()
    short = {
        name: dtype
        for name, dtype in rows.schema.items()
        if name not in ("image_id", "filename", "shard") and (not dtype.is_nested() or dtype == pl.List(pl.String))
    }
    return {
        name: value for name, value in rows.select(list(short)).row(0, named=True).items() if value not in (None, [])
    }


def _part(freshness: Freshness, place: Place, target: Target) -> str:
    """How an aggregate holds the image."""
    if place.artifact == "embedding_index":
        from facestats_pipeline.core.embeddings.index import load_index

        index = load_index(freshness.store.file(place.artifact, INDEX), view=True)
        return "an entry" if any(image_id in index for image_id in target.ids) else "no entry"
    if place.artifact == "composites":
        names = composite_names(freshness, target)
        return f"in {', '.join(names)}" if names else "in none of them"
    named = False
    for path in files_of(freshness.store, place.artifact):
        data = path.read_bytes() if path.suffix in (".json", ".csv", ".md") else b""
        text = _words(path) if path.suffix == ".parquet" else data.decode(errors="replace")
        named = named or any(word in text for word in (*target.ids, *target.filenames))
    return "named in it" if named else "made from the collection that it is in"


def _words(table: Path) -> str:
    """What a table says in columns that can be read as text; pixels are not even read."""
    return pl.scan_parquet(table).select(cs.all() - cs.binary()).collect().write_json()


def composite_names(freshness: Freshness, target: Target) -> list[str]:
    """The composites that the image is part of."""
    path = freshness.store.file(COMPOSITES.name, COMPOSITES.path)
    shards = [shard for shard in target.shards if shard in freshness.store.shards("master")]
    if not path.is_file() or not shards:
        return []
    rows = pl.concat([freshness.store.read_table("master", shard) for shard in shards], how="diagonal")
    mine = rows.filter(pl.col("image_id").is_in(list(target.ids)))
    table = pl.read_parquet(path)
    names = [composites_with(table, mine[i : i + 1]) for i in range(mine.height)]
    return list(dict.fromkeys(name for some in names for name in some))


def _shown(path: Path, data_dir: Path) -> str:
    return str(path.relative_to(data_dir)) if path.is_relative_to(data_dir) else str(path)
