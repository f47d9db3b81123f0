"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from facestats_pipeline.cli import completion
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import Settings

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


def with_where(settings: Settings, where: list[str] | None) -> Settings:
    """Settings whose `use` holds the conditions of --where too; one that cannot be read becomes an error that a user can read."""
    from facestats_pipeline.core.ingest.usage import UsageError, check_conditions

    try:
        return settings.model_copy(update={"use": settings.use + check_conditions(where or ())})
    except UsageError as error:
        raise FaceStatsError(f"--where: {error}") from None
