"""Status of a data folder: which artifacts are done, stale or missing, and which files were set aside."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from facestats_pipeline.collection.pipeline import Pipeline
from facestats_pipeline.io.erasure.erase import marked_models
from facestats_pipeline.io.freshness import State
from facestats_pipeline.io.store import Store


@dataclass(frozen=True)
class ArtifactState:
    """Status of one artifact.

    Attributes:
        stage, artifact: its asset group and name.
        done, stale, missing: number of shards in each state; without shards, one of them is 1.
        why: the first reason; empty if everything is done.
        not_done: shard (`-` without shards) → why it is not done.
        on_demand: whether it is made only on request.
    """

    stage: str
    artifact: str
    done: int
    stale: int
    missing: int
    why: str
    not_done: dict[str, str]
    on_demand: bool


def artifact_states(pipeline: Pipeline, *, on_demand: bool = False) -> list[ArtifactState]:
    """The status of each artifact, in the order of the graph; on-demand assets only on request."""
    grouped: dict[str, dict[str, State]] = {}
    for (name, shard), state in pipeline.states().items():
        if on_demand or not pipeline.freshness.graph[name].on_demand:
            grouped.setdefault(name, {})[shard or "-"] = state
    marked = marked_models(pipeline.freshness)
    return [_artifact_state(pipeline, name, states, marked.get(name, 0)) for name, states in grouped.items()]


def _artifact_state(pipeline: Pipeline, name: str, states: Mapping[str, State], erased: int) -> ArtifactState:
    node, counts = pipeline.freshness.graph[name], Counter(state.status for state in states.values())
    not_done = {shard: state.reason for shard, state in states.items() if state.status != "done"}
    whys = list(not_done.values())[:1]
    if not node.sharded and not not_done:
        recipe = pipeline.folder.store.recipe(name)
        whys += [f"skipped: {recipe.skipped}"] if recipe is not None and recipe.skipped else []
    whys += [f"was trained on {erased} since-erased images (`erase --retrain`)"] if erased else []
    return ArtifactState(
        node.group,
        name,
        done=counts["done"],
        stale=counts["stale"],
        missing=counts["missing"],
        why="; ".join(whys),
        not_done=not_done,
        on_demand=node.on_demand,
    )


def set_aside(store: Store) -> pl.DataFrame:
    """Files that are not live images: filename, status, reason."""
    wanted = pl.col("status") != "ok"
    return store.scan("manifest").filter(wanted).select("filename", "status", "reason").collect()
