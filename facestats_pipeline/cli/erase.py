"""`facestats erase`: erases images and everything derived from them; their bytes are refused from then on."""

from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli import completion
from facestats_pipeline.cli.console import err, out, print_json, progress
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.collection import Collection, open_collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import require_run

if TYPE_CHECKING:
    from facestats_pipeline.collection.erase import Erasures
    from facestats_pipeline.io.erasure.targets import Target

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats erase people/anna.jpg --dry-run -d ~/faces

  facestats erase people/anna.jpg --raw -d ~/faces

  facestats erase --file withdrawn.txt --raw --yes --retrain -d ~/faces

docs/erasure.md says what an erasure guarantees. Without --raw, the photo stays in the raw folder and is ignored.
"""


@app.command(epilog=EPILOG)
def erase(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image ids, paths in the raw folder, or copies of the photos.",
            metavar="ID_OR_PATH",
            autocompletion=completion.images,
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Text file with one id or path per line.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Also remove the photos from the raw folder.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the places that hold the images; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Erase without asking for confirmation.")] = False,
    remake: Annotated[
        bool, typer.Option(help="Make composites, index and reports again now, or leave that to `facestats run`.")
    ] = True,
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain",
            help="Also train again every model that was trained on an erased photo. Works without naming an image.",
        ),
    ] = False,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Erase images and everything derived from them (rows, files, labels, index, composites). Their bytes are refused from then on.

    First completes an erasure that was interrupted. Without an image, only that is done.
    """
    if json_ and not (yes or dry_run):
        raise FaceStatsError(
            "--json cannot ask for confirmation: add --yes to erase, or --dry-run to list what holds the images"
        )
    here = open_collection(data_dir)
    require_run(here.settings)
    wanted = [*(images or []), *_listed(file)]
    if dry_run:
        _show_places(here, wanted, json_)
        return
    from facestats_pipeline.collection.erase import Erasures

    try:
        done = here.erase(
            *wanted,
            raw=raw,
            remake=remake,
            retrain=retrain,
            confirm=(lambda target: None) if yes else partial(_confirm, raw=raw),
            watch=partial(progress, quiet=json_),
        )
    except FaceStatsError as error:
        if isinstance(error.done, Erasures):
            _show(error.done, json_)
        raise
    _show(done, json_)


def _listed(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FaceStatsError(f"--file {file}: cannot be read as text: {error}") from None
    return [line.strip() for line in lines if line.strip()]


def _confirm(target: "Target", raw: bool) -> None:
    photos = " and the photos themselves" if raw else "; the photos stay in the raw folder (--raw removes them)"
    err.print(
        f"This erases {len(target.filenames)} files ({len(target.ids)} images) from everything derived from them{photos}."
    )
    typer.confirm("Erase for good?", abort=True, err=True)


def _show_places(here: Collection, wanted: list[str], json_: bool) -> None:
    found, data_dir = here.preview_erasure(*wanted), here.settings.data_dir
    if json_:
        print_json(
            {
                "image_ids": found.image_ids,
                "erased_before": found.erased_before,
                "copies_outside": found.copies_outside,
                "places": [{**vars(place), "path": str(place.path)} for place in found.places],
            }
        )
        return
    out.print(f"{_images(len(found.image_ids))}; nothing was changed. Held by:")
    for kind, held in groupby(found.places, key=lambda place: place.kind):
        out.print(f"[bold]{kind}[/]")
        for place in held:
            path = place.path
            path = path.relative_to(data_dir) if path.is_relative_to(data_dir) else path
            what = "the first of {} files" if kind in ("aggregate", "picture", "photo") else "{} rows"
            how = place.note or (what.format(place.rows) if place.rows > 1 else "")
            out.print(f"  {escape(str(path))}{f'  [dim]{escape(how)}[/]' if how else ''}", soft_wrap=True)
    out.print(
        "`facestats erase` removes all of this except the raw photos (add --raw) and the weights of models, which it marks."
    )
    for copy in found.copies_outside:
        out.print(f"[yellow]Note[/] {escape(copy)}", soft_wrap=True)


def _images(n: int) -> str:
    return "1 image" if n == 1 else f"{n} images"


def _show(done: "Erasures", json_: bool) -> None:
    if json_:
        print_json(asdict(done))
        return
    for receipt in done.erasures:
        table = Table(title=f"Erased: {_images(len(receipt['erased']))}", title_justify="left", show_header=False)
        table.add_column("what", overflow="fold")
        table.add_column("count", justify="right")
        for what, count in receipt["changes"].items():
            table.add_row(escape(what), str(count))
        out.print(table)
        if receipt["made_again"]:
            out.print(f"Made again without them: {', '.join(receipt['made_again'])}.", soft_wrap=True)
        if receipt["to_be_made_again"]:
            out.print(
                f"Removed; `facestats run` makes them again: {', '.join(receipt['to_be_made_again'])}.", soft_wrap=True
            )
        for model, why in receipt["models_marked"].items():
            out.print(f"[yellow]Marked[/] {model}: {escape(why)}.", soft_wrap=True)
        if receipt["models_marked"]:
            out.print(
                "`facestats run` trains models with changed labels again; `facestats erase --retrain` trains all marked models."
            )
        for note in receipt["not_searched"]:
            out.print(f"[yellow]Note[/] {escape(note)}", soft_wrap=True)
        out.print(f"Receipt: {receipt['receipt']}", markup=False, soft_wrap=True)
    if done.trained_again:
        out.print(f"Trained again: {', '.join(done.trained_again)}.", soft_wrap=True)
    if not done.erasures and not done.trained_again:
        out.print("Nothing to do: these images were erased before, and no model is still trained on them.")
