"""The search index at scale: `python -m facestats_pipeline_tests.benchmarks.bench_index [--vectors 1000000] [--expansions 64 128 256]`.

Built in chunks in a process of its own, whose peak memory is printed; then 1% more vectors are added to the saved file, and queries are
timed against exact search with numpy over the same vectors in float32, one by one and in a batch, on the same threads.

The vectors are made, not photos: 512-d, 5,000 people with photos by Zipf's law (exponent 0.8), a shared mean, and normal
spread between people and between photos of one whose variance falls as 1/i along axis i, in shares 60:40; unit norm. Their
intrinsic dimension (participation ratio) and mean cosine are printed, with `--like TABLE` also those of an embeddings table: the made
ones are the harder, 32 dimensions where 3,000 FairFace photos in FaceStats-Mini have 13. Queries are further photos of the same people.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.embeddings.index import EmbeddingIndex, build_index, load_index

DIM, PEOPLE, CHUNK = 512, 5_000, 50_000
Matrix = npt.NDArray[np.float32]


def photos(n: int, seed: int, dim: int = DIM, people: int = PEOPLE) -> Matrix:
    """(n, dim) unit vectors of photos of always the same people."""
    fixed, own = np.random.default_rng(0), np.random.default_rng(seed + 1)
    spread = (np.arange(1, dim + 1) ** -0.5).astype(np.float32)  # standard deviation: the variance falls as 1/i
    mean = fixed.standard_normal(dim, dtype=np.float32) * np.float32(0.12)
    centres = fixed.standard_normal((people, dim), dtype=np.float32) * spread * np.float32(0.6**0.5)
    weight = np.arange(1, people + 1) ** -0.8
    vectors = own.standard_normal((n, dim), dtype=np.float32)
    vectors *= spread * np.float32(0.4**0.5)
    vectors += centres[own.choice(people, n, p=weight / weight.sum())]
    vectors += mean
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def chunks(n: int, first: int = 0) -> Iterator[tuple[list[str], Matrix]]:
    """Batches of (ids, vectors) from row `first` to `first + n`."""
    for start in range(first, first + n, CHUNK):
        size = min(CHUNK, first + n - start)
        yield [f"{row:032x}" for row in range(start, start + size)], photos(size, start)


def peak_gb() -> float:
    """Peak resident memory of this process, GB (10⁹ bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def shape_of(vectors: Matrix) -> str:
    """Intrinsic dimension and mean cosine of a sample, in words."""
    variance = np.linalg.eigvalsh(np.cov(vectors.T))
    dimension = variance.sum() ** 2 / (variance**2).sum()
    mean = vectors.mean(axis=0)
    return f"intrinsic dimension {dimension:.0f}, mean cosine {mean @ mean:.2f}"


def build(path: Path, n: int) -> dict[str, float]:
    """Build and save; seconds and peak memory."""
    started = time.perf_counter()
    index = build_index(chunks(n), model_id="benchmark")
    seconds = time.perf_counter() - started
    index.save(path)
    return {"seconds": seconds, "peak_gb": peak_gb()}


def extend(path: Path, n: int, more: int) -> dict[str, float]:
    """Add `more` to the saved index; seconds to load, add and save, and the peak memory."""
    started = time.perf_counter()
    index = load_index(path)
    loaded = time.perf_counter()
    for ids, vectors in chunks(more, n):
        index.add(ids, vectors)
    added = time.perf_counter()
    index.save(path)
    seconds = {"load": loaded - started, "add": added - loaded, "save": time.perf_counter() - added}
    return {**seconds, "peak_gb": peak_gb()}


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def exact(queries: Matrix, vectors: Matrix, k: int) -> npt.NDArray[np.int64]:
    """(q, k) rows of the true nearest, nearest first."""
    scores = queries @ vectors.T
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def timed(rounds: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """Median seconds, and the result."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)), result


def query(index: EmbeddingIndex, vectors: Matrix, queries: Matrix, expansions: list[int], k: int = 10) -> None:
    """Print recall and the ratio of times for each expansion."""
    one_exact = timed(5, lambda: exact(queries[:1], vectors, k))[0]
    batch_exact, truth = timed(1, lambda: np.concatenate([exact(part, vectors, k) for part in np.split(queries, 10)]))
    print(
        f"exact numpy: {1e3 * one_exact:.1f} ms for one, {1e3 * batch_exact / len(queries):.2f} ms each in batches of 100"
    )
    print("| expansion | recall@10 | ms, one by one | × numpy | ms each, in a batch | × numpy in batches |")
    print("|--:|--:|--:|--:|--:|--:|")
    for expansion in expansions:
        index.expansion = expansion
        index.neighbours(queries, k)  # the pages of the graph are touched once, as the matrix's were
        ones = [timed(1, partial(index.neighbours, queries[row : row + 1], k))[0] for row in range(200)]
        single = float(np.median(ones))
        batch, (rows, _) = timed(3, lambda: index.neighbours(queries, k))
        recall = np.mean([len(set(a) & set(b)) / k for a, b in zip(rows.tolist(), truth.tolist(), strict=True)])
        each = batch / len(queries)
        print(
            f"| {expansion} | {recall:.3f} | {1e3 * single:.2f} | {one_exact / single:.0f} | {1e3 * each:.3f} "
            f"| {batch_exact / batch:.0f} |",
            flush=True,
        )


def build_and_extend(path: Path, n: int, more: int) -> None:
    """Build an index of `n` vectors, add `more` to the saved file; print both."""
    built = alone(build, path, n)
    print(
        f"{n:,} vectors built in {built['seconds']:.0f} s ({n / built['seconds']:.0f}/s), "
        f"peak {built['peak_gb']:.2f} GB, file {path.stat().st_size / 1e9:.2f} GB"
    )
    grown = alone(extend, path, n, more)
    print(
        f"{more:,} more: load {grown['load']:.1f} s, add {grown['add']:.1f} s ({more / grown['add']:.0f}/s), "
        f"save {grown['save']:.1f} s, peak {grown['peak_gb']:.2f} GB"
    )


def main() -> None:
    """Build, extend, query, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--expansions", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--like", type=Path, default=None)
    parser.add_argument(
        "--file", type=Path, default=None, help="keep the index here; one that is there is not built again"
    )
    options = parser.parse_args()
    n, more = options.vectors, options.vectors // 100
    print(f"made vectors: {shape_of(photos(20_000, 10**9))}")
    if options.like:
        import polars as pl

        table = pl.read_parquet(options.like).head(20_000)
        print(f"{options.like}: {shape_of(table['embedding'].to_numpy())}")
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "metadata" / "embeddings.index"
        if not path.exists():
            build_and_extend(path, n, more)
        index = load_index(path)
        vectors = np.concatenate([some for _, some in [*chunks(n), *chunks(more, n)]])
        query(index, vectors, photos(1_000, 10**9), options.expansions)


if __name__ == "__main__":
    main()
