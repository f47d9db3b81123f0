"""`facestats train-encoder`: trains your own encoder with the recipe of the shipped one."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from facestats_pipeline.cli.console import out, print_json, progress
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import require_folder, settings_for
from facestats_pipeline.config import Settings
from facestats_pipeline.io.weights import MINI

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats train-encoder --data fairface_train -d ~/faces

  facestats train-encoder --data fairface_train -d ~/faces --resume

  facestats train-encoder --data fairface_train --out models/facestats-mini --probes-only
"""


@app.command(epilog=EPILOG)
def train_encoder(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of Parquet files: jpeg, gender, race, age. Default: encoder_training.data."),
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write the encoder to. Default: facestats-mini in the models folder."),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Number of epochs. Default: that of the shipped encoder.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing encoder in --out.")] = False,
    probes: Annotated[bool | None, typer.Option(help="Also train the probes of gender, ethnicity and age.")] = None,
    probes_only: Annotated[
        bool, typer.Option("--probes-only", help="Train only the probes of the existing encoder in --out.")
    ] = False,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Train a small image and text encoder on labelled faces, then its probes. Takes hours on a CPU and can be resumed at any time."""
    given = {"encoder_training.data": data, "encoder_training.epochs": epochs, "encoder_training.probes": probes}
    settings = settings_for(data_dir, **given)
    if out_folder is None:
        require_folder(settings, "facestats train-encoder without --out")
    folder = out_folder or settings.models / MINI
    _check(settings, folder, replace=replace, probes_only=probes_only)
    from facestats_pipeline.core.encoders.errors import EncoderUnavailable
    from facestats_pipeline.core.mini.encoder_training import EncoderTrainingRefused
    from facestats_pipeline.core.training.provenance import TrainingRefused

    try:
        with progress(quiet=json_):
            written = _probes(settings, folder) if probes_only else _whole(settings, folder, resume=resume)
    except (EncoderTrainingRefused, EncoderUnavailable, TrainingRefused) as refusal:
        raise FaceStatsError(str(refusal)) from None
    if json_:
        print_json({"out": str(folder), "files": {str(path): path.stat().st_size for path in written}})
        return
    out.print(f"{folder}: {', '.join(path.name for path in written)}", markup=False, soft_wrap=True)
    out.print(f"Use it: FACESTATS_MODELS_DIR={folder.parent} facestats run --encoder {MINI}", markup=False)


def _check(settings: Settings, folder: Path, *, replace: bool, probes_only: bool) -> None:
    if settings.encoder_training.data is None:
        raise FaceStatsError("give the training photos: --data FOLDER of Parquet files (jpeg, gender, race, age)")
    if folder.name != MINI:
        raise FaceStatsError(f"--out {folder}: end it in {MINI}, the name under which encoders are loaded")
    there = (folder / "open_clip_model.safetensors").is_file()
    if probes_only and not there:
        raise FaceStatsError(f"there is no encoder in {folder}; train one first, without --probes-only")
    if there and not (probes_only or replace):
        raise FaceStatsError(f"there is an encoder in {folder}; choose another --out, or --replace it")


def _whole(settings: Settings, folder: Path, *, resume: bool) -> list[Path]:
    from facestats_pipeline.core.encoders.devices import choose_device
    from facestats_pipeline.core.mini.encoder_training import (
        chosen_settings,
        export_encoder,
        recorded_settings,
        run_training,
        training_parts,
    )
    from facestats_pipeline.io.data_folder import DataFolder

    wanted = settings.encoder_training
    assert wanted.data is not None
    parts = training_parts(wanted.data)
    work = settings.data_dir / "processed" / "encoder_training"
    begun = recorded_settings(work / "run")
    if begun is not None and not resume:
        raise FaceStatsError(
            f"{work / 'run'} holds an unfinished training; continue it with --resume, or remove the folder"
        )
    if begun is None and resume:
        raise FaceStatsError(f"there is nothing to resume in {work / 'run'}; start without --resume")
    given: dict[str, Any] = wanted.model_dump(include={"epochs", "photos", "processes", "held_out"})
    run_settings = chosen_settings(begun, **given, **({} if begun else {"seed": settings.seed}))
    device = choose_device(settings.encoder.device)
    detector = DataFolder(settings, load_graph=list).detector
    run_training(run_settings, parts, work, work / "run", detector=detector, device=str(device))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".training-") as temporary:
        made = export_encoder(work / "run", Path(temporary))
        if wanted.probes:
            _probes(settings, made)
        files = [path.relative_to(made) for path in sorted(made.rglob("*")) if path.is_file()]
        shutil.rmtree(folder / "probes", ignore_errors=True)  # belongs to the encoder that is replaced
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).replace(folder / name)
    return [folder / name for name in files]


def _probes(settings: Settings, folder: Path) -> list[Path]:
    from facestats_pipeline.core.mini.encoder_training import add_probes, training_parts
    from facestats_pipeline.io.data_folder import DataFolder

    assert settings.encoder_training.data is not None
    detector = DataFolder(settings, load_graph=list).detector
    parts = training_parts(settings.encoder_training.data)
    return add_probes(folder, parts, detector, seed=settings.seed, device=settings.encoder.device)
