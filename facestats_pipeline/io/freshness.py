"""Freshness: compares recipes to decide, before anything runs, which artifacts are current, stale or missing.

An artifact is current when the recipe in its file equals the recipe it would get now. The asset graph is passed in as plain nodes, so
this module does not depend on Dagster.

Models fitted on the collection (`refits`) are not refitted for every new photo. They become stale when a user file or a setting changes,
or when the number of live images differs from that at the fit by more than the fraction `refit_growth`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

import polars as pl

from facestats_pipeline.io.layout import INPUTS
from facestats_pipeline.io.recipes import Recipe, code_digest_of, digest
from facestats_pipeline.io.store import Store, fingerprint_of

Status = Literal["done", "stale", "missing"]
Artifact = tuple[str, str | None]
"""(asset, shard); the shard is None for an asset without shards."""
ROOT = "raw_photos"
"""The asset whose recipe lists a fingerprint for each shard."""
PREPROC = "preproc"
"""The asset whose shards have JPEGs in addition to the table."""


@dataclass(frozen=True)
class Node:
    """The part of an asset's definition that freshness needs."""

    name: str
    group: str
    sharded: bool
    code_version: str
    parents: tuple[str, ...]
    refits: bool = False
    on_demand: bool = False  # never planned; made only when requested by name


@dataclass(frozen=True)
class State:
    """Status of an artifact, with the reason when it is not current."""

    status: Status
    reason: str = ""


DONE = State("done")


