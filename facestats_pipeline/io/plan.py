"""Plans the runs that make missing and stale artifacts, for `facestats run` and for the sensor `bring_up_to_date`.

The graph is split into phases (photos · images · models · tables · reports). All assets of a phase are sharded, or none is. A phase
becomes as few runs as possible, because each run has an overhead of about a second.

The caller runs the next steps, then asks for a new plan. A plan covers only the first phase with work to do: when that work leaves
content unchanged, later phases need no run.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from facestats_pipeline.io.freshness import ROOT, Artifact, Node, State

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Dagster tags with which one run covers a range of shards."""


@dataclass(frozen=True)
class Step:
    """One Dagster run: a selection of assets, and consecutive shards when the assets are sharded."""

    assets: tuple[str, ...]
    shards: tuple[str, ...] = ()

    @property
    def artifacts(self) -> list[Artifact]:
        """The artifacts that the run makes."""
        return [(name, shard) for name in self.assets for shard in self.shards or (None,)]

    @property
    def tags(self) -> dict[str, str]:
        """The run's Dagster tags."""
        return {RANGE_START: self.shards[0], RANGE_END: self.shards[-1]} if self.shards else {}


def phases(graph: Mapping[str, Node]) -> list[list[str]]:
    """Assets grouped into phases, parents first. All assets of a phase are sharded, or none is."""
    layer: dict[str, int] = {}
    for node in graph.values():
        parents = [parent for parent in node.parents if parent in graph]
        layer[node.name] = max((layer[p] + (graph[p].sharded != node.sharded) for p in parents), default=0)
        if not parents and node.sharded:
            layer[node.name] = 1
    return [[name for name in graph if layer[name] == number] for number in range(max(layer.values(), default=-1) + 1)]


def next_steps(
    states: Mapping[Artifact, State],
    graph: Mapping[str, Node],
    shards: Sequence[str],
    most: int,
    tried: Container[Artifact] = (),
) -> list[Step]:
    """The runs of the first phase that has work to do. Empty when every artifact that can be made is done or was `tried`."""
    plans = (plan(states, assets, graph, shards, most, tried) for assets in phases(graph))
    return next((steps for steps in plans if steps), [])


def plan(
    states: Mapping[Artifact, State],
    assets: Sequence[str],
    graph: Mapping[str, Node],
    shards: Sequence[str],
    most: int,
    tried: Container[Artifact] = (),
) -> list[Step]:
    """The runs, of at most `most` shards each, that make the artifacts of `assets` (one phase) that are not done.

    Excluded are artifacts that were already `tried`, and those with a parent that is neither done nor made in the same run. On-demand
    assets are never planned. The root is not planned either, because the photos are scanned before planning.
    """
    ready: set[Artifact] = set()
    held: dict[str | None, set[str]] = {}  # shard → assets to exclude from runs over it
    for name in assets:
        node = graph[name]
        for shard in shards if node.sharded else [None]:
            if name == ROOT or node.on_demand or states[name, shard].status == "done":
                continue
            parents = _parents(node, shard, graph, shards)
            if (name, shard) not in tried and all(key in ready or states[key].status == "done" for key in parents):
                ready.add((name, shard))
            else:
                held.setdefault(shard, set()).add(name)
    single = tuple(name for name in assets if (name, None) in ready)
    steps = [Step(single)] if single else []
    chosen = [shard for shard in shards if any((name, shard) in ready for name in assets)]
    for run in _consecutive(chosen, list(shards), held, most):
        wanted = tuple(name for name in assets if any((name, shard) in ready for shard in run))
        steps.append(Step(wanted, tuple(run)))
    return steps


def _parents(node: Node, shard: str | None, graph: Mapping[str, Node], shards: Sequence[str]) -> Iterator[Artifact]:
    """The artifacts that an artifact is made from. An asset without shards depends on all shards of a sharded parent."""
    for parent in node.parents:
        if parent not in graph:  # a user file
            continue
        if not graph[parent].sharded:
            yield parent, None
        else:
            yield from ((parent, part) for part in ([shard] if node.sharded else shards))


def _consecutive(
    chosen: Sequence[str], all_shards: Sequence[str], held: Mapping[str | None, set[str]], most: int
) -> Iterator[list[str]]:
    """Split `chosen` into ranges of consecutive shards. A run makes every asset for every shard of its range, so all shards of
    one range must exclude the same assets.
    """
    place = {shard: i for i, shard in enumerate(all_shards)}
    run: list[str] = []
    for shard in chosen:
        if run and (place[shard] != place[run[-1]] + 1 or held.get(shard) != held.get(run[-1]) or len(run) >= most):
            yield run
            run = []
        run.append(shard)
    if run:
        yield run
