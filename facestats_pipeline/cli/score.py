"""`facestats score`: attributes and score of new photos, computed the same way as in the pipeline."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli.console import err, out, print_json, progress
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.collection import open_collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import require_run
from facestats_pipeline.core.attributes.catalogue import Catalogue
from facestats_pipeline.core.progress import track

app = typer.Typer(add_completion=False)


@app.command(epilog="Examples:\n\n  facestats score face.jpg -d ~/faces\n\n  facestats score *.jpg --json -d ~/faces")
def score(
    images: Annotated[list[Path], typer.Argument(help="Photos.")], data_dir: DataDir = None, json_: Json = False
) -> None:
    """Apply the models of a data folder to new photos, which are not stored. Abstains if a photo shows no face.

    Exit code 1 if a photo could not be read.
    """
    here = open_collection(data_dir)
    require_run(here.settings)
    if not any(path.exists() for path in images):  # checked before loading models, which takes seconds
        raise FaceStatsError(f"there is no such photo: {', '.join(map(str, images))}")
    with progress(quiet=json_):
        results = [{"image": str(path), **here.score(path).result} for path in track(images, "Scoring")]
    if json_:
        print_json(results)
    else:
        for result in results:
            _show(result, here.settings.catalogue)
        for note in here.notes:
            err.print(f"[yellow]Note[/] {note}")
    unread = [result["image"] for result in results if result["status"] not in ("ok", "no_face")]
    if unread:
        raise FaceStatsError(f"could not be scored: {', '.join(unread)}")


def _show(result: dict[str, Any], catalogue: Catalogue) -> None:
    if result["status"] != "ok":
        out.print(f"{result['image']}: {result['status']}: {result['reason']}", markup=False)
        return
    table = Table(title=escape(result["image"]), title_justify="left", header_style="bold")
    for column in ("", "answer", "most probable", "probability", "from"):
        table.add_column(column)
    for each in catalogue:
        p = result[each.p_column]
        shown = f"{p:.0%}" if p is not None else ""
        source = result[each.source_column]
        table.add_row(each.title.lower(), result[each.name], result[each.top_column] or "", shown, source)
        if each.year_columns and result[each.stem] is not None:
            years, low, high = (result[name] for name in each.year_columns)
            table.add_row("years", f"{years:.0f}", f"{low:.0f} to {high:.0f}" if low is not None else "", "", "")
    if result["attractiveness_raw"] is not None:
        interval = f"{result['attractiveness_lo']:.2f} to {result['attractiveness_hi']:.2f}"
        rank = f"rank {result['attractiveness_pct']:.0%}, decile {result['attractiveness']}"
        table.add_row("score", f"{result['attractiveness_raw']:.2f}", interval, rank, "your ratings")
    out.print(table)
