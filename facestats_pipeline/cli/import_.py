"""`facestats import`: a published data set becomes a data folder, and its figures are measured as papers measure them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.table import Table

from facestats_pipeline.cli.console import ExpectedError, out, print_json
from facestats_pipeline.cli.options import DataDir, Json, settings_for
from facestats_pipeline.cli.run import execute, show
from facestats_pipeline.config import save_settings

if TYPE_CHECKING:
    from facestats_pipeline.core.labels.scut_fbp5500 import ScutFiles

app = typer.Typer(add_completion=False, no_args_is_help=True)
EPILOG = """
Example:

  facestats import scut-fbp5500 ~/SCUT-FBP5500_v2 --data-dir ~/scut
"""
TABLES = ("ratings.csv", "labels.csv", "splits.csv", "sources.csv")


@app.callback(epilog=EPILOG)
def _imports() -> None:
    """Bring in a published data set: its photos stay where they are, its labels go into the data folder."""


@app.command("scut-fbp5500", epilog=EPILOG)
def scut_fbp5500(
    folder: Annotated[Path, typer.Argument(help="The unpacked data set: Images/ and train_test_files/ are below it.")],
    data_dir: DataDir = None,
    only_import: Annotated[bool, typer.Option("--only-import", help="Write the tables and measure nothing.")] = False,
    json_: Json = False,
) -> None:
    """SCUT-FBP5500: ratings, gender and ethnicity, the official 60/40 split and five folds; then Pearson, MAE and RMSE on both.

    The tables go into DATA_DIR/labels and everything is made, as by `facestats run`. The data set is for non-commercial research.
    """
    from facestats_pipeline.core.labels.label_table import LabelsError
    from facestats_pipeline.core.labels.scut_fbp5500 import read_scut

    settings = settings_for(data_dir)
    labels = settings.data_dir / "labels"
    try:
        found = read_scut(folder)
    except LabelsError as error:
        raise ExpectedError(str(error)) from None
    tables = _tables(found)
    if other := [name for name, text in tables.items() if _differs(labels / name, text)]:
        raise ExpectedError(
            f"{labels / other[0]} is there already and says something else; give a data folder of its own with --data-dir"
        )
    if settings.raw_dir is not None and settings.raw.resolve() != found.images.resolve():
        raise ExpectedError(
            f"{settings.data_dir} holds the photos of {settings.raw}; give another folder with --data-dir"
        )
    labels.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (labels / name).write_text(text, encoding="utf-8")
    save_settings(settings.data_dir, {"raw_dir": found.images.resolve()})
    imported: dict[str, Any] = {
        "photos": found.ratings.height,
        "splits": found.splits["split"].unique(maintain_order=True).to_list(),
    }
    if not json_:
        out.print(f"{imported['photos']} rated photos; splits: {', '.join(imported['splits'])}.", markup=False)
        for note in found.notes:
            out.print("[yellow]Note[/] ", end="")
            out.print(note, markup=False)
    if only_import:
        if json_:
            print_json({"imported": imported, "notes": found.notes})
        return
    _measure(settings.data_dir, imported, found.notes, json_=json_)


def _measure(data_dir: Path, imported: dict[str, Any], notes: list[str], *, json_: bool) -> None:
    from facestats_pipeline.defs.attractiveness.assets import PUBLISHED

    settings = settings_for(data_dir)
    summary = execute(settings, quiet=json_)
    report = settings.data_dir / "processed" / PUBLISHED
    figures = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else None
    if json_:
        print_json({"imported": imported, "notes": notes, "run": summary, "published_splits": figures})
    else:
        show(summary)
    if summary["error"]:
        raise ExpectedError(summary["error"])
    if figures is None:
        raise ExpectedError(f"no split was measured: {summary['skipped'].get('published_splits', 'see above')}")
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
        f"Encoder {figures['encoder']}. Several folds: mean ± standard deviation over folds; one: value and 95% interval. Compare with "
        "the tables of Liang et al. 2018 (arXiv:1801.06345) and of papers that use the same lists.",
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
    """File name → its text, for `labels/`."""
    from facestats_pipeline.core.labels.scut_fbp5500 import LICENCE, SOURCE

    origin = pl.DataFrame({"path": ["."], "source": [SOURCE], "licence": [LICENCE], "consent": [""]})
    frames = (found.ratings, found.labels, found.splits, origin)
    return {name: frame.write_csv() for name, frame in zip(TABLES, frames, strict=True)}


def _differs(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") != text
