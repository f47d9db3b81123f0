"""`facestats run`: ingests photos and makes every missing or stale artifact."""

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
from facestats_pipeline.config import DEFAULT_ENCODER
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
    timings: Annotated[bool, typer.Option("--timings", help="Print rows, seconds and photos/s of each asset.")] = False,
    json_: Json = False,
) -> None:
    """Ingest photos, then make missing and stale artifacts with Dagster. Reports what was made, skipped and quarantined."""
    files = {"raw": raw, "labels": labels, "ratings": ratings, "sources": sources}
    summary = execute(open_collection(data_dir), quiet=json_, encoder=encoder, shard_size=shard_size, **files)
    if json_:
        print_json(summary)
    else:
        show(summary, timings=timings)
    if summary["error"]:
        raise FaceStatsError(summary["error"])


def execute(here: Collection, *, quiet: bool = False, **given: Any) -> dict[str, Any]:
    """Run with progress shown; returns the summary of `Collection.run` as JSON-serialisable values. A failed run has an `error`."""
    from facestats_pipeline.collection.run import RunSummary

    try:
        with progress(quiet=quiet) as say:
            return asdict(here.run(on_step=say, on_wait=say_waiting, **given))
    except FaceStatsError as failure:
        if not isinstance(failure.done, RunSummary):
            raise
        return asdict(failure.done)


FIRST_LOOK = {
    "reports/data_card.md": "who is in the collection",
    "reports/contact_sheet.jpg": "photos with their attributes and scores",
    "reports/bias_audit.png": "differences between groups",
    "reports/learning_curves.png": "training of the regressor",
    "composites/all.jpg": "average faces",
    "composites/eigenfaces.jpg": "the directions in which faces differ",
    "metadata/master.parquet": "one row per photo: polars.read_parquet(...)",
    "metadata/labels_template.csv": "the photos most worth a label",
}
"""Files to open first, relative to `processed/` → what they show."""


def show(summary: dict[str, Any], *, timings: bool = False) -> None:
    """Print the summary: what was made, set aside and skipped, and which files to open first."""
    photos = summary["photos"]
    total = sum(photos.values())
    if summary["made"]:
        if timings:
            out.print(_timings(summary))
        rows = max(row["rows"] for row in summary["made"])
        out.print(f"Made {counted(len(summary['made']), 'artifact')}, of up to {counted(rows, 'row')}.")
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
    for reason, assets in summary["skipped_for"].items():
        out.print(f"[yellow]Skipped[/] {', '.join(assets)}: ", end="")
        out.print(reason, markup=False)
    for check in summary["failed_checks"]:
        out.print("[yellow]Check failed[/] ", end="")
        out.print(check, markup=False)
    if "untrained" in summary["encoder"]:
        out.print(
            f"[yellow]Note[/] the encoder {summary['encoder']} is untrained: results derived from it are meaningless."
        )
    if summary["error"]:
        return
    seconds = f"{summary['seconds']:.0f} s."
    out.print(seconds if timings or not summary["made"] else f"{seconds} Where the time went: --timings.")
    if summary["made"]:
        _show_first_look(summary["data_dir"])
        if DEFAULT_ENCODER in summary["encoder"]:
            out.print(
                "A larger encoder: facestats run --encoder ViT-B-32/laion2b_s34b_b79k (downloads once).", markup=False
            )


def counted(n: int, noun: str) -> str:
    """`1 row`, `2,048 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _show_first_look(data_dir: str) -> None:
    """The files to open first, where they are on this machine; for data in a bucket, only the address."""
    processed = f"{data_dir}/processed"
    found = {name: what for name, what in FIRST_LOOK.items() if Path(processed, name).exists()}
    if not found:
        out.print(f"Tables, composites and reports are in {processed}.", markup=False)
        return
    title = f"Open first, in {escape(processed)}"
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, what in found.items():
        table.add_row(name, what)
    out.print(table)
    out.print(f"In a browser: facestats dashboard -d {data_dir}", markup=False)


def _timings(summary: dict[str, Any]) -> Table:
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
    return table
