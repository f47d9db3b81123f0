"""Embeds photos in parallel, with a bounded number of batches in memory."""

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from facestats_pipeline.core.encoders.encoder_input import Photo
from facestats_pipeline.core.images.decoding import ImageProblem
from facestats_pipeline.core.in_order import in_order
from facestats_pipeline.core.ingest.identity import decode_filename, encode_filename
from facestats_pipeline.core.ingest.photo_source import scan_folder
from facestats_pipeline.core.phases import Phases, current
from facestats_pipeline.core.progress import report
from facestats_pipeline.core.single_thread import torch_threads

if TYPE_CHECKING:
    from facestats_pipeline.core.encoders.encoder import Encoder

logger = logging.getLogger(__name__)

AHEAD = 2
"""Batches for a GPU that are decoded ahead of the one in the forward pass."""
MOST_LANES = 8
"""Limit of batches in memory on a CPU. With more cores, each lane gets several threads."""

Rows = npt.NDArray[np.float32]


def run_embedding(
    photos: Sequence[Photo],
    encoder: "Encoder",
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool | None = None,
) -> Rows:
    """(n, dim) float32 embeddings of unit norm, in the order of `photos`. The row of an unreadable photo is NaN.

    `workers`: on a CPU, the number of batches processed at once, each by its own thread from file to embedding (default: torch's number of
    threads, at most MOST_LANES); for a GPU, the number of decoding threads. `exact`: decode JPEGs at full scale, which reproduces
    open_clip's result to 2e-4. Otherwise a JPEG may be decoded at 1/8 to 4/8 of its scale, but no smaller than the encoder's input.
    The default is exact in fp32 only, since in bf16 rounding in the forward pass is the larger error (ViT-B/32 at 224 px from 96 512²
    photos: cosine ≥ 0.99998, at most 1.4% of the median distance between two photos).

    Raises ValueError when `batch_size` or `workers` is below 1.
    """
    size = batch_size or encoder.batch_size
    if size < 1 or (workers is not None and workers < 1):
        raise ValueError(f"batch_size is {batch_size} and workers is {workers}; both must be at least 1")
    reduced = not (encoder.precision == "fp32" if exact is None else exact)
    out = np.full((len(photos), encoder.dim), np.nan, dtype=np.float32)
    done = 0
    report("Embedding", done, len(photos))
    batches = _in_lanes if encoder.device == "cpu" else _decoded_ahead
    for rows in batches(photos, encoder, size, workers, reduced, current()):
        out[done : done + len(rows)] = rows
        done += len(rows)
        report("Embedding", done, len(photos))
    if unreadable := int(np.isnan(out[:, 0]).sum()):
        logger.warning("%d of %d photos could not be read and have no embedding.", unreadable, len(photos))
    return out


