"""`facestats demo`: makes synthetic faces with known labels and runs the pipeline on them."""

from pathlib import Path
from typing import Annotated

import typer

from facestats_pipeline.cli.console import err, print_json, progress
from facestats_pipeline.cli.options import Json
from facestats_pipeline.cli.run import execute, show
from facestats_pipeline.collection.collection import open_collection
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import require_folder, settings_for

app = typer.Typer(add_completion=False)


@app.command(epilog="Examples:\n\n  facestats demo\n\n  facestats demo --images 500 --data-dir /tmp/demo")
def demo(
    images: Annotated[int, typer.Option("--images", "-n", min=1, help="Number of faces.")] = 300,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", "-d", help="Default: facestats-demo in the working directory.")
    ] = Path("facestats-demo"),
    seed: Annotated[int, typer.Option(help="The same seed makes the same faces.")] = 0,
    json_: Json = False,
) -> None:
    """Make synthetic faces with known labels and ratings, then run the pipeline on them. Needs no internet and no photos."""
    from facestats_pipeline.core.demo.faces import generate_demo

    require_folder(settings_for(data_dir), "facestats demo")
    try:
        with progress(quiet=json_):
            generate_demo(images, data_dir / "raw", data_dir / "labels", seed=seed)
    except FileExistsError as error:
        raise FaceStatsError(str(error)) from None
    if not json_:
        err.print(
            f"Wrote {images} synthetic faces to {data_dir / 'raw'}. Running the pipeline on them:",
            markup=False,
        )
    summary = execute(open_collection(data_dir), quiet=json_)
    if json_:
        print_json(summary)
    else:
        show(summary)
    if summary["error"]:
        raise FaceStatsError(summary["error"])
