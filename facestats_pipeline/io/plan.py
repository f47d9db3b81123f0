"""Which runs make whatever is missing or stale.

The graph falls into phases in which all assets are either sharded or not (photos · images · models · tables · reports). Each phase
becomes as few runs as possible, because a run costs about a second by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from facestats_pipeline.io.freshness import ROOT, Node, State

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags that make one Dagster run cover a range of shards."""


@dataclass(frozen=True)
class Step:
    """One Dagster run: some assets, over consecutive shards when they are sharded."""

    assets: tuple[str, ...]
    shards: tuple[str, ...] = ()


def phases(graph: Mapping[str, Node]) -> list[list[str]]:
    """Assets in layers, parents first, such that a layer holds only sharded or only other assets."""
    layer: dict[str, int] = {}
    for node in graph.values():
        parents = [parent for parent in node.parents if parent in graph]
        layer[node.name] = max((layer[p] + (graph[p].sharded != node.sharded) for p in parents), default=0)
        if not parents and node.sharded:
            layer[node.name] = 1
    return [[name for name in graph if layer[name] == number] for number in range(max(layer.values(), default=-1) + 1)]


def plan(
    states: Mapping[tuple[str, str | None], State],
    assets: Sequence[str],
    graph: Mapping[str, Node],
    shards: Sequence[str],
    most: int,
) -> list[Step]:
    """The runs, of at most `most` shards each, that make whatever of `assets` (one phase) is not done.

    What is made on demand alone is never planned, nor is the root: looking at the photos comes before any plan.
    """
    waiting = [
        (name, shard)
        for name in assets
        if name != ROOT and not graph[name].on_demand
        for shard in (shards if graph[name].sharded else [None])
        if states[name, shard].status != "done"
    ]
    single = tuple(name for name, shard in waiting if shard is None)
    by_shard: dict[str, list[str]] = {}
    for name, shard in waiting:
        if shard is not None:
            by_shard.setdefault(shard, []).append(name)
    steps = [Step(single)] if single else []
    for run in _consecutive([shard for shard in shards if shard in by_shard], list(shards), most):
        wanted = {name for shard in run for name in by_shard[shard]}
        steps.append(Step(tuple(name for name in assets if name in wanted), tuple(run)))
    return steps


def _consecutive(chosen: list[str], all_shards: list[str], most: int) -> Iterator[list[str]]:
    place = {shard: i for i, shard in enumerate(all_shards)}
    run: list[str] = []
    for shard in chosen:
        if run and (place[shard] != place[run[-1]] + 1 or len(run) >= most):
            yield run
            run = []
        run.append(shard)
    if run:
        yield run
