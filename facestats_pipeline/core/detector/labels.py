"""Labels of the training photos, made once by MediaPipe's face landmarker (Apache-2.0): 478 points, of which the detector learns five.

    python -m facestats_pipeline.core.detector.labels --data DIR_OF_PARQUET --cache DIR --landmarker face_landmarker.task

A photo is looked at twice, as it is and mirrored, with a border around it: the mean of both is its label, and how far they are apart says
how sure that is.
"""

import argparse
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.mini.data import decode_once
from facestats_pipeline.core.preproc import face_mesh
from facestats_pipeline.core.preproc.face_landmarks import load_landmarker
from facestats_pipeline.core.progress import track

FIVE = (468, 473, face_mesh.NOSE_TIP, face_mesh.MOUTH_RIGHT, face_mesh.MOUTH_LEFT)
"""The landmarks of `Face` among MediaPipe's points: the middle of each iris, the tip of the nose, the corners of the mouth."""
POINTS_FILE, SPREAD_FILE = "points.npy", "spread.npy"
_BORDER = 32  # px of the 128 px photo, on each side: a face that fills its photo is found more often with some room
_ENLARGED = 2
_PART = 2000  # photos of which the labels are kept in one file, so that an interrupted run goes on
_MOST_SPREAD = 0.3


def _look(landmarker: Any, photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
    """All points (478, 2) in px of the photo."""
    border = round(_BORDER * photo.shape[0] / 128)
    framed = cv2.copyMakeBorder(photo, border, border, border, border, cv2.BORDER_CONSTANT, value=(127, 127, 127))
    large = cv2.resize(framed, None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC)
    found = landmarker.find(np.ascontiguousarray(large))
    return None if found is None else found.points[:, :2] / _ENLARGED - border


def label(photos: Iterable[npt.NDArray[np.uint8]], landmarker: Any) -> npt.NDArray[np.float32]:
    """Points and spread of square photos, float32 (n, 479, 2): 478 points in px, then the spread twice. NaN where no face was found.

    The spread is the farthest that the two looks' five landmarks are apart, as a share of the distance of the eyes (of a turned face:
    of at least an eighth of the photo). A photo whose spread is more than 0.3 is left out. About 30 ms a photo.
    """
    rows = []
    for photo in photos:
        row = np.full((face_mesh.POINTS + 1, 2), np.nan, np.float32)
        rows.append(row)
        plain = _look(landmarker, photo)
        mirrored = None if plain is None else _look(landmarker, np.ascontiguousarray(photo[:, ::-1]))
        if plain is None or mirrored is None:
            continue
        mirrored = (mirrored * (-1, 1) + (photo.shape[1], 0))[face_mesh.MIRROR].astype(np.float32)
        apart = np.linalg.norm((plain - mirrored)[list(FIVE)], axis=1).max()
        spread = apart / max(float(np.linalg.norm(plain[FIVE[0]] - plain[FIVE[1]])), photo.shape[1] / 8)
        if spread <= _MOST_SPREAD:
            row[:-1], row[-1] = (plain + mirrored) / 2, spread
    return np.stack(rows)


def _label_part(start: int, photos_file: Path, landmarker_file: Path, parts: Path) -> None:
    done = parts / f"{start:06d}.npy"
    if done.exists():
        return
    photos = np.load(photos_file, mmap_mode="r")[start : start + _PART]
    with load_landmarker(landmarker_file) as landmarker:
        labelled = label(photos, landmarker)
    partial_file = done.with_suffix(".part")
    with partial_file.open("wb") as file:
        np.save(file, labelled)
    partial_file.rename(done)


def label_once(cache: Path, landmarker_file: Path, *, photos: str = "photos.npy", processes: int = 1) -> None:
    """Write `cache`/points.npy, float32 (n, 478, 2) in px of photos.npy, and spread.npy, float32 (n,): see `label`.

    Does nothing where both are there; goes on where it was interrupted.
    """
    prefix = "" if photos == "photos.npy" else photos.removesuffix(".npy") + "_"
    points_file, spread_file = cache / (prefix + POINTS_FILE), cache / (prefix + SPREAD_FILE)
    if points_file.exists() and spread_file.exists():
        return
    parts = cache / f"{prefix}label_parts"
    parts.mkdir(exist_ok=True)
    starts = range(0, len(np.load(cache / photos, mmap_mode="r")), _PART)
    work = partial(_label_part, photos_file=cache / photos, landmarker_file=landmarker_file, parts=parts)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for _ in track(pool.map(work, starts), "Labelling training photos", total=len(starts)):
            pass
    labelled = np.concatenate([np.load(parts / f"{start:06d}.npy") for start in starts])
    for file, values in ((points_file, labelled[:, :-1]), (spread_file, labelled[:, -1, 0])):
        with file.with_suffix(".part").open("wb") as out:
            np.save(out, values)
        file.with_suffix(".part").rename(file)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Label the detector's training photos.")
    parser.add_argument("--data", type=Path, required=True, help="folder of training Parquet files")
    parser.add_argument("--cache", type=Path, required=True, help="where photos and labels go (2 GB)")
    parser.add_argument("--landmarker", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--photos", default="photos.npy", help="array of square photos in the cache")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    decode_once(sorted(arguments.data.glob("*.parquet")), arguments.cache)
    label_once(arguments.cache, arguments.landmarker, photos=arguments.photos, processes=arguments.processes)


if __name__ == "__main__":
    main()
