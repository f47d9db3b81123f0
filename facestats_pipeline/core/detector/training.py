"""The whole of a detector's training, from photos to the folder that ships; every part goes on where it was interrupted."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import torch

from facestats_pipeline.core.detector.backgrounds import backgrounds_once
from facestats_pipeline.core.detector.data import open_sets
from facestats_pipeline.core.detector.drawn import DRAWN_FILE, draw_once
from facestats_pipeline.core.detector.export import export
from facestats_pipeline.core.detector.labels import label_once
from facestats_pipeline.core.detector.train import CHECKPOINT, Settings, train
from facestats_pipeline.core.mini.data import decode_once
from facestats_pipeline.core.preproc.faces import FaceDetector


@dataclass(frozen=True)
class Materials:
    """What a detector is trained from: Parquet files of photos, folders of pictures for backgrounds, MediaPipe's face landmarker for
    the labels, and a detector (YuNet) by which backgrounds with faces are left out."""

    photos: list[Path]
    pictures: list[Path]
    landmarker: Path
    detector: FaceDetector
    drawn: int = 1200


class DetectorTrainingRefused(Exception):
    """Nothing can be trained from what was given; the message says what to do."""


def begun(work: Path) -> bool:
    """Whether a training has been begun in a folder."""
    return any((work / name / CHECKPOINT).is_file() for name in ("finder", "landmarker"))


def train_detector(
    materials: Materials,
    work: Path,
    out: Path,
    *,
    finder_steps: int,
    landmarker_steps: int,
    seed: int = 0,
    pictures: int = 3000,
) -> None:
    """Label, compose, train both networks and write the detector to `out`. Photos, labels and checkpoints lie in `work`; from which
    score on a face is sure is chosen on `pictures` held-out composed ones.

    Raises DetectorTrainingRefused for photos that cannot be used.
    """
    cache = work / "cache"
    try:
        decode_once(materials.photos, cache)
    except ValueError as error:
        raise DetectorTrainingRefused(str(error)) from None
    label_once(cache, materials.landmarker)
    draw_once(cache, materials.drawn)
    label_once(cache, materials.landmarker, photos=DRAWN_FILE)
    backgrounds_once(materials.pictures, cache, materials.detector, seed=seed)
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        sets, _ = open_sets(cache)
        for network, steps in (("finder", finder_steps), ("landmarker", landmarker_steps)):
            train(Settings(network=network, steps=steps, seed=seed), sets, work / network)
        export(work / "finder", work / "landmarker", cache, out, pictures=pictures)
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
