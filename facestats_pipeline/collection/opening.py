"""Opens a data folder: reads its settings and builds its pipeline, with readable errors."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import Settings, SettingsError, load_settings
from facestats_pipeline.core.uris import shown
from facestats_pipeline.io.freshness import ROOT

if TYPE_CHECKING:
    from facestats_pipeline.collection.pipeline import Pipeline


def settings_for(data_dir: Path | None, **overrides: Any) -> Settings:
    """Settings from the folder's `facestats.yaml`, FACESTATS_* variables and `overrides`. Raises FaceStatsError if one is invalid."""
    try:
        return load_settings(data_dir=data_dir, **overrides)
    except SettingsError as error:
        raise FaceStatsError(str(error)) from None


def use_with(settings: Settings, where: Iterable[str]) -> tuple[str, ...]:
    """The conditions of the setting `use` plus those of `where`. Raises FaceStatsError for one that cannot be parsed."""
    from facestats_pipeline.core.ingest.usage import UsageError, check_conditions

    try:
        return (*settings.use, *check_conditions(where))
    except UsageError as error:
        raise FaceStatsError(f"--where: {error}") from None


def dagster_home(settings: Settings) -> Path:
    """$DAGSTER_HOME, else `.dagster` in the data folder."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.data_dir / ".dagster").resolve()


def open_pipeline(settings: Settings) -> "Pipeline":
    """The pipeline of a data folder, with its Dagster instance."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    from facestats_pipeline.collection.pipeline import Pipeline, open_instance

    return Pipeline(settings, open_instance(dagster_home(settings)))


def require_folder(settings: Settings, command: str) -> None:
    """Raise FaceStatsError if the data is under a URI: `command` writes to the local data folder, which would hold only copies."""
    if settings.data_uri is not None:
        raise FaceStatsError(
            f"{command} works in a folder of this machine, and FACESTATS_DATA_URI names {shown(settings.data_uri)}; "
            "put photos into raw/ and label files into labels/ there, or unset it"
        )


def require_run(settings: Settings) -> None:
    """Raise FaceStatsError, with the first command to run, if nothing has been made in the data folder."""
    from facestats_pipeline.io.locations import open_store

    if not open_store(settings).path(ROOT).is_file():
        raise FaceStatsError(
            f"nothing has been made in {shown(settings.data_uri) if settings.data_uri else settings.data_dir} yet. Begin with\n"
            f"  facestats run --raw YOUR_PHOTOS --data-dir {settings.data_dir}\n"
            "or, to see what it does, with\n  facestats demo"
        )
