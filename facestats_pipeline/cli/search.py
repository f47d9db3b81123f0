"""`facestats search`: the nearest faces in the collection, to a sentence or to another face."""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli.console import err, out, print_json
from facestats_pipeline.cli.options import DataDir, Json, Where, with_where
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import require_run, settings_for
from facestats_pipeline.config import Settings

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats search "an elderly man" -d ~/faces

  facestats search face.jpg -k 20 --sheet nearest.jpg -d ~/faces
"""
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif")


@app.command(epilog=EPILOG)
def search(
    query: Annotated[str, typer.Argument(help="A text, or the path of a picture.", metavar='"TEXT" | IMAGE')],
    k: Annotated[int, typer.Option("-k", min=1, help="How many faces.")] = 10,
    sheet: Annotated[
        Path | None, typer.Option(help="Write the faces that were found as a picture: .jpg or .png.")
    ] = None,
    where: Where = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Find the faces of a collection that are nearest to a text or to the face in a picture. Nothing is kept.

    A text needs an encoder that knows words; exit code 1 where there is no face in the picture.
    """
    settings = with_where(settings_for(data_dir), where)
    require_run(settings)
    by_picture = _is_picture(query)
    if sheet is not None and sheet.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise FaceStatsError(f"--sheet {sheet}: end it in .jpg or .png")
    found, folder = _find(settings, query, k, by_picture=by_picture)
    if sheet is not None and found["results"]:
        _write_sheet(sheet, Path(query).name if by_picture else query, found["results"], folder)
    if json_:
        print_json(found)
        return
    table = Table(header_style="bold")
    table.add_column("", justify="right")
    table.add_column("cosine", justify="right")
    table.add_column("photo", overflow="fold")
    for hit in found["results"]:
        table.add_row(str(hit["rank"]), f"{hit['cosine']:.3f}", escape(hit["filename"]))
    out.print(table)
    if sheet is not None and found["results"]:
        out.print(f"The faces are in {sheet}.", markup=False)
    if not found["trained"]:
        err.print(f"[yellow]Note[/] the encoder {found['encoder']} is untrained: what is near by it means nothing.")


def _is_picture(query: str) -> bool:
    with contextlib.suppress(OSError):  # a text may be too long for a path
        if Path(query).is_file():
            return True
    if query.lower().endswith(PICTURES):
        raise FaceStatsError(f"there is no picture {query}; a text to search for does not end like a picture's name")
    return False


def _find(settings: Settings, query: str, k: int, *, by_picture: bool) -> tuple[dict[str, Any], Any]:
    from facestats_pipeline.collection.search import Searcher
    from facestats_pipeline.io.data_folder import DataFolder

    folder = DataFolder(settings, load_graph=list)
    searcher = Searcher(folder)
    results = searcher.by_picture(Path(query), k) if by_picture else searcher.by_text(query, k)
    return {
        "query": query,
        "kind": "picture" if by_picture else "text",
        "encoder": folder.encoder.model_id,
        "trained": folder.encoder.trained,
        "results": results,
    }, folder


def _write_sheet(path: Path, title: str, results: list[dict[str, Any]], folder: Any) -> None:
    from facestats_pipeline.core.drawing.contact_sheet import contact_sheet

    pictures = [
        (
            folder.store.jpeg_path(hit["shard"], hit["image_id"]),
            f"{hit['rank']} · {hit['cosine']:.3f}\n{hit['filename']}",
        )
        for hit in results
    ]
    page = contact_sheet(pictures, title=title, subtitle=f"{len(results)} nearest faces, with cosines", caption_lines=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path, quality=92)
