"""The training photos: decoded once into one array on disk, so that no time of the training loop goes to JPEG decoding."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.labels.vocabulary import AGE_BINS, ETHNICITIES, GENDERS
from facestats_pipeline.core.progress import track

SIDE = 128
"""Pixels of a stored photo: the training set comes centre-cropped to 128 × 128."""


@dataclass(frozen=True)
class FaceSet:
    """Photos with their three labels as class numbers; `labels` columns are gender, ethnicity, age bin."""

    photos: npt.NDArray[np.uint8]  # (n, 128, 128, 3) RGB, usually a memory map
    labels: npt.NDArray[np.int64]  # (n, 3) indices into GENDERS, ETHNICITIES, AGE_BINS
    rows: npt.NDArray[np.int64]  # which rows of the arrays belong to this set

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Photos (k, 128, 128, 3) and labels (k, 3) at `positions` of this set."""
        rows = self.rows[positions]
        return self.photos[rows], self.labels[rows]

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
        try:
            labels[row] = (
                GENDERS.index(record["gender"]),
                ETHNICITIES.index(record["race"]),
                AGE_BINS.index(record["age"]),
            )
        except ValueError as error:
            raise ValueError(f"row {row} ({record['file']}): {error}") from error
    photos.flush()
    np.save(labels_file, labels)
    (cache / "photos.part").rename(photos_file)


def open_split(cache: Path, *, held_out: int = 2000, seed: int = 0) -> tuple[FaceSet, FaceSet]:
    """(training, validation) sets over the decoded photos; validation is `held_out` photos drawn by `seed`."""
    photos = np.load(cache / "photos.npy", mmap_mode="r")
    labels = np.load(cache / "labels.npy")
    if not 0 < held_out < len(labels):
        raise ValueError(f"cannot hold out {held_out} of {len(labels)} photos")
    order = np.random.default_rng(seed).permutation(len(labels))
    return (
        FaceSet(photos, labels, np.sort(order[held_out:])),
        FaceSet(photos, labels, np.sort(order[:held_out])),
    )
