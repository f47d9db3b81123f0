"""Options that several commands share, and what they lead to: settings, and the pipeline of a data folder."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facestats_pipeline.cli import completion
from facestats_pipeline.cli.console import ExpectedError
from facestats_pipeline.config import Settings, SettingsError, load_settings
from facestats_pipeline.core.uris import shown
from facestats_pipeline.io.freshness import ROOT

if TYPE_CHECKING:
    from facestats_pipeline.cli.pipeline import Pipeline

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", "-d", help="Holds raw/, labels/, processed/. Default: $FACESTATS_DATA_DIR, else data."),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Only photos of this source, licence or consent: 'licence=CC BY*', 'consent!=no'. Repeatable.",
        autocompletion=completion.conditions,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]


def settings_for(data_dir: Path | None, **overrides: Any) -> Settings:
    """Settings of a data folder; a wrong one becomes an error that a user can read."""
    try:
        return load_settings(data_dir=data_dir, **overrides)
    except SettingsError as error:
        raise ExpectedError(str(error)) from None


def with_where(settings: Settings, where: list[str] | None) -> Settings:
    """Settings whose `use` holds the conditions of --where too; one that cannot be read becomes an error that a user can read."""
    from facestats_pipeline.core.ingest.usage import UsageError, check_conditions

    try:
        return settings.model_copy(update={"use": settings.use + check_conditions(where or ())})
    except UsageError as error:
        raise ExpectedError(f"--where: {error}") from None


def dagster_home(settings: Settings) -> Path:
    """$DAGSTER_HOME, else `.dagster` in the data folder."""
    return Path(os.environ.get("DAGSTER_HOME") or settings.data_dir / ".dagster").resolve()


def open_pipeline(settings: Settings) -> "Pipeline":
    """The pipeline of a data folder, with its Dagster instance."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    from facestats_pipeline.cli.pipeline import Pipeline, open_instance

    return Pipeline(settings, open_instance(dagster_home(settings)))


def require_folder(settings: Settings, command: str) -> None:
    """An error for a command that writes into the data folder beside the store, where that folder only holds copies."""
    if settings.data_uri is not None:
        raise ExpectedError(
            f"{command} works in a folder of this machine, and FACESTATS_DATA_URI names {shown(settings.data_uri)}; "
            "put photos into raw/ and label files into labels/ there, or unset it"
        )


def require_run(settings: Settings) -> None:
    """Say what to do first in a folder where nothing has been made."""
    from facestats_pipeline.io.locations import open_store

    if not open_store(settings).path(ROOT).is_file():
        raise ExpectedError(
            f"nothing has been made in {shown(settings.data_uri) if settings.data_uri else settings.data_dir} yet. Begin with\n"
            f"  facestats run --raw YOUR_PHOTOS --data-dir {settings.data_dir}\n"
            "or, to see what it does, with\n  facestats demo"
        )
