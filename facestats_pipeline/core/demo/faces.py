"""A collection of synthetic photos with known truth: the demo and the tests run on it, offline and without any real person's face.

The latent factors (`latents.py`) are sampled first, then the photo is drawn (`drawing.py`). Labels and ratings derive from the latents,
never from the pixels, so a test knows what the pipeline should recover. Like a real folder, the demo is untidy: nested folders, several
formats and shapes, photos that are upright only through their EXIF tag, labels for some photos only, raters who disagree, and, from 50
photos on, two exact duplicates and two broken files.
"""

import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from facestats_pipeline.core.attributes.catalogue import AGE
from facestats_pipeline.core.demo.canvas import tiles
from facestats_pipeline.core.demo.drawing import draw_face
from facestats_pipeline.core.demo.latents import FaceLatents, sample_latents
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.training.provenance import DEMO_TRUTH

__all__ = ["FaceLatents", "draw_face", "generate_demo", "sample_latents"]

UNTIDY_FROM = 50
"""From this many photos on, the folder also holds `DUPLICATES` and `BROKEN`."""
DUPLICATES = ("backup/copy_1.jpg", "backup/copy_2.jpg")
"""Byte-for-byte copies of the first two upright JPEG files."""
BROKEN = ("backup/truncated.jpg", "backup/notes.jpg")
"""A JPEG cut off in the middle, and a text file with the name of a photo."""

_SHAPES = ((360, 450), (360, 450), (384, 480), (320, 480), (400, 400), (512, 384))
_RATERS = tuple("ABCDEF")
# EXIF orientation → how to turn the stored pixels so that a viewer that obeys the tag shows them upright.
_TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def generate_demo(n: int, raw_dir: Path, labels_dir: Path, *, seed: int = 0, workers: int = 2) -> pl.DataFrame:
    """Write `n` photos of distinct faces under `raw_dir`, and `labels.csv`, `ratings.csv` and `demo_truth.csv` in `labels_dir`.

    Face i depends on (seed, i) only: the same call writes the same bytes, and a larger `n` keeps the faces of a smaller one.
    `labels.csv` (file, age, gender, race, age_years; FairFace's words) covers about 85% of the photos. `ratings.csv` (file, rating,
    rater; whole numbers 1–5) covers about 70%; at least three of six raters, with biases and errors, rate each of them. From
    `UNTIDY_FROM` photos on, `DUPLICATES` and `BROKEN` are written beside the n good photos and appear in no table.

    Returns the truth, one row per good photo: file (relative to `raw_dir`), age_bin, appeal (true rating, 1–5), every field of
    `FaceLatents`, width, height (upright), format, orientation (EXIF), labelled, rated.
    Raises FileExistsError when `labels_dir` holds labels or ratings that the demo did not write.
    """
    raw_dir, labels_dir = Path(raw_dir), Path(labels_dir)
    # The truth file marks a folder as the demo's own: only then may labels be overwritten.
    if not (labels_dir / DEMO_TRUTH).exists():
        for name in ("labels.csv", "ratings.csv"):
            if (labels_dir / name).exists():
                raise FileExistsError(
                    f"{labels_dir / name} was not written by the demo: choose another folder for the demo"
                )
    labels_dir.mkdir(parents=True, exist_ok=True)
    tiles()  # fills the cache before several threads ask for it at once
    rows: list[dict[str, Any]] = []
    plain: list[bytes] = []
    for row, data in track(_photos(n, seed, workers), "Drawing demo faces", total=n):
        _write(raw_dir / row["file"], data)
        rows.append(row)
        if len(plain) < len(DUPLICATES) and row["format"] == "JPEG" and row["orientation"] == 1:
            plain.append(data)
    if n >= UNTIDY_FROM:
        for name, data in zip(DUPLICATES, plain, strict=True):
            _write(raw_dir / name, data)
        _write(raw_dir / BROKEN[0], plain[0][: len(plain[0]) // 2])
        _write(raw_dir / BROKEN[1], b"This is a note, not a photo.\n")
    truth = pl.DataFrame(rows, infer_schema_length=None)
    labels = truth.filter("labelled").select("file", age="age_bin", gender="gender", race="ethnicity", age_years="age")
    _write(labels_dir / DEMO_TRUTH, truth.write_csv().encode())
    _write(labels_dir / "labels.csv", labels.write_csv().encode())
    _write(labels_dir / "ratings.csv", _ratings(truth, seed))
    return truth


def _photos(n: int, seed: int, workers: int) -> Iterator[tuple[dict[str, Any], bytes]]:
    with ThreadPoolExecutor(max_workers=workers) as pool:
        step = workers * 4  # `map` submits everything at once: batches keep a large demo out of memory
        for start in range(0, n, step):
            yield from pool.map(lambda i: _photo(i, seed), range(start, min(start + step, n)))


def _photo(index: int, seed: int) -> tuple[dict[str, Any], bytes]:
    rng = np.random.default_rng((seed, index))
    face = sample_latents(rng)
    width, height = _SHAPES[int(rng.integers(len(_SHAPES)))]
    scale = float(rng.uniform(0.94, 1.06))
    size = (round(width * scale), round(height * scale))
    image = draw_face(face, size)
    kind = str(rng.choice(("JPEG", "PNG", "WEBP"), p=(0.86, 0.07, 0.07)))
    orientation = int(rng.choice((3, 6, 8))) if kind == "JPEG" and rng.random() < 0.07 else 1
    suffix = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}[kind]
    row = {
        "file": f"{2016 + int(rng.integers(9))}/IMG_{index + 1:05d}.{suffix}",
        "age_bin": AGE.class_of_years(face.age),
        "appeal": face.appeal,
        **asdict(face),
        "width": size[0],
        "height": size[1],
        "format": kind,
        "orientation": orientation,
        "labelled": bool(rng.random() < 0.85),
        "rated": bool(rng.random() < 0.7),
    }
    return row, _encode(image, kind, orientation, int(rng.integers(85, 96)))


def _encode(image: Image.Image, kind: str, orientation: int, quality: int) -> bytes:
    buffer = io.BytesIO()
    if kind == "PNG":
        image.save(buffer, "PNG", compress_level=4)
    elif kind == "WEBP":
        image.save(buffer, "WEBP", quality=quality, method=2)
    elif orientation == 1:
        image.save(buffer, "JPEG", quality=quality)
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.transpose(_TURNS[orientation]).save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def _ratings(truth: pl.DataFrame, seed: int) -> bytes:
    """ratings.csv: each rater adds a bias, stretches or narrows the scale, and makes random errors."""
    rng = np.random.default_rng((seed, 2**31))
    bias, stretch = rng.normal(0, 0.3, len(_RATERS)), rng.uniform(0.8, 1.15, len(_RATERS))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("file", "rating", "rater"))
    for file, appeal in truth.filter("rated").select("file", "appeal").iter_rows():
        seen = rng.permutation(len(_RATERS))[: int(rng.integers(3, len(_RATERS) + 1))]
        for rater in sorted(int(i) for i in seen):
            felt = 3 + stretch[rater] * (appeal - 3) + bias[rater] + rng.normal(0, 0.5)
            writer.writerow((file, int(np.clip(round(felt), 1, 5)), _RATERS[rater]))
    return out.getvalue().encode()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