class Snapshot:
    """A cache of recipes as of one moment: each is read at most once, however many artifacts depend on it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recipes: dict[Artifact, Recipe | None] = {}
        self.input_fingerprint = cache(store.input_fingerprint)
        self.collection_fingerprint = cache(self._collection_fingerprint)
        self.live_images = cache(self._live_images)

    def recipe(self, asset: str, shard: str | None = None) -> Recipe | None:
        """The stored recipe of an artifact; None when the artifact does not exist."""
        if (asset, shard) not in self._recipes:
            self._recipes[asset, shard] = self._store.recipe(asset, shard)
        return self._recipes[asset, shard]

    def recipes(self, asset: str, shards: Iterable[str]) -> dict[str, Recipe | None]:
        """Shard → stored recipe. Recipes that are not cached are read together; those in a bucket are read in parallel."""
        named = list(shards)
        unread = [shard for shard in named if (asset, shard) not in self._recipes]
        self._recipes |= {(asset, shard): found for shard, found in self._store.recipes(asset, unread).items()}
        return {shard: self._recipes[asset, shard] for shard in named}

    def _collection_fingerprint(self, asset: str) -> str:
        return fingerprint_of(self.recipes(asset, self._store.shards(asset)))

    def _live_images(self) -> int:
        if not self._store.shards("manifest"):
            return 0
        live = self._store.scan("manifest").filter(pl.col("status") == "ok")
        return int(live.select(pl.len()).collect().item())


@dataclass
class Freshness:
    """Recipes and states of an asset graph over one store."""

    store: Store
    load_graph: Callable[[], Iterable[Node]]
    refit_growth: float = 0.1
    _code_digests: dict[str, str] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Mapping[str, Node]:
        """Asset name → node, in topological order."""
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

    def code_digest(self, asset: str) -> str:
        """Digest of the code and settings of an asset and of all its ancestors."""
        if asset not in self._code_digests:
            node = self.graph.get(asset)
            parents = {} if node is None else {parent: self.code_digest(parent) for parent in node.parents}
            self._code_digests[asset] = code_digest_of(asset, node.code_version if node else "", parents)
        return self._code_digests[asset]

    def recipe(
        self, asset: str, shard: str | None = None, *, skipped: str = "", snapshot: Snapshot | None = None
    ) -> Recipe:
        """The recipe an artifact would get if it were made now. Inputs are read from the store, or from a `snapshot` of it."""
        node, snapshot = self.graph[asset], snapshot or Snapshot(self.store)
        inputs = self._inputs(node, shard, snapshot)
        fitted_on = self.fitted_on(snapshot) if node.refits else {}
        return Recipe(asset, node.code_version, self.code_digest(asset), inputs, fitted_on, skipped)

    def _inputs(self, node: Node, shard: str | None, snapshot: Snapshot) -> dict[str, str]:
        return {
            parent: self._input(node, parent, shard, snapshot)
            for parent in node.parents
            if not self._only_counted(node, parent)
        }

    def fitted_on(self, snapshot: Snapshot | None = None) -> dict[str, str | int]:
        """The collection a model would be fitted on now: the number of live images (status `ok`) and a digest of the manifest."""
        snapshot = snapshot or Snapshot(self.store)
        return {"images": snapshot.live_images(), "collection": snapshot.collection_fingerprint("manifest")}

    def states(self, shards: list[str], snapshot: Snapshot | None = None) -> dict[Artifact, State]:
        """The state of every artifact of the graph; sharded assets have one per shard in `shards`."""
        snapshot = snapshot or Snapshot(self.store)
        states: dict[Artifact, State] = {}
        for node in self.graph.values():
            if node.sharded:
                snapshot.recipes(node.name, shards)
            if node.name == PREPROC:
                self.store.prefetch_picture_recipes(shards)
            for shard in shards if node.sharded else [None]:
                states[node.name, shard] = self._state(node, shard, shards, states, snapshot)
        self.store.save_picture_notes()
        return states

    def _state(
        self,
        node: Node,
        shard: str | None,
        shards: list[str],
        states: Mapping[Artifact, State],
        snapshot: Snapshot,
    ) -> State:
        recorded = snapshot.recipe(node.name, shard)
        if recorded is None:
            return State("missing", "not made yet")
        if node.name == ROOT:
            same = recorded.code_digest == self.code_digest(ROOT)
            return DONE if same else State("stale", "its code or settings changed")
        if recorded.code_version != node.code_version:
            return State("stale", "its code or settings changed")
        if node.name == PREPROC and shard is not None and not self.store.pictures_are_there(shard):
            return State("stale", "preprocessed photos are missing")
        for parent in node.parents:
            if parent in INPUTS:
                continue
            sharded = self.graph[parent].sharded
            if node.sharded or not sharded:
                if states[parent, shard if sharded else None].status != "done":
                    return State("stale", f"{parent} is not current")
                continue
            if self._only_counted(node, parent) and recorded.code_digest == self.code_digest(node.name):
                continue
            waiting = sum(states[parent, part].status != "done" for part in shards)
            if waiting:
                return State("stale", f"{parent} is not current" + (f" in {waiting} shards" if len(shards) > 1 else ""))
        return self._compare(node, shard, recorded, snapshot)

    def _compare(self, node: Node, shard: str | None, recorded: Recipe, snapshot: Snapshot) -> State:
        inputs = self._inputs(node, shard, snapshot)
        changed = [name for name in inputs if recorded.inputs.get(name) != inputs[name]]
        if changed or set(recorded.inputs) - set(inputs):
            return State("stale", f"{', '.join(changed) or 'an input'} changed")
        if recorded.code_digest != self.code_digest(node.name):
            return State("stale", "code or settings that it depends on changed")
        if node.refits and recorded.fitted_on.get("collection") != snapshot.collection_fingerprint("manifest"):
            before, after = int(recorded.fitted_on.get("images", 0)), snapshot.live_images()
            if recorded.skipped:
                return State("stale", "was skipped, and the collection changed")
            if abs(after - before) > self.refit_growth * max(before, 1):
                return State("stale", f"fitted on {before} images, there are {after} now")
        return DONE

    def _only_counted(self, node: Node, parent: str) -> bool:
        return node.refits and parent in self.graph and self.graph[parent].sharded

    def _input(self, node: Node, parent: str, shard: str | None, snapshot: Snapshot) -> str:
        if parent in INPUTS:
            return snapshot.input_fingerprint(parent)
        if not self.graph[parent].sharded:
            recipe = snapshot.recipe(parent, None)
            if parent == ROOT and recipe is not None and shard is not None:
                return recipe.inputs.get(shard, "none")
            return recipe.fingerprint if recipe else "none"
        if node.sharded:
            recipe = snapshot.recipe(parent, shard)
            return recipe.fingerprint if recipe else "none"
        return snapshot.collection_fingerprint(parent)


def inventory_inputs(inventory: pl.DataFrame) -> dict[str, str]:
    """Shard → digest of its inventory rows, used as inputs of the root's recipe.

    Modification times are excluded, so that touching a file makes nothing stale.
    """
    kept = inventory.select("shard", "filename", "image_id", "state", "reason")
    return {
        str(shard): digest(rows.drop("shard").rows()) for (shard,), rows in kept.group_by("shard", maintain_order=True)
    }
