"""The root of the Dagster project: loads `defs/`, sets resources and executor, and gives every asset its global policy here."""

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

from facestats_pipeline import defs as stages
from facestats_pipeline.config import Settings, load_settings
from facestats_pipeline.core.metadata.columns import COLUMN_DOCS
from facestats_pipeline.defs.automation import automation, discover_photos, update_shards
from facestats_pipeline.defs.graph import nodes_of
from facestats_pipeline.defs.partitions import SETTINGS_KEY
from facestats_pipeline.defs.project import Project
from facestats_pipeline.io import io_managers as io
from facestats_pipeline.io.recipes import digest
from facestats_pipeline.io.weights import identity

WEIGHTS = ("detector", "landmarker", "encoder")


def build_definitions(settings: Settings) -> dg.Definitions:
    """All definitions for one data folder. Loads no model and touches no photo."""
    project = Project(settings, load_graph=lambda: nodes_of(definitions))
    book = project.book
    resources: Mapping[str, Any] = {
        "project": project,
        "tables": io.TableIOManager(book),
        "shard_tables": io.ShardTableIOManager(book),
        "jpeg_shards": io.JpegShardIOManager(book),
        "files": io.FilesIOManager(book),
        "probes": io.ProbeIOManager(book),
        "torch_checkpoints": io.TorchCheckpointIOManager(book),
    }

    def with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.path[-1]
        wanted = {key: _setting(settings, key) for key in spec.metadata.get(SETTINGS_KEY, [])}
        docs = COLUMN_DOCS.get(name, {})
        columns = {"dagster/column_schema": dg.TableSchema([dg.TableColumn(c, description=d) for c, d in docs.items()])}
        return spec.replace_attributes(
            code_version=f"{spec.code_version}-{digest(wanted)[:8]}" if spec.code_version else None,
            metadata={**spec.metadata, **(columns if docs else {})},
            owners=["team:facestats"],
        )

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
            resources=resources,
            executor=dg.in_process_executor,
        )
        definitions = loaded.map_asset_specs(func=with_policy)
    return definitions


def _setting(settings: Settings, key: str) -> object:
    if key in WEIGHTS:
        return identity(settings, key)
    section, _, name = key.partition(".")
    value = getattr(settings, section)
    value = getattr(value, name) if name else value
    return value.model_dump(mode="json", exclude={"workers"}) if hasattr(value, "model_dump") else value


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev` and `dg` open: the data folder and settings that the environment names."""
    return build_definitions(load_settings())
