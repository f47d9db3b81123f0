"""How far a data folder is: done, stale or missing, artifact by artifact, and the files that were set aside."""

from typing import Any

import polars as pl

from facestats_pipeline.collection.pipeline import Pipeline
from facestats_pipeline.io.erasure.erase import marked_models
from facestats_pipeline.io.store import Store


def collect(pipeline: Pipeline, *, on_demand: bool = False) -> list[dict[str, Any]]:
    """One row per artifact, in order of the graph; those made on demand alone only when asked for."""
    rows: dict[str, dict[str, Any]] = {}
    marked = marked_models(pipeline.freshness)
    for (name, shard), state in pipeline.states().items():
        node = pipeline.freshness.graph[name]
        if node.on_demand and not on_demand:
            continue
        counts = {"done": 0, "stale": 0, "missing": 0}
        row = rows.setdefault(
            name,
            {"stage": node.group, "artifact": name, **counts, "why": "", "not_done": {}, "on_demand": node.on_demand},
        )
        row[state.status] += 1
        if state.status != "done":
            row["why"] = row["why"] or state.reason
            row["not_done"][shard or "-"] = state.reason
        elif not node.sharded and (recipe := pipeline.folder.store.recipe(name)) is not None and recipe.skipped:
            row["why"] = f"skipped: {recipe.skipped}"
        if name in marked:
            learned = f"has learned from {marked[name]} erased since (`erase --retrain`)"
            row["why"] = "; ".join(filter(None, (row["why"], learned)))
    return list(rows.values())


def rejected_photos(store: Store) -> pl.DataFrame:
    """filename, status, reason of every file that is no live image."""
    wanted = pl.col("status") != "ok"
    return store.scan("manifest").filter(wanted).select("filename", "status", "reason").collect()
