"""A data folder of ten thousand shards: registered, planned and listed as after real runs, made in minutes.

What is real: the photos, their inventory and the partitions, which the asset `raw_photos` registers; every asset without shards, made
through Dagster over all shards; every asset of the first TEMPLATE shards, made through Dagster in one run a phase. Of the other shards
each table has the rows of a template under its own photos' names and ids (embeddings and hashes are drawn anew), with the recipe that
follows from its inputs, and a copy of the JPEGs; and Dagster's storage has the template's run, events and their tags once more for every
further 64 shards. Left out: the logs of these copied runs, and results of checks.
"""

import re
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline.io.freshness import ROOT, Snapshot
from facestats_pipeline.io.plan import Step, phases, plan
from facestats_pipeline_tests.counted import write_small_photos

TEMPLATE = 64
SETTINGS = {
    "encoder.name": "facestats-test-tiny/untrained",
    "preproc.size": 64,
    "preproc.align": False,
    "zeroshot.enabled": False,
}
_NAME = re.compile(r"shard-(\d{5})")


def make_collection(data: Path, shards: int, photos: int) -> Pipeline:
    """Everything done over `shards` shards of `photos` photos each."""
    write_small_photos(data / "raw", 0, shards * photos)
    save_settings(data, SETTINGS | {"shard_size": photos})
    pipeline = Pipeline(load_settings(environ={}, data_dir=data), open_instance(data / ".dagster"))
    pipeline.execute(Step((ROOT,)))
    graph, store, names = pipeline.freshness.graph, pipeline.folder.store, pipeline.shards
    rows = store.read_table(ROOT).select("shard", "image_id", "filename").partition_by("shard", as_dict=True)
    ids = {str(shard): frame for (shard,), frame in rows.items()}
    for assets in phases(graph):
        if not graph[assets[0]].sharded:
            for step in plan(pipeline.states(), assets, graph, names, TEMPLATE):
                pipeline.execute(step)
            continue
        step = Step(tuple(assets), tuple(names[:TEMPLATE]))
        pipeline.execute(step)
        for asset in assets:
            _copy_tables(pipeline, asset, names, ids)
        _copy_events(data / ".dagster", pipeline.instance.get_runs(limit=1)[0].run_id, len(names))
        print(f"{len(names)} shards of {len(assets)} assets, {assets[0]} to {assets[-1]}", flush=True)
    return pipeline


def _copy_tables(pipeline: Pipeline, asset: str, names: list[str], ids: Mapping[str, pl.DataFrame]) -> None:
    store, rng, snapshot = pipeline.folder.store, np.random.default_rng(0), Snapshot(pipeline.folder.store)
    frames = [store.read_table(asset, name) for name in names[:TEMPLATE]]
    for number, shard in enumerate(names[TEMPLATE:], TEMPLATE):
        like = names[number % TEMPLATE]
        frame, old, new = frames[number % TEMPLATE], ids[like], ids[shard]
        if asset == "preproc":
            for before, after in zip(old["image_id"], new["image_id"], strict=True):
                store.write_jpeg(shard, after, store.jpeg_path(like, before).read_bytes())
        renamed = {name: dict(zip(old[name], new[name], strict=True)) for name in ("image_id", "filename")}
        columns = [pl.col(name).replace(renamed[name]) for name in renamed if name in frame.columns]
        if "shard" in frame.columns:
            columns.append(pl.lit(shard).alias("shard"))
        frame = frame.with_columns(columns)
        store.write_table(
            asset, shard, _drawn_anew(frame, rng), pipeline.freshness.recipe(asset, shard, snapshot=snapshot)
        )


def _drawn_anew(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Other embeddings and hashes, so that not all photos are near-duplicates."""
    if "embedding" in frame.columns and frame.height:
        vectors = rng.standard_normal((frame.height, frame["embedding"].dtype.size), dtype=np.float32)  # type: ignore[attr-defined]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        frame = frame.with_columns(pl.Series("embedding", vectors, dtype=frame["embedding"].dtype))
    if "phash" in frame.columns:
        frame = frame.with_columns(
            pl.Series("phash", [rng.bytes(8).hex() for _ in range(frame.height)], dtype=pl.String)
        )
    return frame


def _copy_events(home: Path, run_id: str, shards: int) -> None:
    """The run over the first TEMPLATE shards once more for every further TEMPLATE, in the runs' and the events' databases."""
    runs, events = (sqlite3.connect(home / "history" / name) for name in ("runs.db", "runs/index.db"))
    of_run = [(table, row) for table in ("runs", "run_tags") for _, row in _rows(runs, table, "run_id", run_id)]
    of_events = [
        (row, [tag for _, tag in _rows(events, "asset_event_tags", "event_id", event)])
        for event, row in _rows(events, "event_logs", "run_id", run_id)
    ]
    last = f"shard-{shards - 1:05d}"
    with runs, events:
        for first in range(TEMPLATE, shards, TEMPLATE):
            new_id = str(uuid.uuid4())

            def text(value: str, first: int = first, new_id: str = new_id) -> str:
                return _moved(value, first).replace(run_id, new_id)

            def renamed(row: Mapping[str, Any], text: Callable[[str], str] = text) -> dict[str, Any]:
                return {key: text(value) if isinstance(value, str) else value for key, value in row.items()}

            for table, row in of_run:
                _insert(runs, table, renamed(row))
            for row, tags in of_events:
                copied = renamed(row)
                if (copied["partition"] or "") <= last:
                    event_id = _insert(events, "event_logs", copied)
                    for tag in tags:
                        _insert(events, "asset_event_tags", renamed(tag) | {"event_id": event_id})
    for database in (runs, events):
        database.close()


def _moved(text: str, first: int) -> str:
    """The same of shards that come `first` places later."""
    return _NAME.sub(lambda found: f"shard-{int(found[1]) + first:05d}", text)


def _rows(database: sqlite3.Connection, table: str, column: str, value: Any) -> list[tuple[int, dict[str, Any]]]:
    """(id, the other columns) of the rows that have this value."""
    found = database.execute(f"SELECT * FROM {table} WHERE {column} = ?", (value,))
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found]
    return [(row.pop("id"), row) for row in rows]


def _insert(database: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    marks = ", ".join("?" * len(row))
    done = database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    return int(done.lastrowid or 0)
