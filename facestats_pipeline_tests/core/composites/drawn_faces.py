"""Faces of five discs each, their landmarks and their rows of the master table."""

import cv2
import numpy as np
import polars as pl
from PIL import Image

FIVE = np.array([[24, 24], [40, 24], [32, 34], [26, 44], [38, 44]], dtype=np.float64)


def drawn(points: np.ndarray, size: int = 64) -> Image.Image:
    """Five discs of radius 3 at `points` on grey."""
    big = np.full((size * 8, size * 8, 3), 200, np.uint8)
    for x, y in points:
        cv2.circle(big, (round((x + 0.5) * 8), round((y + 0.5) * 8)), 24, (20, 40, 60), -1)
    return Image.fromarray(cv2.resize(big, (size, size), interpolation=cv2.INTER_AREA))


def scattered(n: int, seed: int = 0) -> np.ndarray:
    """`n` copies of the five points, shifted, turned and scaled: (n, 5, 2)."""
    rng = np.random.default_rng(seed)
    factor = rng.uniform(0.8, 1.2, n) * np.exp(1j * rng.uniform(-0.25, 0.25, n))
    shift = rng.uniform(-6, 6, n) + 1j * rng.uniform(-6, 6, n)
    shape = FIVE[:, 0] + 1j * FIVE[:, 1] - (32 + 34j)
    moved = factor[:, None] * shape + shift[:, None] + (32 + 34j)
    return np.stack([moved.real, moved.imag], -1)


def make_master(n: int = 40, **columns: object) -> pl.DataFrame:
    base = {
        "image_id": [f"id{i:03}" for i in range(n)],
        "filename": [f"{i}.jpg" for i in range(n)],
        "preproc_status": ["ok"] * n,
        "reasons": pl.Series([[] for _ in range(n)], dtype=pl.List(pl.String)),
        "gender_final": ["Female", "Male"] * (n // 2),
        "ethnicity_final": ["White"] * n,
        "age_bin_final": ["20-29"] * n,
        "age": pl.Series([25.0] * n, dtype=pl.Float32),
        "attractiveness": pl.Series([i % 10 + 1 for i in range(n)], dtype=pl.Int8),
    }
    return pl.DataFrame(base | columns)


def landmark_table(master: pl.DataFrame, points: np.ndarray) -> pl.DataFrame:
    rows = points.reshape(len(points), 10).astype(np.float32)
    return master.select("image_id").with_columns(landmarks=pl.Series(rows.tolist(), dtype=pl.Array(pl.Float32, 10)))