def _in_lanes(
    photos: Sequence[Photo], encoder: "Encoder", size: int, workers: int | None, reduced: bool, phases: Phases
) -> Iterator[Rows]:
    """Yield the embeddings of each batch, in order. Each lane decodes and encodes its own batches on its share of torch's threads.

    Cores that work on different photos never wait for each other. Threads that share a forward pass wait at every layer, and decoding
    takes one of them away. `bench_embedding` compares both.
    """
    threads = torch.get_num_threads()
    lanes = max(1, min(workers or threads, MOST_LANES, -(-len(photos) // size)))

    def embed_batch(start: int) -> Rows:
        pixels = encoder.input.empty(len(photos[start : start + size]))
        readable = _fill(photos[start : start + size], pixels, 0, 1, encoder, reduced, phases)
        return _encoded(pixels, readable, encoder, phases)

    with torch_threads(max(1, threads // lanes)) as limit:
        yield from in_order(embed_batch, range(0, len(photos), size), lanes, name="facestats-embed", begin=limit)


def _decoded_ahead(
    photos: Sequence[Photo], encoder: "Encoder", size: int, workers: int | None, reduced: bool, phases: Phases
) -> Iterator[Rows]:
    """Yield the embeddings of each batch, in order. Threads decode the next batches into page-locked memory while the device computes."""
    workers = workers or min(16, torch.get_num_threads())
    waiting: deque[tuple[torch.Tensor, list[Future[npt.NDArray[np.bool_]]]]] = deque()
    starts = iter(range(0, len(photos), size))

    def submit(pool: ThreadPoolExecutor) -> None:
        if (start := next(starts, None)) is None:
            return
        some = photos[start : start + size]
        pixels = encoder.input.empty(len(some), pinned=encoder.device.startswith("cuda"))
        jobs = [pool.submit(_fill, some, pixels, i, workers, encoder, reduced, phases) for i in range(workers)]
        waiting.append((pixels, jobs))

    with torch_threads(1) as limit, _pool(workers, limit) as pool:
        for _ in range(AHEAD):
            submit(pool)
        while waiting:
            pixels, jobs = waiting.popleft()
            readable = np.logical_or.reduce([job.result() for job in jobs])
            submit(pool)  # before the forward pass, so that the threads decode during it
            yield _encoded(pixels, readable, encoder, phases)


@contextmanager
def _pool(workers: int, initializer: Callable[[], None]) -> Iterator[ThreadPoolExecutor]:
    """A thread pool for a block. At its end, also after an error, queued jobs are cancelled and the threads end."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="facestats-embed", initializer=initializer)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _encoded(pixels: torch.Tensor, readable: npt.NDArray[np.bool_], encoder: "Encoder", phases: Phases) -> Rows:
    """(n, dim) embeddings of a batch; rows of unreadable photos are NaN."""
    out = np.full((len(pixels), encoder.dim), np.nan, dtype=np.float32)
    rows = np.flatnonzero(readable)
    if len(rows):
        with phases.timing("compute"):
            chosen = pixels if len(rows) == len(readable) else pixels[torch.from_numpy(rows)]
            out[rows] = encoder.encode_pixels(chosen)
    return out


def _fill(
    photos: Sequence[Photo],
    pixels: torch.Tensor,
    first: int,
    step: int,
    encoder: "Encoder",
    reduced: bool,
    phases: Phases,
) -> npt.NDArray[np.bool_]:
    """Decode every `step`-th photo from `first` on into its place in `pixels`. Returns (n,) bool: which of them were readable."""
    places, readable = pixels.numpy(), np.zeros(len(photos), dtype=np.bool_)
    for i in range(first, len(photos), step):
        phases.count()
        try:
            with phases.timing("read"):
                photo = photos[i]
                data = photo.read_bytes() if isinstance(photo, Path) else photo
            with phases.timing("decode"):
                places[i] = encoder.input.read(data, reduced=reduced)
        except (OSError, ImageProblem):  # the row stays NaN; manifest and preproc already record the reason
            continue
        readable[i] = True
    return readable


def extract_embedding(image: Photo, encoder: "Encoder") -> npt.NDArray[np.float32]:
    """(dim,) float32 embedding of one photo, unit norm. Raises OSError or images.ImageProblem when it cannot be read."""
    pixels = encoder.input.read(image)
    vector: npt.NDArray[np.float32] = encoder.encode_pixels(torch.from_numpy(pixels[None].copy()))[0]
    return vector


def get_clip_embedding(path: Path | str, encoder: "Encoder") -> npt.NDArray[np.float32]:
    """(dim,) float32 embedding of one image file, unit norm. Raises like `extract_embedding`."""
    return extract_embedding(Path(path), encoder)


def extract_clip_embeddings(
    photos: Path | str | Iterable[Path | str],
    encoder: "Encoder",
    *,
    batch_size: int | None = None,
    workers: int | None = None,
) -> pl.DataFrame:
    """A frame of filename (str) and embedding (Array(f32, dim)); the embedding is null for a file that is no readable photo.

    `photos` is a folder (all files in and below it, sorted; filename is relative to it) or paths (filename is the path as given).
    """
    if isinstance(photos, str | Path):
        root = Path(photos)
        names = [file.filename for file in scan_folder(root, max_bytes=sys.maxsize)]
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
