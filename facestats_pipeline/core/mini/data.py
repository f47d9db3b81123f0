"""The training photos, decoded and aligned once into arrays on disk: no time of the training loop goes to that."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from facestats_pipeline.core.mini.classes import AGE_BINS, ETHNICITIES, GENDERS
from facestats_pipeline.core.preproc.detection import FaceDetector, align_face, single_threaded_opencv
from facestats_pipeline.core.progress import track

SIDE = 128
"""Pixels of a stored photo: the training set comes centre-cropped to 128 × 128."""
_LOOK_PX = 224
"""Side to which a photo is enlarged before a face is looked for in it: FairFace's own size."""

_LABELS = {"gender": GENDERS, "race": ETHNICITIES, "age": AGE_BINS}

Photos = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FaceSet:
    """Photos with their three labels as class numbers; `labels` columns are gender, ethnicity, age bin."""

    photos: Photos  # (n, 128, 128, 3) RGB, usually a memory map
    labels: npt.NDArray[np.int64]  # (n, 3) indices into GENDERS, ETHNICITIES, AGE_BINS
    rows: npt.NDArray[np.int64]  # which rows of the arrays belong to this set
    aligned: Photos | None = None  # the same photos, aligned as the pipeline does; as they are where no face was found
    soft: npt.NDArray[np.float16] | None = None  # (n, 18) what `crossfit` says of each photo, in the order of CLASSES

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Photos (k, 128, 128, 3) and labels (k, 3) at `positions` of this set."""
        rows = self.rows[positions]
        return self.photos[rows], self.labels[rows]

    def take_aligned(self, positions: npt.NDArray[np.int64]) -> Photos:
        """Aligned photos (k, 128, 128, 3) at `positions` of this set; the plain ones where there are none."""
        return (self.photos if self.aligned is None else self.aligned)[self.rows[positions]]

    def take_soft(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32] | None:
        """Soft labels (k, 18) at `positions` of this set; None where there are none."""
        return None if self.soft is None else self.soft[self.rows[positions]].astype(np.float32)

    def only_aligned(self) -> "FaceSet | None":
        """This set with its aligned photos in place of the plain ones; None where there are none."""
        return None if self.aligned is None else replace(self, photos=self.aligned, aligned=None)

    def without_fold(self, folds: int, fold: int) -> tuple["FaceSet", "FaceSet"]:
        """This set without one of `folds` parts of it, and that part. The parts are of equal size and the same in every run."""
        if not 0 <= fold < folds or folds < 2:
            raise ValueError(f"fold {fold} of {folds}: there are at least 2 folds, counted from 0")
        part = np.random.default_rng(folds).permutation(len(self)) % folds
        return replace(self, rows=self.rows[part != fold]), replace(self, rows=self.rows[part == fold])

    def batches(self, size: int) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
        """The whole set in order, `size` at a time; the last batch may be shorter."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


def decode_once(parts: list[Path], cache: Path) -> None:
    """Decode the `jpeg` column of Parquet `parts` into `cache`/photos.npy (n, 128, 128, 3) u8 and labels.npy (n, 3) i64.

    1.8 GB for the 36,946 photos, in about 10 s on one core. Does nothing where both files are there. Raises ValueError with the
    file and row of a photo that does not decode to 128 × 128 or has a label outside the vocabulary.
    """
    photos_file, labels_file = cache / "photos.npy", cache / "labels.npy"
    if photos_file.exists() and labels_file.exists():
        return
    if not parts:
        raise ValueError("no Parquet file with training photos was given")
    cache.mkdir(parents=True, exist_ok=True)
    table = pl.concat([pl.read_parquet(part) for part in parts])
    photos = np.lib.format.open_memmap(cache / "photos.part", "w+", np.uint8, (len(table), SIDE, SIDE, 3))
    labels = np.empty((len(table), 3), np.int64)
    for row, record in enumerate(track(table.iter_rows(named=True), "Decoding training photos", total=len(table))):
        image = cv2.imdecode(np.frombuffer(record["jpeg"], np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.shape != (SIDE, SIDE, 3):
            raise ValueError(f"row {row} ({record['file']}): not a JPEG photo of {SIDE} × {SIDE} pixels")
        photos[row] = image[:, :, ::-1]
        for place, (column, classes) in enumerate(_LABELS.items()):
            if record[column] not in classes:
                known = ", ".join(classes)
                raise ValueError(f"row {row} ({record['file']}): {column} is {record[column]!r}, not one of {known}")
            labels[row, place] = classes.index(record[column])
    photos.flush()
    np.save(labels_file, labels)
    (cache / "photos.part").rename(photos_file)


def align_once(cache: Path, detector: FaceDetector) -> None:
    """Align every photo of `cache`/photos.npy as the pipeline does, into aligned.npy of the same shape.

    1.8 GB for the 36,946 photos, in 6 minutes on two cores. A photo without a face stays as it is. Does nothing where the file is there.
    """
    aligned_file = cache / "aligned.npy"
    if aligned_file.exists():
        return
    photos = np.load(cache / "photos.npy", mmap_mode="r")
    aligned = np.lib.format.open_memmap(cache / "aligned.part", "w+", np.uint8, photos.shape)

    def align(row: int) -> None:
        large = Image.fromarray(photos[row]).resize((_LOOK_PX, _LOOK_PX), Image.Resampling.BICUBIC)
        faces = detector.detect(np.asarray(large))
        # Made twice as large and reduced, as the pipeline's picture is larger than what the encoder sees of it.
        if faces:
            made = align_face(large, faces[0], size=2 * SIDE)[0].resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            aligned[row] = np.asarray(made)
        else:
            aligned[row] = photos[row]

    with single_threaded_opencv(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in track(pool.map(align, range(len(photos))), "Aligning training photos", total=len(photos)):
            pass
    aligned.flush()
    (cache / "aligned.part").rename(aligned_file)


def open_split(cache: Path, *, held_out: int = 2000, seed: int = 0) -> tuple[FaceSet, FaceSet]:
    """(training, validation) sets over the decoded photos, with the aligned ones where `align_once` has made them.

    Validation is `held_out` photos drawn by `seed`.
    """
    photos = np.load(cache / "photos.npy", mmap_mode="r")
    aligned_file = cache / "aligned.npy"
    aligned = np.load(aligned_file, mmap_mode="r") if aligned_file.exists() else None
    labels = np.load(cache / "labels.npy")
    if not 0 < held_out < len(labels):
        raise ValueError(f"cannot hold out {held_out} of {len(labels)} photos")
    order = np.random.default_rng(seed).permutation(len(labels))
    return (
        FaceSet(photos, labels, np.sort(order[held_out:]), aligned),
        FaceSet(photos, labels, np.sort(order[:held_out]), aligned),
    )
