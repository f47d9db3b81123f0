"""The root of the Dagster project: loads `defs/`, sets resources and executor, and applies the global policy to every asset."""

import warnings
from collections.abc import Callable

import dagster as dg

from facestats_pipeline import defs as stages
from facestats_pipeline.config import Settings, load_settings
from facestats_pipeline.defs.attributes import assets as attributes
from facestats_pipeline.defs.automation import automation, discover_photos, update_shards
from facestats_pipeline.defs.graph import nodes_of
from facestats_pipeline.defs.metadata import assets as metadata
from facestats_pipeline.defs.policy import asset_policy, version_with_ancestors
from facestats_pipeline.defs.reports import assets as reports
from facestats_pipeline.defs.run_lock import RUN_LOCK, run_lock, with_run_lock
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.io_managers import io_managers


def build_definitions(settings: Settings, latest: Callable[[], Settings] | None = None) -> dg.Definitions:
    """All definitions for one data folder. Loads no model and reads no photo.

    `latest` returns the current settings for sensors that run for days, so that changed settings take effect without a restart.
    """
    folder = DataFolder(settings, load_graph=lambda: nodes_of(completed))
    folders = {settings: folder}

    def current() -> DataFolder:
        now = latest() if latest is not None else settings
        if now not in folders:
            folders.clear()
            folders[now] = (build_definitions(now).resources or {})["folder"]
        return folders[now]

    with warnings.catch_warnings():
        # Dagster marks range runs as beta and checks per partition as preview. The version is pinned, and tests cover our use.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        running = automation(settings, current)
        shards_per_run = dg.BackfillPolicy.multi_run(max_partitions_per_run=settings.shards_per_run)
        loaded = dg.Definitions(
            assets=[
                *dg.load_assets_from_package_module(stages, include_specs=True, backfill_policy=shards_per_run),
                *(
                    asset.with_attributes(backfill_policy=shards_per_run)
                    for stage in (attributes, metadata, reports)
                    for asset in stage.assets_of(settings.catalogue)
                ),
            ],
            asset_checks=dg.load_asset_checks_from_package_module(stages),
            jobs=[discover_photos, update_shards],
            sensors=[each for each in running if isinstance(each, dg.SensorDefinition)],
            schedules=[each for each in running if isinstance(each, dg.ScheduleDefinition)],
            resources={
                "folder": folder,
                RUN_LOCK: run_lock(folder),
                **with_run_lock(
                    io_managers(folder.freshness, previews=settings.reports.previews, catalogue=settings.catalogue)
                ),
            },
            executor=dg.in_process_executor,
        )
        completed = loaded.map_asset_specs(func=asset_policy(settings))
        return completed.map_asset_specs(func=version_with_ancestors(folder.freshness.code_digest))


@dg.definitions
def defs() -> dg.Definitions:
    """Entry point of `dagster dev` and `dg`: definitions for the data folder and settings of the environment."""
    return build_definitions(load_settings(), latest=load_settings)
