"""Jobs, sensors and the nightly schedule: everything that starts automatically.

- `raw_folder` starts `discover_photos` when photos have changed.
- `provided_files` reports changed user files to Dagster.
- `bring_up_to_date` starts all other runs, from the same plan as `facestats run` (see `run_requests.py`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

import dagster as dg

from facestats_pipeline.config import Settings
from facestats_pipeline.core.ingest.photo_source import PhotoSource
from facestats_pipeline.defs.dead_runs import close_dead_runs
from facestats_pipeline.defs.ingest.inputs import observed
from facestats_pipeline.defs.partitions import ON_DEMAND
from facestats_pipeline.defs.run_requests import NIGHTLY, Requested, run_requests, who_works
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import ROOT

FILES_PER_TICK = 20_000
"""Most files that one tick scans. Dagster ends a tick after 60 seconds, and a network folder answers about 1,000 requests a second."""

discover_photos = dg.define_asset_job(
    "discover_photos",
    selection=dg.AssetSelection.assets(ROOT),  # not as a string, which would load Dagster's selection parser
    description="Scan the raw folder and register new shards. Run this first.",
)
updated = (
    dg.AssetSelection.all() - dg.AssetSelection.assets(ROOT) - dg.AssetSelection.tag(*next(iter(ON_DEMAND.items())))
)
update_shards = dg.define_asset_job(
    "update_shards",
    selection=updated,
    description="Make everything else for the chosen shards: images, models, tables, reports.",
)


@dataclass(frozen=True)
class FolderScan:
    """The sensor's cursor: the number of changes seen, the state of the folder at the last one, and the progress of the current scan."""

    changes: int = 0
    seen: str = ""
    after: str = ""  # last file of the previous tick; empty: start a new scan
    digest: str = ""  # digest of the files scanned so far

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "FolderScan":
        """The scan as a tick left it."""
        return cls(**json.loads(cursor)) if cursor else cls()

    @property
    def cursor(self) -> str:
        """For the next tick."""
        return json.dumps(asdict(self))


def continued(scan: FolderScan, photos: PhotoSource, code: str, max_bytes: int) -> FolderScan:
    """Scan up to FILES_PER_TICK more files. At the end of the scan, `changes` grows by one if a file was added, removed, or has another
    size or modification time.

    `code` is the code digest of discovery, so that a change of discovery itself also counts.
    """
    sums = hashlib.sha256((scan.digest or code).encode())
    files = photos.scan(max_bytes=max_bytes, after=scan.after)
    last, count = "", 0
    for file in islice(files, FILES_PER_TICK):
        sums.update(f"{file.filename}\0{file.bytes}\0{file.mtime_ns}\n".encode())
        last, count = file.filename, count + 1
    digest = sums.hexdigest()[:16]
    if count == FILES_PER_TICK:  # there may be more
        return FolderScan(scan.changes, scan.seen, last, digest)
    return FolderScan(scan.changes + (digest != scan.seen), digest)


def automation(
    settings: Settings, folder: Callable[[], DataFolder]
) -> list[dg.SensorDefinition | dg.ScheduleDefinition]:
    """The sensors and the schedule, with the intervals of the settings. `folder` returns the data folder with the current settings."""
    wanted = settings.automation
    status = dg.DefaultSensorStatus.RUNNING if wanted.enabled else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        job=discover_photos,
        description="Starts `discover_photos` when a photo was added, changed or removed.",
        minimum_interval_seconds=wanted.scan_seconds,
        default_status=status,
    )
    def raw_folder(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        close_dead_runs(context.instance)  # otherwise their assets would count as in progress forever
        now = folder()
        if not now.photos.available():
            yield dg.SkipReason(f"there is no folder {now.photos}")
            return
        if (
            now.store.recipe(ROOT) is None
            and next(now.photos.scan(max_bytes=now.settings.ingest.max_bytes), None) is None
        ):
            yield dg.SkipReason(f"there are no photos in {now.photos} yet")
            return
        before = FolderScan.from_cursor(context.cursor)
        scan = continued(before, now.photos, now.freshness.code_digest(ROOT), now.settings.ingest.max_bytes)
        context.update_cursor(scan.cursor)
        if scan.after:
            yield dg.SkipReason(f"scanned {FILES_PER_TICK} more files; the next tick continues")
        elif scan.changes == before.changes:
            yield dg.SkipReason("no photo was added, changed or removed")
        else:
            yield dg.RunRequest(run_key=f"{scan.changes}:{scan.seen}")

    @dg.sensor(
        description="Reports changed labels.csv, ratings.csv or manual_labels.csv to Dagster, so that dependent assets show as stale.",
        minimum_interval_seconds=wanted.scan_seconds,
        default_status=status,
    )
    def provided_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        store = folder().store
        store.refresh()
        found = observed(store, context.instance)
        return dg.SensorResult(asset_events=found) if found else dg.SkipReason("no labels and no ratings changed")

    @dg.sensor(
        asset_selection=updated,
        description="Starts runs for missing and stale artifacts, phase by phase, while no run locks the folder. Run tags say why.",
        minimum_interval_seconds=wanted.scan_seconds,
        default_status=status,
    )
    def bring_up_to_date(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = folder()
        if holder := who_works(now, context.instance):
            return dg.SensorResult(skip_reason=f"waiting for {holder}")
        requests, requested = run_requests(now, context.instance, Requested.from_cursor(context.cursor))
        reason = requested.why_nothing if not requests else None
        return dg.SensorResult(run_requests=requests, cursor=requested.cursor, skip_reason=reason)

    nightly = dg.ScheduleDefinition(
        name="nightly",
        job=discover_photos,
        cron_schedule=wanted.nightly,
        tags=NIGHTLY,
        default_status=dg.DefaultScheduleStatus.RUNNING if wanted.enabled else dg.DefaultScheduleStatus.STOPPED,
        description="Scans the raw folder once a night. New photos are then processed, and failed artifacts are tried again.",
    )
    return [raw_folder, provided_files, bring_up_to_date, nightly]
