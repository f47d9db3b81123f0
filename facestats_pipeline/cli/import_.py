"""`facestats import`: turns a published data set into a data folder and reports its figures the way papers do."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli.console import out, print_json, progress
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.cli.run import execute, show
from facestats_pipeline.collection.collection import open_collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import require_folder, settings_for
from facestats_pipeline.config import Settings, save_settings
from facestats_pipeline.io.store import Store

if TYPE_CHECKING:
    from facestats_pipeline.core.labels.published_sets import PublishedSet
    from facestats_pipeline.core.labels.scut_fbp5500 import ScutFiles

app = typer.Typer(add_completion=False, no_args_is_help=True)
EPILOG = """
Examples:

  facestats import fairface ~/FairFace --data-dir ~/fairface

  facestats import utkface ~/UTKFace --data-dir ~/utk --only-import

  facestats import lfw ~/lfw --data-dir ~/people

  facestats import scut-fbp5500 ~/SCUT-FBP5500_v2 --data-dir ~/scut
"""
REJECTED = "rejected.csv"
"""File in `labels/` that lists the unused rows of a data set with reasons."""
SHOWN = 5
Folder = Annotated[Path, typer.Argument(help="Folder of the unpacked data set.")]
OnlyImport = Annotated[
    bool, typer.Option("--only-import", help="Write the label tables only; do not run the pipeline.")
]


@app.callback(epilog=EPILOG)
def _imports() -> None:
    """Import a published data set: the photos stay where they are, the labels are written into the data folder."""


def _example(line: str) -> str:
    return f"Example:\n\n  facestats import {line}"


@app.command(epilog=_example("fairface ~/FairFace -d ~/fairface"))
def fairface(folder: Folder, data_dir: DataDir = None, only_import: OnlyImport = False, json_: Json = False) -> None:
    """FairFace: gender, seven ethnicity classes and nine age bins of fairface_label_train.csv and …_val.csv. CC BY 4.0.

    Age bins that a spreadsheet turned into dates (9-Mar, Oct-19) are repaired and counted.
    """
    from facestats_pipeline.core.labels.published_sets import read_fairface

    _bring_in(read_fairface, folder, data_dir, only_import=only_import, json_=json_)


@app.command(epilog=_example("utkface ~/UTKFace -d ~/utk"))
def utkface(folder: Folder, data_dir: DataDir = None, only_import: OnlyImport = False, json_: Json = False) -> None:
    """UTKFace: age, gender and ethnicity from the file names, age_gender_race_date.jpg. For non-commercial research.

    From an incomplete name only the age is used; each such name is listed with the reason.
    """
    from facestats_pipeline.core.labels.published_sets import read_utkface

    _bring_in(read_utkface, folder, data_dir, only_import=only_import, json_=json_)


@app.command(epilog=_example("lfw ~/lfw -d ~/people"))
def lfw(folder: Folder, data_dir: DataDir = None, only_import: OnlyImport = False, json_: Json = False) -> None:
    """Labeled Faces in the Wild: Person_Name/Person_Name_0001.jpg.

    The names identify people. They are only used to keep all photos of a person in one fold, so that no model is tested on a person it
    was trained on. The names stay in labels.csv and in the file names.
    """
    from facestats_pipeline.core.labels.published_sets import read_lfw

    _bring_in(read_lfw, folder, data_dir, only_import=only_import, json_=json_)


def _bring_in(
    read: "Callable[[Path], PublishedSet]", folder: Path, data_dir: Path | None, *, only_import: bool, json_: bool
) -> None:
    from facestats_pipeline.core.metadata.csv_export import csv_bytes
    from facestats_pipeline.core.user_files.text_table import LabelsError

    settings = settings_for(data_dir)
    try:
        with progress(quiet=json_):
            found = read(folder)
    except LabelsError as error:
        raise FaceStatsError(str(error)) from None
    tables = {"labels.csv": found.labels.write_csv(), "sources.csv": _origin(found.source, found.licence)}
    if found.rejected.height:
        tables[REJECTED] = csv_bytes(found.rejected).decode()
    _take_in(settings, found.images, tables)
    imported: dict[str, Any] = {
        "photos": found.photos,
        "labels": {name: found.labels.height - found.labels[name].null_count() for name in found.labels.columns[1:]},
        "rejected": found.rejected.to_dicts(),
        "source": found.source,
        "licence": found.licence,
    }
    if not json_:
        counts = ", ".join(f"{n} with {name}" for name, n in imported["labels"].items())
        out.print(f"{found.photos} photos: {counts}.", markup=False)
        for row in found.rejected.head(SHOWN).iter_rows(named=True):
            out.print(f"[yellow]Rejected[/] {escape(row['value'])}: {escape(row['reason'])}", soft_wrap=True)
        if found.rejected.height > SHOWN:
            rest = f"… and {found.rejected.height - SHOWN} more: {settings.data_dir / 'labels' / REJECTED}"
            out.print(rest, markup=False, soft_wrap=True)
        _say_notes(found.notes)
    summary = None
    if not only_import:
        summary = execute(open_collection(data_dir), quiet=json_)
    if json_:
        print_json({"imported": imported, "notes": found.notes, "run": summary})
    elif summary is not None:
        show(summary)
    else:
        out.print(f"Next: facestats run --data-dir {settings.data_dir}", markup=False, soft_wrap=True)
    if summary is not None and summary["error"]:
        raise FaceStatsError(summary["error"])


def _take_in(settings: Settings, images: Path, tables: Mapping[str, str]) -> None:
    """Write label tables into a data folder and remember the folder of its photos. Never overwrites files with other content."""
    labels = settings.data_dir / "labels"
    if other := [name for name, text in tables.items() if name != REJECTED and _differs(labels / name, text)]:
        raise FaceStatsError(
            f"{labels / other[0]} exists with other content; choose a separate data folder with --data-dir"
        )
    require_folder(settings, "facestats import")
    if settings.raw_dir is not None and settings.raw.resolve() != images.resolve():
        raise FaceStatsError(
            f"{settings.data_dir} holds the photos of {settings.raw}; give another folder with --data-dir"
        )
    store = Store(settings.data_dir, settings.models)
    for name, text in tables.items():
        with store.replacing(labels / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    save_settings(settings.data_dir, {"raw_dir": images.resolve()})


def _say_notes(notes: list[str]) -> None:
    for note in notes:
        out.print(f"[yellow]Note[/] {escape(note)}", soft_wrap=True)


def _origin(source: str, licence: str) -> str:
    """Text of a sources.csv with one source, licence and consent for all photos."""
    return pl.DataFrame({"path": ["."], "source": [source], "licence": [licence], "consent": [""]}).write_csv()


@app.command("scut-fbp5500", epilog=_example("scut-fbp5500 ~/SCUT-FBP5500_v2 -d ~/scut"))
def scut_fbp5500(
    folder: Annotated[Path, typer.Argument(help="The unpacked data set: Images/ and train_test_files/ are below it.")],
    data_dir: DataDir = None,
    only_import: Annotated[
        bool, typer.Option("--only-import", help="Write the label tables only; do not run the pipeline.")
    ] = False,
    json_: Json = False,
) -> None:
    """SCUT-FBP5500: ratings, gender and ethnicity, with the official 60/40 split and five folds; reports Pearson, MAE and RMSE on both.

    Writes the tables into DATA_DIR/labels, then runs the pipeline like `facestats run`. For non-commercial research.
    """
    from facestats_pipeline.core.labels.scut_fbp5500 import read_scut
    from facestats_pipeline.core.user_files.text_table import LabelsError

    settings = settings_for(data_dir)
    try:
        found = read_scut(folder)
    except LabelsError as error:
        raise FaceStatsError(str(error)) from None
    _take_in(settings, found.images, _tables(found))
    imported: dict[str, Any] = {
        "photos": found.ratings.height,
        "splits": found.splits["split"].unique(maintain_order=True).to_list(),
    }
    if not json_:
        out.print(f"{imported['photos']} rated photos; splits: {', '.join(imported['splits'])}.", markup=False)
        _say_notes(found.notes)
    if only_import:
        if json_:
            print_json({"imported": imported, "notes": found.notes})
        return
    _measure(settings.data_dir, imported, found.notes, json_=json_)


def _measure(data_dir: Path, imported: dict[str, Any], notes: list[str], *, json_: bool) -> None:
    from facestats_pipeline.defs.attractiveness.assets import PUBLISHED

    here = open_collection(data_dir)
    settings, summary = here.settings, execute(here, quiet=json_)
    report = settings.data_dir / "processed" / PUBLISHED
    figures = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else None
    if json_:
        print_json({"imported": imported, "notes": notes, "run": summary, "published_splits": figures})
    else:
        show(summary)
    if summary["error"]:
        raise FaceStatsError(summary["error"])
    if figures is None:
        raise FaceStatsError(f"no split was evaluated: {summary['skipped'].get('published_splits', 'see above')}")
    if not json_:
        _show_figures(figures)


def _show_figures(figures: dict[str, Any]) -> None:
    table = Table(title="Published splits", title_justify="left", header_style="bold")
    for column in ("split", "tested", "folds", "Pearson", "MAE", "RMSE"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for name, found in figures["splits"].items():
        several = found["folds"] > 1
        cells = [_cell(found, metric, several=several) for metric in ("pearson", "mae", "rmse")]
        table.add_row(name, f"{found['measured']}", f"{found['folds']}", *cells)
    out.print(table)
    out.print(
        f"Encoder {figures['encoder']}. Several folds: mean ± standard deviation over folds; one fold: value and 95% interval. Compare "
        "with the tables of Liang et al. 2018 (arXiv:1801.06345) and of papers that use the same splits.",
        markup=False,
    )
    for name, found in figures["splits"].items():
        if found["n"] < found["listed"]:
            missing = found["listed"] - found["n"]
            out.print(
                f"[yellow]Note[/] {missing} of {found['listed']} photos of {name} were not used (no face was found)."
            )


def _cell(found: dict[str, Any], metric: str, *, several: bool) -> str:
    if several:
        folds = found["over_folds"][metric]
        return f"{folds['mean']:.4f} ± {folds['sd']:.4f}"
    one = found[metric]
    return f"{one['value']:.4f} ({one['ci_lo']:.4f}–{one['ci_hi']:.4f})"


def _tables(found: "ScutFiles") -> dict[str, str]:
    """File name → text of the label tables."""
    from facestats_pipeline.core.labels.scut_fbp5500 import LICENCE, SOURCE

    frames = {"ratings.csv": found.ratings, "labels.csv": found.labels, "splits.csv": found.splits}
    return {name: frame.write_csv() for name, frame in frames.items()} | {"sources.csv": _origin(SOURCE, LICENCE)}


def _differs(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") != text
