"""`facestats run`: photos in, everything out, and only what is new is worked on."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli import completion
from facestats_pipeline.cli.console import out, print_json, progress, say_waiting
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.collection import Collection, open_collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.phases import PHASES

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats run --raw ~/photos --data-dir ~/faces
  facestats run --raw ~/photos --labels labels.csv --ratings ratings.csv -d ~/faces
  facestats run --encoder ViT-B-32/laion2b_s34b_b79k -d ~/faces
"""


@app.command(epilog=EPILOG.replace("\n  ", "\n\n  "))
def run(
    raw: Annotated[Path | None, typer.Option(help="Folder of photos. Remembered; default: DATA_DIR/raw.")] = None,
    data_dir: DataDir = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="facestats-mini, ARCH/TAG, ARCH/PATH. Remembered.", autocompletion=completion.encoders),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV of file, age, gender, race. Copied into DATA_DIR/labels.")
    ] = None,
    ratings: Annotated[
        Path | None, typer.Option(help="CSV of file, rating[, rater]. Copied into DATA_DIR/labels.")
    ] = None,
    sources: Annotated[
        Path | None, typer.Option(help="CSV of path, source, licence, consent. Copied into DATA_DIR/labels.")
    ] = None,
    shard_size: Annotated[int | None, typer.Option(help="Photos per shard. Remembered.")] = None,
    json_: Json = False,
) -> None:
    """Ingest photos, then make through Dagster whatever is missing or stale; says what was done, skipped and quarantined."""
    files = {"raw": raw, "labels": labels, "ratings": ratings, "sources": sources}
    summary = execute(open_collection(data_dir), quiet=json_, encoder=encoder, shard_size=shard_size, **files)
    if json_:
        print_json(summary)
    else:
        show(summary)
    if summary["error"]:
        raise FaceStatsError(summary["error"])


def execute(here: Collection, *, quiet: bool = False, **given: Any) -> dict[str, Any]:
    """The summary of `Collection.run`, JSON-able, with its progress shown. A run that failed has an `error`."""
    from facestats_pipeline.collection.run import RunSummary

    try:
        with progress(quiet=quiet) as say:
            return asdict(here.run(on_step=say, on_wait=say_waiting, **given))
    except FaceStatsError as failure:
        if not isinstance(failure.done, RunSummary):
            raise
        return asdict(failure.done)


def show(summary: dict[str, Any]) -> None:
    """The summary for people."""
    photos = summary["photos"]
    total = sum(photos.values())
    if summary["made"]:
        title = f"Made in {escape(summary['data_dir'])}; seconds, those of phases summed over threads"
        table = Table(
            title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, collapse_padding=True
        )
        table.add_column("asset")
        for column in ("rows", "clock", *PHASES, "photos/s"):
            table.add_column(column, justify="right")
        for row in summary["made"]:
            phases = [f"{row[phase]:.1f}" if row.get(phase, 0) >= 0.05 else "" for phase in PHASES]
            speed = f"{row['images_per_second']:.0f}" if "images_per_second" in row else ""
            table.add_row(row["asset"], str(row["rows"] or ""), f"{row['seconds']:.1f}", *phases, speed)
        out.print(table)
    elif not summary["error"]:
        out.print("Nothing to do: everything is up to date.")
    found = ", ".join(f"{count} {what}" for what, count in summary["discovered"].items() if count)
    out.print(f"Files: {found or 'none found'}.")
    out.print(f"Photos: {photos.get('ok', 0)} usable of {total}.")
    quarantined = {status: count for status, count in photos.items() if status != "ok"}
    if quarantined:
        listed = ", ".join(f"{count} {status}" for status, count in quarantined.items())
        out.print(f"Set aside: {listed}. Why, file by file: `facestats status --photos`.")
    if summary["withheld"]:
        out.print(f"Withheld by the setting `use`, from models, composites, search and exports: {summary['withheld']}.")
    for asset, reason in summary["skipped"].items():
        out.print(f"[yellow]Skipped[/] {asset}: ", end="")
        out.print(reason, markup=False)
    for check in summary["failed_checks"]:
        out.print("[yellow]Check failed[/] ", end="")
        out.print(check, markup=False)
    if "untrained" in summary["encoder"]:
        out.print(
            f"[yellow]Note[/] the encoder {summary['encoder']} is untrained: what is derived from it means nothing."
        )
    out.print(
        f"{summary['seconds']:.0f} s. Tables, composites and reports are in {summary['data_dir']}/processed.",
        markup=False,
    )
