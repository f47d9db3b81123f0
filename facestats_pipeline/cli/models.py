"""`facestats models`: lists known weights with source, licence and checksum, and downloads encoders."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli import completion
from facestats_pipeline.cli.console import out, print_json
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import settings_for

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Model weights: availability, checksums, licences.")


@app.command("list", epilog="Examples:\n\n  facestats models list\n\n  facestats models list --json")
def list_models(data_dir: DataDir = None, json_: Json = False) -> None:
    """List the known weights and the models trained in this data folder."""
    from facestats_pipeline.io.model_registry import known_models

    models = known_models(settings_for(data_dir))
    if json_:
        print_json([asdict(model) for model in models])
        return
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("model", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("what for, licence, where", overflow="fold")
    for model in models:
        colour = {"ok": "green", "absent": "dim"}.get(
            model.state, "yellow" if model.state == "other version" else "red"
        )
        about = f"{escape(model.purpose)}; {escape(model.licence)}\n[dim]{escape(model.where)}[/]"
        table.add_row(model.name, f"[{colour}]{model.state}[/]", about)
    out.print(table)


@app.command("pull", epilog="Example:\n\n  facestats models pull ViT-B-32/laion2b_s34b_b79k")
def pull(
    name: Annotated[str, typer.Argument(help="ARCH/TAG of a hub encoder.", autocompletion=completion.encoders)],
    data_dir: DataDir = None,
) -> None:
    """Download a hub encoder, so that later runs work offline."""
    from facestats_pipeline.core.encoders.encoder import load_model
    from facestats_pipeline.core.encoders.errors import EncoderUnavailable
    from facestats_pipeline.io.weights import encoder_folder

    settings = settings_for(data_dir)
    try:
        encoder = load_model(name, models_dir=encoder_folder(settings))
    except EncoderUnavailable as error:
        raise FaceStatsError(str(error)) from None
    out.print(f"{encoder.model_id} is here: {encoder.dim} dimensions, {encoder.image_size} px.")
