"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from facestats_pipeline.cli import completion

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
