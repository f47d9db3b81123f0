"""`facestats composite`: the average face of a group."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from facestats_pipeline.cli.console import ExpectedError, out, print_json, progress
from facestats_pipeline.cli.options import DataDir, Json, require_run, settings_for

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats composite --all --out everyone.jpg

  facestats composite --gender Female --age 20:29 --out women.jpg

  facestats composite --decile 8:10 --strict --out top.png
"""


class Method(StrEnum):
    """How faces are brought together."""

    mean = "mean"
    aligned = "aligned"
    warped = "warped"


@app.command(epilog=EPILOG)
def composite(
    out_file: Annotated[Path, typer.Option("--out", "-o", help="Picture to write: .jpg or .png.")],
    gender: Annotated[str | None, typer.Option(help="Female or Male.")] = None,
    ethnicity: Annotated[str | None, typer.Option(help="One of FairFace's seven.")] = None,
    age: Annotated[str | None, typer.Option(help="Years, LO:HI.")] = None,
    decile: Annotated[str | None, typer.Option(help="Score decile, LO:HI within 1:10.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="No filter.")] = False,
    method: Annotated[
        Method, typer.Option(help="mean: as they are; aligned: turned and scaled by 5 points.")
    ] = Method.aligned,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse rather than relax a filter.")] = False,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Average the faces that match. Filters that leave too few faces are relaxed one by one, and each relaxation is reported."""
    settings = settings_for(data_dir)
    require_run(settings)
    chosen = [option for option in (gender, ethnicity, age, decile) if option is not None]
    if bool(chosen) == everyone:
        raise ExpectedError("choose filters (--gender, --ethnicity, --age, --decile), or --all for everyone")
    if out_file.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise ExpectedError(f"--out {out_file}: end it in .jpg or .png")
    from facestats_pipeline.core.composites.composites import CompositeRefused, CompositeSpec, generate_composite
    from facestats_pipeline.defs.composites.assets import photo_loader
    from facestats_pipeline.defs.project import Project

    project = Project(settings, load_graph=list)
    master = project.store.scan("master").collect()
    if master.is_empty():
        raise ExpectedError("there is no master table yet: `facestats run` makes it")
    try:
        spec = CompositeSpec(
            out_file.stem,
            gender=gender,
            ethnicity=ethnicity,
            age=_range("--age", age),
            decile=_whole("--decile", decile),
            method=method.value,
            strict=strict or settings.composites.strict,
            floor=settings.composites.min_n,
        )
        with progress(quiet=json_):
            size = settings.preproc.size
            made = generate_composite(
                master,
                photo_loader(project, master),
                spec,
                landmarks=project.store.scan("preproc").select("image_id", "landmarks").collect(),
                size=size,
                landmark_size=size,
                out=out_file,
            )
    except (CompositeRefused, ValueError) as refusal:
        raise ExpectedError(str(refusal)) from None
    if json_:
        print_json({**made.row, "out": str(out_file)})
        return
    out.print(f"{out_file}: {made.row['n_used']} faces, {made.row['applied']}, {made.row['method']}", markup=False)
    for relaxed in made.row["relaxed"]:
        out.print(f"[yellow]relaxed[/] {relaxed}")
    if made.row["n_skipped"]:
        out.print(f"[yellow]skipped[/] {made.row['n_skipped']} photos: {escape(made.row['reason'])}")


def _range(option: str, text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise ExpectedError(f"{option} {text}: give LO:HI, for example 20:29") from None


def _whole(option: str, text: str | None) -> tuple[int, int] | None:
    numbers = _range(option, text)
    return (int(numbers[0]), int(numbers[1])) if numbers else None
