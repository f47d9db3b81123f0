"""Updates a data folder with Dagster: discovers photos, then makes missing and stale artifacts.

Each phase is planned after the previous one has run. When a phase leaves content unchanged, downstream artifacts are not made again.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from facestats_pipeline.config import Settings
from facestats_pipeline.core.phases import PHASES
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline.defs.dead_runs import PROCESS, close_dead_runs, this_process
from facestats_pipeline.defs.partitions import SHARDS
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import ROOT, Artifact, Freshness, State
from facestats_pipeline.io.locks import FolderLocks
from facestats_pipeline.io.plan import Step, next_steps

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Report:
    """Result of an update."""

    steps: list[Step] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # asset → seconds of its step
    rows: dict[str, int] = field(default_factory=dict)  # asset → rows written
    shards: dict[str, int] = field(default_factory=dict)  # asset → shards written
    phases: dict[str, dict[str, float]] = field(
        default_factory=dict
    )  # sharded asset → seconds of each phase, and images
    failed_checks: list[str] = field(default_factory=list)
    discovered: Mapping[str, int] = field(default_factory=dict)

    @property
    def made(self) -> list[str]:
        """Assets that were made, in order, without discovery."""
        return [asset for asset in self.rows if asset != ROOT]


class UpdateFailed(Exception):
    """A Dagster run failed; the message names the asset, the error and the run."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class Pipeline:
    """The definitions of one data folder, and a Dagster instance to run them on."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance
        self.definitions = build_definitions(settings)
        resources: Mapping[str, Any] = self.definitions.resources or {}
        self.folder: DataFolder = resources["folder"]

    @property
    def freshness(self) -> Freshness:
        """Recipes and states of this data folder."""
        return self.folder.freshness

    @property
    def shards(self) -> list[str]:
        """Registered shards, in order."""
        return sorted(self.instance.get_dynamic_partitions(str(SHARDS.name)))

    def states(self) -> dict[tuple[str, str | None], State]:
        """The state of every artifact, from the recipes in the files."""
        self.folder.store.refresh()
        return self.freshness.states(self.shards)

    def last_run(self, asset: str, shard: str | None = None) -> tuple[str, float] | None:
        """Id and Unix time of the Dagster run that last made an artifact; None if Dagster has no record."""
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[shard] if shard is not None else None)
        records = self.instance.fetch_materializations(wanted, limit=1).records
        return (records[0].run_id, records[0].timestamp) if records else None

    def update(
        self,
        on_step: Callable[[Step], None] = lambda step: None,
        on_wait: Callable[[str], None] = lambda holder: None,
    ) -> Report:
        """Discover photos, then make what is not done, phase by phase. Raises UpdateFailed when a run fails.

        If another run holds the lock, it calls `on_wait` once with the holder, waits, then skips what that run has done.
        """
        report = Report()
        with self.folder.locks.hold(what="facestats run", on_wait=on_wait):
            close_dead_runs(self.instance)
            self.execute(Step((ROOT,)), report)
            graph, most, tried = self.freshness.graph, self.settings.shards_per_run, set[Artifact]()
            while steps := next_steps(self.states(), graph, self.shards, most, tried):
                for step in steps:
                    on_step(step)
                    self.execute(step, report)
                    tried |= set(step.artifacts)
        return report

    def execute(self, step: Step, report: Report | None = None) -> Report:
        """Run one step in this process."""
        report = report if report is not None else Report()
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in step.assets],
            tags=step.tags | {PROCESS: this_process()},
            run_config=QUIET,
            raise_on_error=False,
        )
        _read_events(result, report)
        report.steps.append(step)
        if not result.success:
            raise UpdateFailed(_failure(result), report)
        return report


INSTANCE = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1
  pools:
    default_limit: 1
    granularity: run
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
"""
"""dagster.yaml of a new instance; the comments in deploy/local/dagster.yaml explain each entry."""


def open_instance(home: Path) -> dg.DagsterInstance:
    """The Dagster instance in `home`, configured as INSTANCE when it is new."""
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    with FolderLocks(home).hold(
        what="opening Dagster's storage"
    ):  # two processes at once would both create the databases
        if not config.exists():
            config.write_text(INSTANCE, encoding="utf-8")
        return dg.DagsterInstance.from_config(str(home))


def _read_events(result: dg.ExecuteInProcessResult, report: Report) -> None:
    for event in result.all_events:
        kind = event.event_type_value
        if kind == "STEP_SUCCESS" and event.step_key is not None:
            name = event.step_key.rpartition(".")[2]
            report.seconds[name] = report.seconds.get(name, 0.0) + event.step_success_data.duration_ms / 1000
        elif kind == "ASSET_MATERIALIZATION":
            made = event.step_materialization_data.materialization
            name = made.asset_key.path[-1]
            rows = made.metadata.get("dagster/row_count")
            report.rows[name] = report.rows.get(name, 0) + (int(str(rows.value)) if rows is not None else 0)
            report.shards[name] = report.shards.get(name, 0) + (made.partition is not None)
            if made.partition is not None:
                _add_phases(made.metadata, report.phases.setdefault(name, {}))
            if name == ROOT:
                counts = {
                    key: made.metadata.get(key) for key in ("added", "changed", "removed", "unchanged", "refused")
                }
                report.discovered = {key: int(str(value.value)) for key, value in counts.items() if value is not None}
        elif kind == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if not check.passed:
                report.failed_checks.append(
                    f"{check.asset_key.path[-1]}: {check.check_name}: {check.description or ''}".rstrip(": ")
                )


def _add_phases(metadata: Mapping[str, Any], total: dict[str, float]) -> None:
    """Add up one shard's metadata about its phases."""
    for key in ("images", "seconds", *(f"seconds_{phase}" for phase in PHASES)):
        if key in metadata:
            total[key] = total.get(key, 0.0) + float(metadata[key].value)


def _failure(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            error: Any = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            reason = re.sub(r"^(\w+\.)+(?=\w+: )", "", error.message.strip()) if error is not None else "unknown"
            return f"{event.step_key} failed: {reason}\n  run {result.run_id}; `facestats ui` shows its whole log"
    return f"run {result.run_id} failed; `facestats ui` shows its log"
