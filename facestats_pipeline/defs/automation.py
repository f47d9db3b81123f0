"""Jobs, sensors and the nightly schedule: what runs without being asked.

New photos: the raw-folder sensor starts `discover_photos`; then the update sensor starts whatever the recipes say is missing or
stale, one phase after another, by the same plan as `facestats run`.
"""

import hashlib
from collections.abc import Iterator

import dagster as dg

from facestats_pipeline.config import Settings
from facestats_pipeline.core.ingest.inventory import scan_folder
from facestats_pipeline.defs.partitions import ON_DEMAND, SHARDS, SHARDS_PER_RUN
from facestats_pipeline.defs.project import Project
from facestats_pipeline.io.freshness import ROOT
from facestats_pipeline.io.layout import INPUTS
from facestats_pipeline.io.plan import RANGE_END, RANGE_START, Step, phases, plan
from facestats_pipeline.io.recipes import digest

WAITING = [
    dg.DagsterRunStatus(name) for name in ("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING")
]

discover_photos = dg.define_asset_job(
    "discover_photos",
    selection=[ROOT],
    description="Look at the raw folder and register new shards. Run this first.",
)
update_shards = dg.define_asset_job(
    "update_shards",
    selection=dg.AssetSelection.all()
    - dg.AssetSelection.assets(ROOT)
    - dg.AssetSelection.tag(*next(iter(ON_DEMAND.items()))),
    description="Everything else, for the shards that you choose: images, models, tables, reports.",
)


def listing_digest(settings: Settings) -> str:
    """Changes when a file of the raw folder comes, goes, or has another size or time."""
    seen = hashlib.sha256()
    for file in scan_folder(settings.raw, max_bytes=settings.ingest.max_bytes):
        seen.update(f"{file.filename}\0{file.bytes}\0{file.mtime_ns}\n".encode())
    return seen.hexdigest()[:16]


def next_steps(project: Project, shards: list[str]) -> list[Step]:
    """The runs of the first phase in which anything is missing or stale."""
    states = project.book.states(shards)
    for assets in phases(project.book.graph):
        if steps := plan(states, assets, project.book.graph, shards, SHARDS_PER_RUN):
            return steps
    return []


def work_digest(project: Project, steps: list[Step]) -> str:
    """Changes when the work that waits is other work, or the photos, settings or labels that it is to be done on changed."""
    book, store = project.book, project.store
    families = {name: book.family(name) for name in book.graph}
    provided = [store.input_fingerprint(name) for name in INPUTS]
    photos = [store.recipe(ROOT), store.collection_fingerprint("manifest")]
    return digest([[(step.assets, step.shards) for step in steps], families, provided, photos])


def request(step: Step, because: str) -> dg.RunRequest:
    """One step as a run, over its range of shards where it has shards."""
    tags = {RANGE_START: step.shards[0], RANGE_END: step.shards[-1]} if step.shards else {}
    return dg.RunRequest(
        run_key=f"{because}:{digest([step.assets, step.shards])}",
        asset_selection=[dg.AssetKey(name) for name in step.assets],
        tags=tags,
    )


def automation(settings: Settings) -> list[dg.SensorDefinition | dg.ScheduleDefinition]:
    """The sensors and the schedule, with the intervals of the settings."""
    running = settings.automation.enabled

    @dg.sensor(
        job=discover_photos,
        description="Starts `discover_photos` when a photo was added, changed or removed.",
        minimum_interval_seconds=settings.automation.scan_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
    )
    def raw_folder(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if not settings.raw.is_dir():
            yield dg.SkipReason(f"there is no folder {settings.raw}")
            return
        count, _, before = (context.cursor or "0:").partition(":")
        now = listing_digest(settings)
        if now == before:
            yield dg.SkipReason("no photo was added, changed or removed")
            return
        context.update_cursor(f"{int(count) + 1}:{now}")
        yield dg.RunRequest(run_key=f"{int(count) + 1}:{now}")

    @dg.sensor(
        asset_selection=dg.AssetSelection.all(),
        description="Starts whatever the recipes say is missing or stale, one phase at a time; work that failed is not asked for twice.",
        minimum_interval_seconds=settings.automation.scan_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
    )
    def bring_up_to_date(
        context: dg.SensorEvaluationContext, project: dg.ResourceParam[Project]
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        count, _, before = (context.cursor or "0:").partition(":")
        if project.store.recipe(ROOT) is None:
            yield dg.SkipReason("no photos have been discovered yet")
        elif context.instance.get_runs_count(dg.RunsFilter(statuses=WAITING)):
            yield dg.SkipReason("runs are under way")
        elif steps := next_steps(project, sorted(context.instance.get_dynamic_partitions(str(SHARDS.name)))):
            now = work_digest(project, steps)
            if now == before:  # it was asked for, and is still to be done: the run failed
                yield dg.SkipReason("the last run of what is waiting failed; see Runs, then start it again there")
                return
            context.update_cursor(f"{int(count) + 1}:{now}")
            yield from (request(step, f"{int(count) + 1}:{now}") for step in steps)
        else:
            context.update_cursor(f"{count}:")
            yield dg.SkipReason("everything is up to date")

    nightly = dg.ScheduleDefinition(
        name="nightly",
        job=discover_photos,
        cron_schedule=settings.automation.nightly,
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description="Looks at the raw folder once a night; what is new is then brought up to date.",
    )
    return [raw_folder, bring_up_to_date, nightly]
