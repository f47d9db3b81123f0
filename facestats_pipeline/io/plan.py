"""Which runs make whatever is missing or stale: one plan for `facestats run` and for the sensor `bring_up_to_date`.

The graph falls into phases in which all assets are either sharded or not (photos · images · models · tables · reports). Each phase
becomes as few runs as possible, because a run costs about a second by itself.

Whoever carries a plan out asks for the next steps, runs them, and asks again. A plan never reaches past the first phase with work to do:
what did not change in effect need not be made again after it.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from facestats_pipeline.io.freshness import ROOT, Artifact, Node, State

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags that make one Dagster run cover a range of shards."""


@dataclass(frozen=True)
class Step:
    """One Dagster run: some assets, over consecutive shards when they are sharded."""

    assets: tuple[str, ...]
    shards: tuple[str, ...] = ()

    @property
    def artifacts(self) -> list[Artifact]:
        """What the run makes."""
        return [(name, shard) for name in self.assets for shard in self.shards or (None,)]

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run."""
        return {RANGE_START: self.shards[0], RANGE_END: self.shards[-1]} if self.shards else {}


def phases(graph: Mapping[str, Node]) -> list[list[str]]:
    """Assets in layers, parents first, such that a layer holds only sharded or only other assets."""
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
    """The runs that can start now: those of the first phase that has any. Empty when all that can be made is done or was `tried`."""
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
    """The runs, of at most `most` shards each, that make whatever of `assets` (one phase) is not done.

    Left out is what was `tried`, and what has a parent that is neither done nor made in the same run. What is made on demand alone is never
    planned, nor is the root: looking at the photos comes before any plan.
    """
    ready: set[Artifact] = set()
    held: dict[str | None, set[str]] = {}  # shard → assets that no run over it may contain
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
    """What an artifact is made from; an asset without shards is made from all shards of a parent."""
    for parent in node.parents:
        if parent not in graph:  # a file that people provide
            continue
        if not graph[parent].sharded:
            yield parent, None
        else:
            yield from ((parent, part) for part in ([shard] if node.sharded else shards))


def _consecutive(
    chosen: Sequence[str], all_shards: Sequence[str], held: Mapping[str | None, set[str]], most: int
) -> Iterator[list[str]]:
    """`chosen` in runs of neighbours. A run makes each of its assets in all its shards, so those of one run hold back the same assets."""
    place = {shard: i for i, shard in enumerate(all_shards)}
    run: list[str] = []
    for shard in chosen:
        if run and (place[shard] != place[run[-1]] + 1 or held.get(shard) != held.get(run[-1]) or len(run) >= most):
            yield run
            run = []
        run.append(shard)
    if run:
        yield run
