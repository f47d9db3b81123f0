"""`facestats export`: copies pictures and their rows into a layout that other libraries read."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from facestats_pipeline.cli import completion
from facestats_pipeline.cli.console import err, out, print_json, progress, say_waiting
from facestats_pipeline.cli.options import DataDir, Json, Where
from facestats_pipeline.collection.collection import open_collection
from facestats_pipeline.collection.opening import require_run

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats export huggingface ~/faces-hf -d ~/faces

  facestats export csv ~/faces-csv --columns filename,gender,age --limit 100 -d ~/faces

  facestats export webdataset ~/faces-wds --where 'licence=CC BY*' -d ~/faces

  facestats export fiftyone ~/faces-fo --replace -d ~/faces
"""


class LayoutName(StrEnum):
    """Names of `core.export.layouts.LAYOUTS`, repeated here because importing that module would slow down `--help`."""

    huggingface = "huggingface"
    fiftyone = "fiftyone"
    webdataset = "webdataset"
    csv = "csv"


@app.command(epilog=EPILOG)
def export(
    layout: Annotated[
        LayoutName, typer.Argument(help="Layout, named after the library that reads it.", metavar="LAYOUT")
    ],
    folder: Annotated[
        Path, typer.Argument(help="Folder to write. It must be outside the data folder, and empty or missing.")
    ],
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns of master, comma-separated. Default: all that are meaningful outside the data folder.",
            autocompletion=completion.columns,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Export at most this many photos, oldest first.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an earlier export in that folder.")] = False,
    where: Where = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Copy preprocessed pictures with their rows: huggingface (Parquet), fiftyone (labels.json), webdataset (tar), csv (and imagefolder).

    Photos withheld by the setting `use` are left out. A README lists licences, figures and columns. `facestats erase` cannot reach the
    copies, but it names this folder.
    """
    here = open_collection(data_dir)
    require_run(here.settings)
    from facestats_pipeline.core.export.layouts import LAYOUTS

    names = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    with progress(quiet=json_):
        done = here.export(
            layout.value,
            folder,
            columns=names,
            limit=limit,
            replace=replace,
            where=where or (),
            on_wait=say_waiting,
        )
    if json_:
        print_json(asdict(done))
        return
    out.print(f"{done.photos} photos in {done.out} ({done.files} files, {done.bytes / 1e6:.1f} MB).", markup=False)
    _tell_left_out(done.left_out)
    out.print("Its README.md lists licences, figures and columns. To load the export:", markup=False)
    code = LAYOUTS[layout.value].how_to_read(done.out, done.photos).partition("```python\n")[2].partition("\n```")[0]
    out.print("\n".join(f"  {line}" for line in code.splitlines()), markup=False, soft_wrap=True)
    err.print("These are copies: `facestats erase` cannot reach them, but it names this folder.")


def _tell_left_out(left_out: dict[str, int]) -> None:
    words = {
        "withheld": "withheld by the setting `use` or --where",
        "no_picture": "without a preprocessed picture",
        "limit": "beyond --limit",
    }
    if told := [f"{n} {words[why]}" for why, n in left_out.items() if n]:
        out.print(f"Left out: {', '.join(told)}.", markup=False)
