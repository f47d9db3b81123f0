"""When Dagster makes an asset by itself: automation conditions that ask the recipes, as `facestats run` and `facestats status` do.

Dagster's own conditions follow events (something upstream was materialized); ours follow what the files say they were made from. So it
does not matter who made what, when, or whether the daemon was running, and a model is not fitted anew because a table was written.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

from facestats_pipeline.defs.partitions import SHARDS
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import ROOT, Freshness, Snapshot, State

if TYPE_CHECKING:
    from dagster._core.asset_graph_view.entity_subset import EntitySubset

Condition = dg.AutomationCondition[dg.AssetKey]
Context = dg.AutomationContext[dg.AssetKey]
Result = dg.AutomationResult[dg.AssetKey]


class Tick:
    """What the recipes say, read once per evaluation of all conditions."""

    def __init__(self, folder: Callable[[], DataFolder]) -> None:
        self._folder = folder
        self._at: datetime | None = None
        self.freshness: Freshness
        self.recipes: Snapshot
        self.busy = False
        self.waiting: dict[str, dict[str | None, State]] = {}

    def look(self, context: Context) -> "Tick":
        """The states as of the evaluation that `context` belongs to."""
        if self._at != context.evaluation_time:
            folder = self._folder()
            folder.store.refresh()
            self.freshness = folder.freshness
            self.busy = folder.locks.holder() is not None
            self.recipes = Snapshot(folder.store)
            self.waiting = {}  # of a folder that is being worked in, states would be out of date themselves
            if not self.busy and folder.store.recipe(ROOT) is not None:
                shards = sorted(context.asset_graph_view.instance.get_dynamic_partitions(str(SHARDS.name)))
                for (name, shard), state in self._settled(self.freshness.states(shards, self.recipes)).items():
                    if state.status != "done":
                        self.waiting.setdefault(name, {})[shard] = state
            self._at = context.evaluation_time
        return self

    def _settled(self, states: dict[tuple[str, str | None], State]) -> dict[tuple[str, str | None], State]:
        """What is fitted on a collection that is not current may be due once it is: until then, nothing is made with it."""
        moving = {name for (name, _), state in states.items() if state.status != "done"}
        undecided = State("stale", "the collection that it is fitted on is not current")
        return states | {
            (name, None): undecided
            for name, node in self.freshness.graph.items()
            if node.refits and states[name, None].status == "done" and moving & set(node.parents)
        }

    def out_of_date(self, context: Context) -> dict[str | None, State]:
        """Shard (None for an asset without shards) → state, of what is missing or stale of the asset that is looked at."""
        return self.look(context).waiting.get(context.key.path[-1], {})

    def fingerprint(self, asset: str, shard: str | None) -> str:
        """Of what would be made of the inputs as they are now."""
        return self.freshness.recipe(asset, shard, snapshot=self.recipes).fingerprint


class OutOfDate(Condition):
    """Its recipe is not the one that would be used now, or there is no such file."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    @property
    def name(self) -> str:
        """As Dagster's page shows it."""
        return "out_of_date"

    @property
    def description(self) -> str:
        """As Dagster's page shows it."""
        return "Missing, or made from other inputs, settings or code than those of now"

    def evaluate(self, context: Context) -> Result:
        """The candidates that are out of date."""
        return dg.AutomationResult(context, chosen(context, set(self.tick.out_of_date(context))))


class NotAskedFor(OutOfDate):
    """Out of date, and not asked for before as it is now: work that failed is not tried again until something about it changed.

    The cursor holds the fingerprints of what was out of date at the last tick (`seen`) and of what was requested (`asked`).
    """

    @property
    def name(self) -> str:
        """As Dagster's page shows it."""
        return "out_of_date_and_not_asked_for"

    @property
    def description(self) -> str:
        """As Dagster's page shows it."""
        return "Out of date, and what it would be made from is not what it was requested for before"

    def evaluate(self, context: Context) -> Result:
        """The candidates that are to be asked for."""
        before = json.loads(context.cursor or "{}")
        seen, asked = before.get("seen", {}), before.get("asked", {})
        requested = context.get_previous_requested_subset(context.key)
        if requested is not None and not requested.is_empty:
            parts = requested.expensively_compute_partition_keys() if requested.is_partitioned else {""}
            asked |= {part: seen[part] for part in parts if part in seen}
        waiting = self.tick.out_of_date(context)
        if self.tick.busy:
            kept = json.dumps({"seen": seen, "asked": asked}, sort_keys=True)
            return dg.AutomationResult(context, context.get_empty_subset(), cursor=kept)
        name = context.key.path[-1]
        now = {shard or "": self.tick.fingerprint(name, shard) for shard in waiting}
        asked = {part: fingerprint for part, fingerprint in asked.items() if part in now}
        wanted = {part or None for part, fingerprint in now.items() if asked.get(part) != fingerprint}
        return dg.AutomationResult(
            context, chosen(context, wanted), cursor=json.dumps({"seen": now, "asked": asked}, sort_keys=True)
        )


class FolderIsFree(Condition):
    """Nobody works in the data folder: neither a run of Dagster's nor `facestats run` beside it."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    @property
    def name(self) -> str:
        """As Dagster's page shows it."""
        return "folder_is_free"

    @property
    def description(self) -> str:
        """As Dagster's page shows it."""
        return "No run works in the data folder"

    def evaluate(self, context: Context) -> Result:
        """All candidates or none."""
        free = not self.tick.look(context).busy
        return dg.AutomationResult(context, context.candidate_subset if free else context.get_empty_subset())


def bring_up_to_date(folder: Callable[[], DataFolder], nightly: str) -> Condition:
    """The condition of every asset that an update makes.

    Out of date and not asked for yet (once a night: out of date, whatever was asked for), while nothing runs, when what it is made from is
    current or is made in the same run.
    """
    tick = Tick(folder)
    wait_for = OutOfDate(tick) & ~dg.AutomationCondition.will_be_requested()
    again = (OutOfDate(tick) & dg.AutomationCondition.cron_tick_passed(nightly)).with_label("once more at night")
    return (
        FolderIsFree(tick)
        & (NotAskedFor(tick) | again)
        & ~dg.AutomationCondition.any_deps_match(wait_for).with_label("any_deps_out_of_date")
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    ).with_label("bring_up_to_date")


def chosen(context: Context, shards: set[str | None]) -> "EntitySubset[dg.AssetKey]":
    """The candidates among `shards`; None stands for an asset without shards."""
    if context.partitions_def is None:
        return context.candidate_subset if shards else context.get_empty_subset()
    return context.candidate_subset.compute_intersection_with_partition_keys({s for s in shards if s is not None})
