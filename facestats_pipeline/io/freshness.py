"""What is current, stale or missing, decided from recipes alone, before anything runs.

The asset graph comes in as plain nodes, so that nothing here depends on Dagster. Models fitted on the collection (`refits`) do not
follow every new photo: they are stale when what people provide or a setting changes, or when the number of live images has moved
by more than `refit_growth` since the fit.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import polars as pl

from facestats_pipeline.io.layout import INPUTS
from facestats_pipeline.io.recipes import Recipe, digest, family_of
from facestats_pipeline.io.store import Store

Status = Literal["done", "stale", "missing"]
ROOT = "raw_photos"
"""The asset whose recipe lists a fingerprint for each shard."""
PICTURES = "preproc"
"""The asset whose shards have JPEGs beside the table."""


@dataclass(frozen=True)
class Node:
    """An asset as freshness sees it."""

    name: str
    group: str
    sharded: bool
    code_version: str
    parents: tuple[str, ...]
    refits: bool = False
    on_demand: bool = False  # made only when someone asks for it by name


@dataclass(frozen=True)
class State:
    """Whether an artifact is current, and if not, why."""

    status: Status
    reason: str = ""


DONE = State("done")


@dataclass
class RecipeBook:
    """The recipes of a graph of assets over one store."""

    store: Store
    load_graph: Callable[[], Iterable[Node]]
    refit_growth: float = 0.1
    _families: dict[str, str] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Mapping[str, Node]:
        """Asset name → node, parents before children."""
        nodes = {node.name: node for node in self.load_graph()}
        ordered: dict[str, Node] = {}

        def add(name: str) -> None:
            if name in nodes and name not in ordered:
                for parent in nodes[name].parents:
                    add(parent)
                ordered[name] = nodes[name]

        for name in nodes:
            add(name)
        return ordered

    def family(self, asset: str) -> str:
        """Digest over the code and settings of an asset and of all that it descends from."""
        if asset not in self._families:
            node = self.graph.get(asset)
            parents = {} if node is None else {parent: self.family(parent) for parent in node.parents}
            self._families[asset] = family_of(asset, node.code_version if node else "", parents)
        return self._families[asset]

    def recipe(self, asset: str, shard: str | None = None, *, skipped: str = "") -> Recipe:
        """The recipe of what is being made now from its inputs as they lie in the store."""
        node = self.graph[asset]
        inputs = {
            parent: self._input(node, parent, shard) for parent in node.parents if not self._only_counted(node, parent)
        }
        basis = self.basis() if node.refits else {}
        return Recipe(asset, node.code_version, self.family(asset), inputs, basis, skipped)

    def basis(self) -> dict[str, str | int]:
        """The collection as models are fitted on it: live images, and a digest over which."""
        return {"images": self.live_images(), "collection": self.store.collection_fingerprint("manifest")}

    def live_images(self) -> int:
        """Images with status `ok`."""
        if not self.store.shards("manifest"):
            return 0
        return int(self.store.scan("manifest").filter(pl.col("status") == "ok").select(pl.len()).collect().item())

    def states(self, shards: list[str]) -> dict[tuple[str, str | None], State]:
        """The state of every artifact: key (asset, shard), shard None for an asset without shards."""
        states: dict[tuple[str, str | None], State] = {}
        for node in self.graph.values():
            for shard in shards if node.sharded else [None]:
                states[node.name, shard] = self._state(node, shard, shards, states)
        return states

    def _state(
        self, node: Node, shard: str | None, shards: list[str], states: Mapping[tuple[str, str | None], State]
    ) -> State:
        recorded = self.store.recipe(node.name, shard)
        if recorded is None:
            return State("missing", "not made yet")
        if node.name == ROOT:
            return DONE if recorded.family == self.family(ROOT) else State("stale", "its code or settings changed")
        if recorded.code_version != node.code_version:
            return State("stale", "its code or settings changed")
        if node.name == PICTURES and shard is not None and not self.store.pictures_are_there(shard):
            return State("stale", "preprocessed photos are missing")
        for parent in node.parents:
            if parent in INPUTS:
                continue
            parent_shards: list[str | None] = [None]
            if self.graph[parent].sharded:
                if self._only_counted(node, parent) and recorded.family == self.family(node.name):
                    continue
                parent_shards = [shard] if node.sharded else list(shards)
            waiting = sum(states[parent, part].status != "done" for part in parent_shards)
            if waiting:
                return State(
                    "stale", f"{parent} is not current" + (f" in {waiting} shards" if len(parent_shards) > 1 else "")
                )
        return self._compare(node, shard, recorded)

    def _compare(self, node: Node, shard: str | None, recorded: Recipe) -> State:
        now = self.recipe(node.name, shard)
        changed = [name for name in now.inputs if recorded.inputs.get(name) != now.inputs[name]]
        if changed or set(recorded.inputs) - set(now.inputs):
            return State("stale", f"{', '.join(changed) or 'an input'} changed")
        if recorded.family != now.family:
            return State("stale", "code or settings that it depends on changed")
        if node.refits and recorded.basis != now.basis:
            before, after = int(recorded.basis.get("images", 0)), int(now.basis["images"])
            if recorded.skipped:
                return State("stale", "was skipped, and the collection changed")
            if abs(after - before) > self.refit_growth * max(before, 1):
                return State("stale", f"fitted on {before} images, there are {after} now")
        return DONE

    def _only_counted(self, node: Node, parent: str) -> bool:
        return node.refits and parent in self.graph and self.graph[parent].sharded

    def _input(self, node: Node, parent: str, shard: str | None) -> str:
        if parent in INPUTS:
            return self.store.input_fingerprint(parent)
        if not self.graph[parent].sharded:
            recipe = self.store.recipe(parent)
            if parent == ROOT and recipe is not None and shard is not None:
                return recipe.inputs.get(shard, "none")
            return recipe.fingerprint if recipe else "none"
        if node.sharded:
            recipe = self.store.recipe(parent, shard)
            return recipe.fingerprint if recipe else "none"
        return self.store.collection_fingerprint(parent)


def inventory_inputs(inventory: pl.DataFrame) -> dict[str, str]:
    """Shard → digest over what its files are: the inputs of the root's recipe. Times are left out: a touched file is the same."""
    kept = inventory.select("shard", "filename", "image_id", "state", "reason")
    return {
        str(shard): digest(rows.drop("shard").rows()) for (shard,), rows in kept.group_by("shard", maintain_order=True)
    }
