"""Training photos as FairFace's part files hold them, made of noise: the red says the gender."""

import io
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from facestats_pipeline_tests.classes import AGE_BINS, ETHNICITIES, GENDERS


def write_parts(folder: Path, n: int, *, parts: int = 2, seed: int = 0) -> list[Path]:
    """`n` photos of 128 × 128 in so many Parquet files; every class occurs when n is large enough."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        gender = i % 2
        pixels = rng.integers(0, 60, (128, 128, 3), dtype=np.uint8)
        pixels[..., 0] += np.uint8(150 * gender)
        jpeg = io.BytesIO()
        Image.fromarray(pixels).save(jpeg, "JPEG")
        rows.append((f"train/{i}.jpg", AGE_BINS[i % 9], GENDERS[gender], ETHNICITIES[i % 7], jpeg.getvalue()))
    frame = pl.DataFrame(rows, schema=["file", "age", "gender", "race", "jpeg"], orient="row")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number in range(parts):
        written.append(folder / f"part-{number}.parquet")
        frame[number::parts].write_parquet(written[-1])
    return written
