"""`facestats run`: photos in, everything out, and only what is new is worked on."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli import completion
from facestats_pipeline.cli.console import ExpectedError, err, out, print_json, progress
from facestats_pipeline.cli.options import DataDir, Json, open_pipeline, settings_for
from facestats_pipeline.config import Settings, save_settings
from facestats_pipeline.core.phases import PHASES
from facestats_pipeline.core.uris import shown
from facestats_pipeline.io.locations import open_photos, open_store

if TYPE_CHECKING:
    from facestats_pipeline.io.plan import Step

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
    settings = prepare(
        data_dir, raw=raw, encoder=encoder, labels=labels, ratings=ratings, sources=sources, shard_size=shard_size
    )
    summary = execute(settings, quiet=json_)
    if json_:
        print_json(summary)
    else:
        show(summary)
    if summary["error"]:
        raise ExpectedError(summary["error"])


def prepare(
    data_dir: Path | None,
    *,
    raw: Path | None = None,
    encoder: str | None = None,
    labels: Path | None = None,
    ratings: Path | None = None,
    sources: Path | None = None,
    shard_size: int | None = None,
) -> Settings:
    """Check every argument before any work, remember the settings in the data folder, copy the label files into it."""
    settings = settings_for(data_dir)
    remembered: dict[str, Any] = {}
    if raw is not None:
        if not raw.is_dir():
            raise ExpectedError(f"there is no folder {raw}; --raw is the folder that holds the photos")
        remembered["raw_dir"] = raw.resolve()
    for option, file in (("--labels", labels), ("--ratings", ratings), ("--sources", sources)):
        if file is not None and not file.is_file():
            raise ExpectedError(f"there is no file {file}; {option} is a CSV file")
    if encoder is not None:
        architecture, _, place = encoder.partition("/")
        is_file = bool(place) and Path(place).is_file()  # remembered for commands from any folder
        remembered["encoder.name"] = f"{architecture}/{Path(place).resolve()}" if is_file else encoder
    if shard_size is not None:
        remembered["shard_size"] = shard_size
    settings = settings_for(data_dir, **remembered)
    photos = open_photos(settings)
    if not photos.available():
        raise ExpectedError(f"there is no folder {photos}; give your photos with --raw FOLDER")
    _check_labels(labels, ratings, sources)
    if encoder is not None:
        _check_encoder(settings)
    if remembered:
        save_settings(settings.data_dir, remembered)
    for name, file in (("labels.csv", labels), ("ratings.csv", ratings), ("sources.csv", sources)):
        if file is not None:
            target = settings.data_dir / "labels" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or not target.samefile(file):
                with open_store(settings).replacing(target) as temporary:
                    shutil.copyfile(file, temporary)
    return settings


def _check_encoder(settings: Settings) -> None:
    from facestats_pipeline.core.encoders.checkpoints import resolve_model
    from facestats_pipeline.core.encoders.errors import EncoderUnavailable
    from facestats_pipeline.io.weights import encoder_folder

    try:
        resolve_model(settings.encoder.name, encoder_folder(settings))
    except EncoderUnavailable as error:
        raise ExpectedError(str(error)) from None


def _check_labels(labels: Path | None, ratings: Path | None, sources: Path | None) -> None:
    from facestats_pipeline.core.ingest.sources import read_sources
    from facestats_pipeline.core.labels.labels_file import LabelsError, read_labels
    from facestats_pipeline.core.labels.ratings import read_ratings

    try:
        if labels is not None:
            read_labels(labels)
        if ratings is not None:
            read_ratings(ratings)
        if sources is not None:
            read_sources(sources)
    except LabelsError as error:
        raise ExpectedError(str(error)) from None


def execute(settings: Settings, *, quiet: bool = False) -> dict[str, Any]:
    """Update the data folder; what was done as one JSON-able dictionary. A failed run is its `error`, not an exception."""
    from facestats_pipeline.cli.pipeline import UpdateFailed

    started = time.monotonic()
    pipeline = open_pipeline(settings)
    error = ""
    with progress(quiet=quiet) as say:
        try:
            report = pipeline.update(lambda step: say(_what(step)), on_wait=_say_waiting)
        except UpdateFailed as failure:
            error, report = str(failure), failure.report
    return {
        "data_dir": shown(settings.data_uri) if settings.data_uri else str(settings.data_dir),
        "encoder": settings.encoder.name,
        "discovered": dict(report.discovered),
        "photos": photo_counts(pipeline.folder.store),
        "withheld": len(pipeline.folder.withheld) if pipeline.folder.store.shards("manifest") else 0,
        "made": [
            {
                "asset": name,
                "shards": report.shards.get(name, 0),
                "rows": report.rows.get(name, 0),
                "seconds": round(seconds, 2),
                **phases_of(report.phases.get(name, {})),
            }
            for name, seconds in report.seconds.items()
            if name != "raw_photos" and name in pipeline.freshness.graph
        ],
        "skipped": skipped_assets(pipeline),
        "failed_checks": report.failed_checks,
        "seconds": round(time.monotonic() - started, 1),
        "error": error,
    }


def _what(step: "Step") -> str:
    """`gender_classifier, age_model and 3 more`, `preproc in 4 shards`."""
    names = ", ".join(step.assets[:2]) + (f" and {len(step.assets) - 2} more" if len(step.assets) > 2 else "")
    return f"Making {names}" + (f" in {len(step.shards)} shards" if len(step.shards) > 1 else "")


def phases_of(told: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each phase, summed over threads, and images/s by the clock where images were worked on; {} for an asset without shards."""
    if not told:
        return {}
    seconds: dict[str, float] = {phase: round(told.get(f"seconds_{phase}", 0.0), 2) for phase in PHASES}
    worked = told.get("images") and told.get("seconds")
    return {**seconds, **({"images_per_second": round(told["images"] / told["seconds"], 1)} if worked else {})}


def _say_waiting(holder: str) -> None:
    err.print(f"Waiting for {holder}, which works in the same folder (Ctrl-C gives up).", markup=False, soft_wrap=True)


def photo_counts(store: Any) -> dict[str, int]:
    """Files by manifest status."""
    if not store.shards("manifest"):
        return {}
    counts = store.scan("manifest").group_by("status").len().sort("len", descending=True).collect()
    return dict(counts.iter_rows())


def skipped_assets(pipeline: Any) -> dict[str, str]:
    """Asset → why there is nothing of it."""
    found = {
        name: pipeline.folder.store.recipe(name) for name, node in pipeline.freshness.graph.items() if not node.sharded
    }
    return {name: recipe.skipped for name, recipe in found.items() if recipe is not None and recipe.skipped}


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


def rejected_photos(store: Any) -> pl.DataFrame:
    """filename, status, reason of every file that is no live image."""
    wanted = pl.col("status") != "ok"
    return store.scan("manifest").filter(wanted).select("filename", "status", "reason").collect()  # type: ignore[no-any-return]
