"""`facestats lineage`: shows every file and row that holds an image, from the raw file on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.tree import Tree

from facestats_pipeline.cli import completion
from facestats_pipeline.cli.console import out, print_json
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.collection import open_collection

if TYPE_CHECKING:
    from facestats_pipeline.collection.lineage import ImageLineage

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats lineage people/anna.jpg -d ~/faces

  facestats lineage 5d41402abc4b2a76b9719d911017c592 --json -d ~/faces
"""
SHOWN = 5
"""Most values of a row that the tree shows; `--json` prints all."""
FIRST = (
    "status",
    "gender",
    "ethnicity",
    "age",
    "attractiveness",
    "cluster",
    "sharpness",
    "flagged",
    "model_id",
    "detector",
)


@app.command(epilog=EPILOG)
def lineage(
    image: Annotated[
        str,
        typer.Argument(
            help="An image id, a path in the raw folder, or a copy of the photo.",
            metavar="ID_OR_PATH",
            autocompletion=completion.images,
        ),
    ],
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Show everything that holds an image (file, rows, preprocessed photo, index, models, composites), with versions and runs."""
    found = open_collection(data_dir).lineage(image)
    if json_:
        files = [{"filename": row[0], "state": row[2], "shard": row[3]} for row in found.files.iter_rows()]
        print_json({"image_ids": found.image_ids, "files": files, "held": [one.as_dict() for one in found.held]})
        return
    out.print(_tree(found))


def _tree(found: "ImageLineage") -> Tree:
    tree = Tree(f"[bold]{escape(', '.join(found.image_ids) or 'a file that could not be read')}[/]")
    for row in found.files.iter_rows(named=True):
        tree.add(f"{escape(row['filename'])}  [dim]{row['state']}, {row['shard']}[/]")
    stages: dict[str, Tree] = {}
    for one in found.held:
        stage = stages.get(one.stage) or stages.setdefault(one.stage, tree.add(f"[bold]{one.stage}[/]"))
        run = f", run {one.run_id[:8]}" if one.run_id else ""
        version = f"version {one.code_version}, recipe {one.fingerprint}, " if one.fingerprint else ""
        note = f" [green]{escape(one.note)}[/]" if one.note else ""
        leaf = stage.add(f"{escape(one.artifact)}{note}  [dim]{escape(one.path)}[/]")
        if values := _values(one.values):
            leaf.add(escape(values))
        leaf.add(f"[dim]{version}{one.made_at}{run}[/]")
    return tree


def _values(values: Mapping[str, Any]) -> str:
    chosen = [name for name in FIRST if name in values]
    chosen += [name for name in values if name not in chosen]
    return ", ".join(f"{name} {_short(values[name])}" for name in chosen[:SHOWN])


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
