"""A collection of synthetic photos with known truth: what the demo and the tests run on, offline and with nobody's face.

Latent factors (`demo_latents`) are drawn first, then the photo (`demo_drawing`); labels and ratings follow from the latents, never from
the pixels, so that a test can say what the pipeline should have recovered. Like a real folder, this one is untidy: nested folders, several
formats and shapes, photos that stand upright only through their EXIF tag, labels for some photos only, raters who disagree,
and, from 50 photos on, two exact duplicates and two broken files.
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

from facestats_pipeline.core.demo.canvas import tiles
from facestats_pipeline.core.demo.drawing import draw_face
from facestats_pipeline.core.demo.latents import FaceLatents, sample_latents
from facestats_pipeline.core.labels.provenance import DEMO_TRUTH
from facestats_pipeline.core.labels.vocabulary import age_bin_of
from facestats_pipeline.core.progress import track

__all__ = ["FaceLatents", "draw_face", "generate_demo", "sample_latents"]

UNTIDY_FROM = 50
"""From this many photos on, the folder also holds `DUPLICATES` and `BROKEN`."""
DUPLICATES = ("backup/copy_1.jpg", "backup/copy_2.jpg")
"""Byte-for-byte copies of the first two upright JPEG files."""
BROKEN = ("backup/truncated.jpg", "backup/notes.jpg")
"""A JPEG cut off in the middle, and a text file with the name of a photo."""
"""In the labels folder: the returned table. It also marks the folder as the demo's, so that it may be written again."""

_SHAPES = ((360, 450), (360, 450), (384, 480), (320, 480), (400, 400), (512, 384))
_RATERS = tuple("ABCDEF")
# EXIF orientation → how the stored pixels must be turned so that a viewer who obeys the tag sees them upright.
_TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def generate_demo(n: int, raw_dir: Path, labels_dir: Path, *, seed: int = 0, workers: int = 2) -> pl.DataFrame:
    """Write `n` photos of distinct faces under `raw_dir`, and `labels.csv`, `ratings.csv` and `demo_truth.csv` in `labels_dir`.

    Face i depends on (seed, i) only: the same call writes the same bytes, and a larger `n` adds faces to those of a smaller one.
    `labels.csv` (file, age, gender, race, age_years; FairFace's words) covers about 85% of the photos; `ratings.csv` (file, rating,
    rater; whole numbers 1–5) about 70%, each seen by at least three of six raters, who have biases and make errors. From
    `UNTIDY_FROM` photos on, `DUPLICATES` and `BROKEN` are written beside the n good photos and appear in no table.

    Returns the truth, one row per good photo: file (relative to `raw_dir`), age_bin, appeal (true rating, 1–5), every field of
    `FaceLatents`, width, height (upright), format, orientation (EXIF), labelled, rated.
    Raises FileExistsError where `labels_dir` holds labels or ratings that are not the demo's.
    """
    raw_dir, labels_dir = Path(raw_dir), Path(labels_dir)
    if not (labels_dir / DEMO_TRUTH).exists():
        for name in ("labels.csv", "ratings.csv"):
            if (labels_dir / name).exists():
                raise FileExistsError(f"{labels_dir / name} is not the demo's: choose another folder for the demo")
    labels_dir.mkdir(parents=True, exist_ok=True)
    tiles()  # made once, before the threads ask for it
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
        step = workers * 4  # so that a large demo is never held in memory
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
        "age_bin": age_bin_of(face.age),
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
    """Raters see the true appeal through a bias, a habit of using more or less of the scale, and noise."""
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
