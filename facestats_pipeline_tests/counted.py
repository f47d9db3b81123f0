"""Small photos in any number, and how often a photo is decoded or encoded, by the module that asked for it."""

import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from facestats_pipeline.core.encoders.encoder import Encoder
from facestats_pipeline.core.images import decoding as images
from facestats_pipeline.core.preproc import quality

PER_PHOTO = (
    "decoded by manifest",
    "decoded by preprocessing",
    "decoded by quality",
    "decoded by encoder_input",
    "encoded",
)
"""The work on each photo. Composites and eigenfaces read a photo when it joins or leaves one of their groups. Contact sheets (60 photos of
the collection and of each shard that changed) and pictures of clusters are drawn again whenever the collection changes."""


def write_small_photos(folder: Path, first: int, n: int, side: int = 48) -> None:
    """`n` JPEGs of side × side px, each with other content; photo i depends on i only."""
    folder.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 1, side)
    for i in range(first, first + n):
        rng = np.random.default_rng(i)
        angle, frequency = rng.uniform(0, np.pi), rng.uniform(1, 8)
        wave = np.sin(frequency * (np.cos(angle) * ramp[:, None] + np.sin(angle) * ramp[None, :]) * 2 * np.pi)
        colour = rng.uniform(40, 200, 3)
        pixels = np.clip(colour + 50 * wave[..., None] + rng.normal(0, 4, (side, side, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:06d}.jpg", quality=90)


def write_faces(folder: Path, first: int, n: int, faces: Path) -> None:
    """The photos from number `first` on in the column `jpeg` of a folder of Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pl.scan_parquet(faces / "*.parquet").select("jpeg").slice(first, n).collect()
    if table.height < n:
        raise ValueError(f"{faces}: has no {first + n} photos")
    for number, data in enumerate(table["jpeg"], start=first):
        (folder / f"{number:06d}.jpg").write_bytes(data)


def files_of_shards(data: Path, shards: Collection[str]) -> dict[str, tuple[int, int]]:
    """Every file of these shards below `processed/`, tables and pictures: when it was written, and its inode."""
    processed = data / "processed"
    return {
        path.relative_to(processed).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in processed.rglob("*")
        if path.is_file() and (path.stem in shards or path.parent.name in shards)
    }


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Counts while the block runs: `decoded by <module>` and `encoded`, in photos."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def add(what: str, n: int = 1) -> None:
        with lock:
            counts[what] += n

    def load(*args: Any) -> Any:
        add(f"decoded by {_asking()}")
        return before_load(*args)

    def load_turbo(*args: Any) -> Any:
        loaded = before_turbo(*args)
        if loaded is not None:  # else the photo goes to `_load`
            add(f"decoded by {_asking()}")
        return loaded

    def luma(*args: Any) -> Any:
        add("decoded by quality")
        return before_luma(*args)

    def encode(self: Encoder, pixels: Any) -> Any:
        add("encoded", len(pixels))
        return before_encode(self, pixels)

    before_load, before_turbo = images._load, images._load_turbo
    before_luma, before_encode = quality.luma_of, Encoder.encode_pixels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_load", load)
        patch.setattr(images, "_load_turbo", load_turbo)
        patch.setattr(quality, "luma_of", luma)
        patch.setattr(Encoder, "encode_pixels", encode)
        yield counts


def _asking() -> str:
    """The module outside `images` that asked for a photo."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("facestats_pipeline.") and name != images.__name__:
            return str(name.rpartition(".")[2])
        frame = frame.f_back
    return "?"
