"""Run requests of the sensor `bring_up_to_date`: the next steps of the same plan that `facestats run` carries out.

Dagster's own automation reacts to events (an upstream asset was materialized). The plan compares the recipes in the files. So it does
not matter which process made an artifact, when, or whether the daemon was running, and a rewritten table does not trigger a refit.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg

from facestats_pipeline.defs.partitions import SHARDS
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import ROOT, Artifact, Snapshot
from facestats_pipeline.io.plan import next_steps
from facestats_pipeline.io.recipes import digest

NIGHTLY = {"facestats/nightly": "true"}
"""Tag of runs started by the schedule `nightly`."""
WHY = "facestats/why"
"""Tag of a requested run: why its artifacts are not current."""
_UNFINISHED = [dg.DagsterRunStatus(name) for name in ("QUEUED", "STARTING", "STARTED", "CANCELING")]


@dataclass(frozen=True)
class Requested:
    """The sensor's cursor: the artifacts that were requested and are not done, each with its expected fingerprint."""

    ticks: int = 0  # number of ticks with requests: makes run keys unique when the same run is requested again
    night: str = ""  # last seen run of the schedule `nightly`
    fingerprints: Mapping[Artifact, str] = field(default_factory=dict)

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "Requested":
        """Parse the cursor of the previous tick; a cursor of an earlier version of the sensor gives a new one."""
        try:
            ticks, night, entries = json.loads(cursor or "")
            return cls(ticks, night, {(asset, shard): fingerprint for asset, shard, fingerprint in entries})
        except (ValueError, TypeError):
            return cls()

    @property
    def why_nothing(self) -> str:
        """Why a tick requests nothing, for display."""
        if not self.fingerprints:
            return "nothing is missing or stale that can be made"
        names = ", ".join(sorted({asset for asset, _ in self.fingerprints}))
        return (
            f"requested before and not made; retried after a change of the inputs or by the nightly schedule: {names}"
        )

    @property
    def cursor(self) -> str:
        """For the next tick."""
        return json.dumps([self.ticks, self.night, [[*key, value] for key, value in self.fingerprints.items()]])


def run_requests(
    folder: DataFolder, instance: dg.DagsterInstance, before: Requested
) -> tuple[list[dg.RunRequest], Requested]:
    """The runs that can start now, and the next cursor. Call it only while no run holds a lock of the folder.

    An artifact that was requested before with the same fingerprint has failed and would fail again. It is requested again once its
    inputs have changed, or after the schedule `nightly` has run.
    """
    folder.store.refresh()
    if folder.store.recipe(ROOT) is None:
        return [], before
    freshness, snapshot = folder.freshness, Snapshot(folder.store)
    shards = sorted(instance.get_dynamic_partitions(str(SHARDS.name)))
    if not shards:  # no photo was ever found: models and reports of nothing would only fail
        return [], before
    states = freshness.states(shards, snapshot)

    def fingerprint(key: Artifact) -> str:
        return freshness.recipe(*key, snapshot=snapshot).fingerprint

    def why(made: Mapping[Artifact, str]) -> str:
        first = [key for key in made if not any((parent, key[1]) in made for parent in freshness.graph[key[0]].parents)]
        return "; ".join(sorted({states[key].reason for key in first} - {""}))[:200]

    night = next((run.run_id for run in instance.get_runs(dg.RunsFilter(tags=NIGHTLY), limit=1)), before.night)
    tried = {
        key: value
        for key, value in before.fingerprints.items()
        if night == before.night and key in states and states[key].status != "done" and fingerprint(key) == value
    }
    steps = next_steps(states, freshness.graph, shards, folder.settings.shards_per_run, tried)
    wanted = [{key: fingerprint(key) for key in step.artifacts} for step in steps]
    requests = [
        dg.RunRequest(
            run_key=f"{before.ticks + 1}:{digest([[*key, value] for key, value in made.items()])}",
            asset_selection=[dg.AssetKey(name) for name in step.assets],
            tags=step.tags | {WHY: why(made)},
        )
        for step, made in zip(steps, wanted, strict=True)
    ]
    for made in wanted:
        tried |= made
    return requests, Requested(before.ticks + bool(requests), night, tried)


def who_works(folder: DataFolder, instance: dg.DagsterInstance) -> str:
    """The run that holds a lock of the folder or is queued, for display; empty if there is none."""
    if holder := folder.locks.holder():
        return holder
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        nodes = [folder.freshness.graph.get(key.path[-1]) for key in run.asset_selection or ()]
        if not nodes or any(node is not None and not node.on_demand for node in nodes):
            return f"Dagster run {run.run_id}"
    backfills = (each for each in instance.get_backfills(limit=10) if each.status.value == "REQUESTED")
    return next((f"Dagster backfill {each.backfill_id}" for each in backfills), "")
