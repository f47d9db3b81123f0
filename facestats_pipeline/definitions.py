"""The root of the Dagster project: loads `defs/`, sets resources and executor, and gives every asset its global policy here."""

import warnings

import dagster as dg

from facestats_pipeline import defs as stages
from facestats_pipeline.config import Settings, load_settings
from facestats_pipeline.defs.automation import automation, discover_photos, update_shards
from facestats_pipeline.defs.graph import nodes_of
from facestats_pipeline.defs.policy import asset_policy
from facestats_pipeline.defs.project import Project
from facestats_pipeline.io.io_managers import io_managers


def build_definitions(settings: Settings) -> dg.Definitions:
    """All definitions for one data folder. Loads no model and touches no photo."""
    project = Project(settings, load_graph=lambda: nodes_of(definitions))
    running = automation(settings)
    with warnings.catch_warnings():
        # Range runs and checks per partition are called beta and preview; what we rely on of them is pinned and tested.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        loaded = dg.Definitions(
            assets=dg.load_assets_from_package_module(stages, include_specs=True),
            asset_checks=dg.load_asset_checks_from_package_module(stages),
            jobs=[discover_photos, update_shards],
            sensors=[each for each in running if isinstance(each, dg.SensorDefinition)],
            schedules=[each for each in running if isinstance(each, dg.ScheduleDefinition)],
            resources={"project": project, **io_managers(project.book)},
            executor=dg.in_process_executor,
        )
        definitions = loaded.map_asset_specs(func=asset_policy(settings))
    return definitions


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev` and `dg` open: the data folder and settings that the environment names."""
    return build_definitions(load_settings())
