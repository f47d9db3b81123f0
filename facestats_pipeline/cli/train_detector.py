"""`facestats train-detector`: trains your own face detector with the recipe of the shipped one."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from facestats_pipeline.cli.console import out, print_json, progress
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import settings_for
from facestats_pipeline.config import Settings
from facestats_pipeline.io.weights import DETECTOR, landmark_model, yunet_model

app = typer.Typer(add_completion=False)
EPILOG = """
Examples:

  facestats train-detector --photos fairface_train --pictures /usr/share/wallpapers -d ~/faces

  facestats train-detector --photos fairface_train --pictures /usr/share/wallpapers -d ~/faces --resume
"""


@app.command(epilog=EPILOG)
def train_detector(
    photos: Annotated[Path, typer.Option(help="Folder of Parquet files: jpeg (128 × 128), gender, race, age.")],
    pictures: Annotated[list[Path], typer.Option(help="Folder of background pictures. Repeatable.")],
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder to write the detector to. Default: facestats-detector in the models folder."
        ),
    ] = None,
    finder_steps: Annotated[int, typer.Option(min=1, help="Training steps of the detection network.")] = 30_000,
    landmarker_steps: Annotated[int, typer.Option(min=1, help="Training steps of the landmark network.")] = 10_000,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoints.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing detector in --out.")] = False,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Train a small face detector. Takes hours and can be resumed.

    Needs MediaPipe with its face landmarker to make labels, and YuNet to check that backgrounds show no face.
    """
    settings = settings_for(data_dir)
    folder = out_folder or settings.models / DETECTOR
    if (folder / "SHA256SUMS").is_file() and not replace:
        raise FaceStatsError(f"there is a detector in {folder}; choose another --out, or --replace it")
    work = settings.data_dir / "processed" / "detector_training"
    with progress(quiet=json_):
        written = _train(settings, photos, pictures, work, folder, (finder_steps, landmarker_steps), resume=resume)
    if json_:
        print_json({"out": str(folder), "files": {str(path): path.stat().st_size for path in written}})
        return
    out.print(f"{folder}: {', '.join(path.name for path in written)}", markup=False, soft_wrap=True)


def _train(
    settings: Settings,
    photos: Path,
    pictures: list[Path],
    work: Path,
    folder: Path,
    steps: tuple[int, int],
    *,
    resume: bool,
) -> list[Path]:
    parts = sorted(photos.glob("*.parquet"))
    if not parts:
        raise FaceStatsError(f"--photos {photos}: there is no Parquet file of training photos in it")
    for place in pictures:
        if not place.is_dir():
            raise FaceStatsError(f"--pictures {place}: there is no such folder")
    landmarker, yunet = landmark_model(settings), yunet_model(settings)
    if landmarker is None or yunet is None:
        lacking = "face_landmarker.task" if landmarker is None else "YuNet's ONNX file"
        raise FaceStatsError(f"training needs {lacking}; place it in {settings.weights}")
    from facestats_pipeline.core.detector import training
    from facestats_pipeline.core.preproc.detection import DetectorUnavailable, load_detector
    from facestats_pipeline.core.preproc.face_landmarks import LandmarksUnavailable

    if training.begun(work) != resume:
        what = "there is nothing to resume in {}; start without --resume"
        raise FaceStatsError(
            (
                what if resume else "{} holds an unfinished training; continue it with --resume, or remove the folder"
            ).format(work)
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        materials = training.Materials(parts, pictures, landmarker, load_detector(yunet))
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".training-") as temporary:
            made = Path(temporary) / DETECTOR
            training.train_detector(
                materials, work, made, finder_steps=steps[0], landmarker_steps=steps[1], seed=settings.seed
            )
            folder.mkdir(exist_ok=True)
            return [path.replace(folder / path.name) for path in sorted(made.iterdir())]
    except (training.DetectorTrainingRefused, DetectorUnavailable, LandmarksUnavailable) as refusal:
        raise FaceStatsError(str(refusal)) from None
