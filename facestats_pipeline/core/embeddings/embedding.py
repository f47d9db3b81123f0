"""Photos → embeddings: threads decode and resize ahead of the forward pass, a bounded number of batches ahead."""

import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from facestats_pipeline.core.embeddings.encoder_input import Photo
from facestats_pipeline.core.images.images import ImageProblem
from facestats_pipeline.core.ingest.identity import decode_filename, encode_filename
from facestats_pipeline.core.ingest.inventory import scan_folder
from facestats_pipeline.core.progress import report

if TYPE_CHECKING:
    from facestats_pipeline.core.embeddings.encoders import Encoder

logger = logging.getLogger(__name__)

AHEAD = 2
"""Batches decoded or being decoded beyond the one in the forward pass: bounds memory at three batches of uint8 pixels."""


@dataclass
class EmbeddingTimes:
    """Seconds that `run_embedding` spent: `decode` is summed over threads, `wait` and `compute` are of the calling thread."""

    decode: float = 0.0
    wait: float = 0.0
    compute: float = 0.0


def run_embedding(
    photos: Sequence[Photo],
    encoder: "Encoder",
    *,
    batch_size: int | None = None,
    workers: int = 2,
    exact: bool | None = None,
    times: EmbeddingTimes | None = None,
) -> npt.NDArray[np.float32]:
    """(n, dim) float32 embeddings of unit norm, in the order of `photos`; the row of a photo that cannot be read is NaN.

    `exact` decodes every pixel, so that the result is open_clip's own to 1e-4; without it a JPEG may be decoded at the smallest of
    1, 1/2, 1/4, 1/8 scale that is no smaller than the encoder's input. The default is exact in fp32 only: in bf16 the rounding of
    the forward pass is the larger difference (ViT-B/32 at 224 px from 96 512² photos: cosine ≥ 0.99998, at most 1.4% of the median
    distance between two photos), and decoding takes half the time (1.1 ms for 2.2). `times` is added to when given.
    """
    size = batch_size or encoder.batch_size
    if size < 1 or workers < 1:
        raise ValueError(f"batch_size is {batch_size} and workers is {workers}; both must be at least 1")
    reduced = not (encoder.precision == "fp32" if exact is None else exact)
    times = times if times is not None else EmbeddingTimes()
    out = np.full((len(photos), encoder.dim), np.nan, dtype=np.float32)
    done = 0
    report("Embedding", done, len(photos))
    for pixels, readable in _batches(photos, encoder, size, workers, reduced, times):
        started = perf_counter()
        rows = np.flatnonzero(readable)
        if len(rows):
            chosen = pixels if len(rows) == len(readable) else pixels[torch.from_numpy(rows)]
            out[done + rows] = encoder.encode_pixels(chosen)
        times.compute += perf_counter() - started
        done += len(readable)
        report("Embedding", done, len(photos))
    if unreadable := int(np.isnan(out[:, 0]).sum()):
        logger.warning("%d of %d photos could not be read and have no embedding.", unreadable, len(photos))
    return out


def _batches(
    photos: Sequence[Photo], encoder: "Encoder", size: int, workers: int, reduced: bool, times: EmbeddingTimes
) -> Iterator[tuple[torch.Tensor, npt.NDArray[np.bool_]]]:
    """(pixels, readable) of each batch in turn, decoded by `workers` threads while the caller is busy with earlier ones."""
    waiting: deque[tuple[torch.Tensor, npt.NDArray[np.bool_], list[Future[float]]]] = deque()
    pinned = encoder.device.startswith("cuda")
    starts = iter(range(0, len(photos), size))

    def submit(pool: ThreadPoolExecutor) -> None:
        start = next(starts, None)
        if start is None:
            return
        some = photos[start : start + size]
        pixels, readable = encoder.input.empty(len(some), pinned=pinned), np.zeros(len(some), dtype=np.bool_)
        jobs = [pool.submit(_fill, some, pixels, readable, i, workers, encoder, reduced) for i in range(workers)]
        waiting.append((pixels, readable, jobs))

    pool = ThreadPoolExecutor(workers, thread_name_prefix="facestats-decode")
    try:
        for _ in range(AHEAD):
            submit(pool)
        while waiting:
            started = perf_counter()
            pixels, readable, jobs = waiting.popleft()
            times.decode += sum(job.result() for job in jobs)
            times.wait += perf_counter() - started
            submit(pool)
            yield pixels, readable
    finally:
        pool.shutdown(cancel_futures=True)


def _fill(
    photos: Sequence[Photo],
    pixels: torch.Tensor,
    readable: npt.NDArray[np.bool_],
    first: int,
    step: int,
    encoder: "Encoder",
    reduced: bool,
) -> float:
    """Decode every `step`-th photo from `first` on into its place; returns the seconds it took."""
    started = perf_counter()
    places = pixels.numpy()
    for i in range(first, len(photos), step):
        try:
            places[i] = encoder.input.read(photos[i], reduced=reduced)
        except (OSError, ImageProblem):  # the row stays NaN; which photos and why is known from ingest and preproc
            continue
        readable[i] = True
    return perf_counter() - started


def extract_embedding(image: Photo, encoder: "Encoder") -> npt.NDArray[np.float32]:
    """(dim,) unit-norm embedding of one photo. Raises OSError or images.ImageProblem when it cannot be read."""
    pixels = encoder.input.read(image)
    vector: npt.NDArray[np.float32] = encoder.encode_pixels(torch.from_numpy(pixels[None].copy()))[0]
    return vector


def get_clip_embedding(path: Path | str, encoder: "Encoder") -> npt.NDArray[np.float32]:
    """(dim,) unit-norm embedding of one image file. Raises like `extract_embedding`."""
    return extract_embedding(Path(path), encoder)


def extract_clip_embeddings(
    photos: Path | str | Iterable[Path | str],
    encoder: "Encoder",
    *,
    batch_size: int | None = None,
    workers: int = 2,
) -> pl.DataFrame:
    """filename: str, embedding: Array(f32, dim), null where the file is no readable photo.

    `photos` is a folder (every file in it and below, sorted; filename is relative to it) or paths (filename is the path as given).
    """
    if isinstance(photos, str | Path):
        root = Path(photos)
        names = [found.filename for found in scan_folder(root, max_bytes=sys.maxsize)]
        paths = [root / decode_filename(name) for name in names]
    else:
        paths = [Path(photo) for photo in photos]
        names = [encode_filename(str(path)) for path in paths]
    vectors = run_embedding(paths, encoder, batch_size=batch_size, workers=workers)
    readable = np.isfinite(vectors).all(axis=1)
    embedding = pl.Series("embedding", vectors, dtype=pl.Array(pl.Float32(), encoder.dim))
    frame = pl.DataFrame({"filename": pl.Series(names, dtype=pl.String()), "embedding": embedding})
    keep = pl.Series(readable, dtype=pl.Boolean)
    return frame.with_columns(embedding=pl.when(keep).then("embedding").otherwise(None))
