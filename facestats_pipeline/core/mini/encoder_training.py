"""Training an encoder of one's own, whole: decode, train in one or several processes, export, and the probes that go with it.

What is trained, and how, is in `core.mini`; here is what is around it: where a run lies, how it is resumed, how it reports.
"""

import hashlib
import json
import multiprocessing
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from facestats_pipeline.core.encoders.mini_towers import MERGES_FILE
from facestats_pipeline.core.mini.augment import Ranges
from facestats_pipeline.core.mini.data import align_once, decode_once
from facestats_pipeline.core.mini.export import export
from facestats_pipeline.core.mini.losses import Weights
from facestats_pipeline.core.mini.tokenizer import write_merges
from facestats_pipeline.core.mini.train import Settings, train
from facestats_pipeline.core.preproc.detection import FaceDetector
from facestats_pipeline.core.progress import listening, report

NAME = "facestats-mini"
CHECKPOINT, RUN_SETTINGS, LOG = "checkpoint.pt", "settings.json", "training.txt"
TRAINED_WITH = "training_settings.json"


class EncoderTrainingRefused(Exception):
    """Training cannot begin; the message says why and what to do."""


def training_parts(folder: Path) -> list[Path]:
    """The Parquet files of a folder of training photos, sorted. Raises EncoderTrainingRefused when there is none."""
    parts = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    if not parts:
        raise EncoderTrainingRefused(
            f"{folder}: there is no Parquet file of training photos; each needs the columns jpeg (128 × 128), gender, race, age"
        )
    return parts


def recorded_settings(run: Path) -> Settings | None:
    """The settings that a run was begun with; None where nothing was begun. Raises EncoderTrainingRefused for a damaged record."""
    path = run / RUN_SETTINGS
    if not ((run / CHECKPOINT).is_file() and path.is_file()):
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values |= {name: Ranges(**values[name]) for name in ("ranges", "aligned_ranges")}
        values["weights"] = Weights(**values["weights"])
        values["sides"] = tuple((float(start), int(side)) for start, side in values["sides"])
        return Settings(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise EncoderTrainingRefused(f"{path}: not the settings of a training run ({error}); begin anew") from error


def chosen_settings(begun: Settings | None = None, **given: Any) -> Settings:
    """Settings of a run: those it was begun with, else the shipped encoder's, with what is given (None: not given) in their place."""
    base = begun or Settings()
    values = {one.name: getattr(base, one.name) for one in fields(Settings)}
    return Settings(**values | {name: value for name, value in given.items() if value is not None})


def run_training(
    settings: Settings,
    parts: Sequence[Path],
    work: Path,
    run: Path,
    *,
    detector: FaceDetector | None = None,
    device: str = "cpu",
) -> None:
    """Train until the settings' last step, from `run`/checkpoint.pt where there is one.

    With a detector, half of the views come from aligned photos, as the pipeline's do. The decoded photos go to a folder of `work`
    that is named after `parts`, what the loop says to `run`/training.txt, progress to
    whoever listens. Raises EncoderTrainingRefused for photos or labels that cannot be used.
    """
    names = json.dumps([(part.name, part.stat().st_size) for part in parts])
    cache = work / f"photos-{hashlib.sha256(names.encode()).hexdigest()[:8]}"
    try:
        decode_once(list(parts), cache)
    except ValueError as error:
        raise EncoderTrainingRefused(str(error)) from None
    if detector is not None:
        align_once(cache, detector)
    run.mkdir(parents=True, exist_ok=True)
    if not (run / MERGES_FILE).exists():
        write_merges(run)
    if settings.processes == 1:
        with (run / LOG).open("a", encoding="utf-8") as log, redirect_stdout(log):
            train(settings, cache, run, device=device)
        return
    (run / "meeting").unlink(missing_ok=True)  # where the processes find each other; left behind by a killed run
    steps: Any = multiprocessing.get_context("spawn").SimpleQueue()
    given = (settings, cache, run, device, steps)
    workers: Any = spawn(_one_process, given, nprocs=settings.processes, join=False)  # type: ignore[no-untyped-call]
    try:
        while not workers.join(timeout=1.0):
            while not steps.empty():
                report(*steps.get())
    finally:  # whoever stops the caller stops the training: it goes on from its checkpoint
        for process in workers.processes:
            if process.is_alive():
                process.terminate()


def _one_process(rank: int, settings: Settings, cache: Path, run: Path, device: str, steps: Any) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{(run / 'meeting').resolve()}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=settings.processes)

    def tell(stage: str, done: int, total: int | None) -> None:
        if rank == 0:
            steps.put((stage, done, total))

    with (run / LOG).open("a", encoding="utf-8") as log, redirect_stdout(log), listening(tell):
        train(settings, cache, run, device=device, rank=rank)
    dist.destroy_process_group()


def export_encoder(run: Path, models: Path) -> Path:
    """Write the encoder that a run has trained as `models`/facestats-mini; returns that folder."""
    export(run, models / NAME)
    return models / NAME


def add_probes(
    folder: Path, parts: Sequence[Path], detector: FaceDetector | None, *, seed: int = 0, device: str = "auto"
) -> list[Path]:
    """Train the probes of the encoder in `folder` (named facestats-mini) and write them to `folder`/probes; returns the files.

    Fitted on `parts` without the photos that the encoder's training held out, calibrated on those. Raises EncoderUnavailable,
    EncoderTrainingRefused and TrainingRefused.
    """
    from facestats_pipeline.core.attributes.shipped_probes import save_shipped
    from facestats_pipeline.core.attributes.shipped_training import embed_labelled, fit_scales, train_shipped
    from facestats_pipeline.core.encoders.encoder import load_model

    try:
        held_out = int(json.loads((folder / TRAINED_WITH).read_text(encoding="utf-8"))["held_out"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderTrainingRefused(
            f"{folder / TRAINED_WITH}: does not say how many photos were held out, and probes are calibrated on those ({error})"
        ) from None
    encoder = load_model(NAME, models_dir=folder.parent, device=device)
    data = embed_labelled(parts, encoder, detector, held_out=held_out)
    models = train_shipped(data, encoder.model_id, seed=seed)
    return save_shipped(models, fit_scales(data, encoder), encoder.model_id, folder / "probes")
