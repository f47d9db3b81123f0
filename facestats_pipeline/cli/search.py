"""`facestats search`: the faces of a collection that are nearest to a text or to another face."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli.console import err, out, print_json
from facestats_pipeline.cli.options import DataDir, Json, Where
from facestats_pipeline.collection.collection import Collection, open_collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import require_run
from facestats_pipeline.core.drawing import PICTURE_QUALITY

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats search "an elderly man" -d ~/faces

  facestats search face.jpg -k 20 --sheet nearest.jpg -d ~/faces
"""


@app.command(epilog=EPILOG)
def search(
    query: Annotated[str, typer.Argument(help="A text, or the path of a picture.", metavar='"TEXT" | IMAGE')],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of faces.")] = 10,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet of the faces found: .jpg or .png.")] = None,
    where: Where = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Find the faces of a collection that are nearest to a text or to the face in a picture. The query is not stored.

    A text needs an encoder with a text tower. Exit code 1 if the picture shows no face.
    """
    from facestats_pipeline.collection.search import is_picture

    here = open_collection(data_dir)
    require_run(here.settings)
    by_picture = is_picture(query)
    if sheet is not None and sheet.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise FaceStatsError(f"--sheet {sheet}: end it in .jpg or .png")
    hits = here.search(Path(query) if by_picture else query, k, where=where or ()).to_dicts()
    encoder = here.folder.encoder
    if sheet is not None and hits:
        _write_sheet(sheet, Path(query).name if by_picture else query, hits, here)
    found = {
        "query": query,
        "kind": "picture" if by_picture else "text",
        "encoder": encoder.model_id,
        "trained": encoder.trained,
        "results": hits,
    }
    if json_:
        print_json(found)
        return
    table = Table(header_style="bold")
    table.add_column("", justify="right")
    table.add_column("cosine", justify="right")
    table.add_column("photo", overflow="fold")
    for hit in hits:
        table.add_row(str(hit["rank"]), f"{hit['cosine']:.3f}", escape(hit["filename"]))
    out.print(table)
    if sheet is not None and hits:
        out.print(f"The faces are in {sheet}.", markup=False)
    if not encoder.trained:
        err.print(f"[yellow]Note[/] the encoder {encoder.model_id} is untrained: its neighbours are meaningless.")


def _write_sheet(path: Path, title: str, results: list[dict[str, Any]], here: Collection) -> None:
    from facestats_pipeline.core.drawing.contact_sheet import contact_sheet

    pictures = [
        (
            here.folder.store.jpeg_path(hit["shard"], hit["image_id"]),
            f"{hit['rank']} · {hit['cosine']:.3f}\n{hit['filename']}",
        )
        for hit in results
    ]
    page = contact_sheet(pictures, title=title, subtitle=f"{len(results)} nearest faces, with cosines", caption_lines=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path, quality=PICTURE_QUALITY)
