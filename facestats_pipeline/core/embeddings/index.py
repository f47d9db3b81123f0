"""The search index over embeddings: approximate nearest neighbours by cosine, with usearch (HNSW, Malkov & Yashunin 2018)."""

import io
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl
from usearch.index import Index

from facestats_pipeline.core.progress import track

Matrix = npt.NDArray[np.float32]

# Recall@10 against exact search and adds/s for 20,000 clustered 512-d vectors on 2 cores: f32 .998, 3,853 · f16 .998, 8,590 at half the
# memory · bf16 .995, 11,349 · i8 .942. usearch's bf16 gave distances of up to 0.4 between a vector and itself; f16 none above 1e-6.
DTYPE = "f16"
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 128, 64

MARKS = 20
"""Number of named states that an index remembers."""

_MAGIC = b"FSINDEX3"
_FOOTER = struct.Struct("<QQI8s")  # bytes of the graph, bytes of the id table, CRC-32 of both, magic
_CHUNK = 1 << 24


class IndexUnreadable(Exception):
    """The file is not an index, or is truncated or damaged. The message names it; the remedy is to rebuild it from the embeddings."""


class EmbeddingIndex:
    """An index of unit vectors by id, made by `build_index` or `load_index`. Ids are unique; adding a known id replaces its vector."""

    def __init__(
        self, graph: Index, ids: list[str | None], model_id: str = "", marks: Mapping[str, int] | None = None
    ) -> None:
        self._graph = graph
        self._ids = ids  # row number (the graph's key) → id; None for a removed row
        self._rows = {id_: row for row, id_ in enumerate(ids) if id_ is not None}
        self.model_id = model_id
        self.marks = dict(marks or {})
        """Name of a state → number of rows at that time. Rows with that number or a higher one are newer."""

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._rows

    @property
    def dim(self) -> int:
        return int(self._graph.ndim)

    @property
    def expansion(self) -> int:
        """The number of candidates that a search keeps: more give a better recall and take longer."""
        return int(self._graph.expansion_search)

    @expansion.setter
    def expansion(self, candidates: int) -> None:
        self._graph.expansion_search = candidates  # type: ignore[misc]  # the stubs lack its setter

    @property
    def ids(self) -> list[str]:
        """Ids of the stored vectors, in the order of their addition."""
        return list(self._rows)

    def add(self, ids: Sequence[str], vectors: npt.ArrayLike, *, threads: int = 0) -> int:
        """Add (n, dim) vectors; returns the number added. Zero and non-finite vectors have no direction and are skipped.

        Raises ValueError when the shape does not fit the ids and the index.
        """
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
        if matrix.ndim != 2 or matrix.shape != (len(ids), self.dim):
            raise ValueError(
                f"{len(ids)} ids came with vectors of shape {matrix.shape}; the index has width {self.dim}"
            )
        usable = np.isfinite(matrix).all(axis=1) & (np.abs(matrix).max(axis=1, initial=0) > 0)
        chosen = {ids[i]: i for i in np.flatnonzero(usable).tolist()}  # the last of equal ids wins
        self.remove(
            [id_ for id_ in chosen if id_ in self._rows]
        )  # the old vector has another row number and would be found as well
        first = len(self._ids)
        self._ids.extend(chosen)
        self._rows.update(zip(chosen, range(first, first + len(chosen)), strict=True))
        if chosen:
            keys = np.arange(first, first + len(chosen), dtype=np.uint64)
            self._graph.add(keys, matrix[list(chosen.values())], threads=threads)
        return len(chosen)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove ids; returns the number removed, unknown ids are ignored. Later additions reuse their slots in the graph."""
        rows = [self._rows.pop(id_) for id_ in ids if id_ in self._rows]
        for row in rows:
            self._ids[row] = None
        if rows:
            self._graph.remove(np.array(rows, dtype=np.uint64))
        return len(rows)

    def mark(self, name: str) -> None:
        """Remember the current number of rows under a name. The last `MARKS` names are kept."""
        self.marks.pop(name, None)
        self.marks = dict([*self.marks.items(), (name, len(self._ids))][-MARKS:])

    def rows(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """(n,) int64 row number of each id, as in `neighbours`; -1 for an unknown id. Later additions have greater numbers."""
        return np.fromiter((self._rows.get(id_, -1) for id_ in ids), dtype=np.int64, count=len(ids))

    @property
    def size(self) -> int:
        """One more than the greatest row number ever assigned, removed rows included."""
        return len(self._ids)

    def vectors(self, ids: Sequence[str]) -> Matrix:
        """(n, dim) float32 as stored: rounded to float16, so the norm is 1 to within 1e-3. Raises KeyError for an unknown id."""
        keys = np.array([self._rows[id_] for id_ in ids], dtype=np.uint64)
        if not len(keys):
            return np.empty((0, self.dim), dtype=np.float32)
        return np.asarray(self._graph.get(keys, dtype="f32"), dtype=np.float32).reshape(len(keys), self.dim)

    def search(self, vectors: npt.ArrayLike, k: int = 10, *, threads: int = 0) -> list[list[tuple[str, float]]]:
        """For each vector, its `k` nearest (id, cosine), nearest first; fewer when the index holds fewer. Approximate: see `recall`.

        Raises ValueError for vectors of another width.
        """
        matrix = np.ascontiguousarray(np.atleast_2d(np.asarray(vectors, dtype=np.float32)))
        if matrix.shape[1] != self.dim:
            raise ValueError(f"the vectors have width {matrix.shape[1]}; the index has {self.dim}")
        rows, cosines = self.neighbours(matrix, k, threads=threads)
        return [
            [(str(self._ids[row]), float(cosine)) for row, cosine in zip(some, near, strict=True) if row >= 0]
            for some, near in zip(rows, cosines, strict=True)
        ]

    def neighbours(
        self, matrix: Matrix, k: int, *, threads: int = 0
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """(n, k) row numbers (-1 for none) and cosines (NaN for none), nearest first. `id_of` maps a row number to its id."""
        rows = np.full((len(matrix), k), -1, dtype=np.int64)
        cosines = np.full((len(matrix), k), np.nan, dtype=np.float32)
        if len(matrix) and len(self):
            matches: Any = self._graph.search(matrix, min(k, len(self)), threads=threads)
            keys, distances = np.atleast_2d(matches.keys), np.atleast_2d(matches.distances)
            counts = np.asarray(
                getattr(matches, "counts", [keys.shape[1]])
            )  # usearch returns no counts for a single query
            valid = np.arange(keys.shape[1])[None, :] < counts[:, None]
            rows[:, : keys.shape[1]] = np.where(valid, keys.astype(np.int64), -1)
            cosines[:, : keys.shape[1]] = np.where(valid, 1.0 - distances, np.nan)
        return rows, cosines

    def id_of(self, row: int) -> str:
        """The id of a row number from `neighbours`. Raises KeyError for a removed row."""
        id_ = self._ids[row]
        if id_ is None:
            raise KeyError(f"row {row} was removed")
        return id_

    def recall(self, queries: Matrix, k: int = 10) -> float:
        """Recall@k of `search` over `queries` (n, dim), against an exact search through all stored vectors, in chunks."""
        ids = self.ids
        k = min(k, len(ids))
        best = np.full((len(queries), k), -np.inf, dtype=np.float32)
        names = np.full((len(queries), k), -1, dtype=np.int64)
        for start in track(range(0, len(ids), 50_000), "Exact search"):
            some = ids[start : start + 50_000]
            scores = np.hstack([best, queries @ self.vectors(some).T])
            rows = np.hstack([names, np.broadcast_to([self._rows[id_] for id_ in some], (len(queries), len(some)))])
            order = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            best, names = np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
        found, _ = self.neighbours(queries, k)
        return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(found.tolist(), names.tolist(), strict=True)]))

    def save(self, path: Path) -> None:
        """Write one file atomically: usearch's graph, the id table (Parquet), then a footer with lengths and checksum."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".index-") as folder:
            temporary = Path(folder) / path.name
            self._graph.save(str(temporary))
            table = io.BytesIO()
            pl.DataFrame({"id": pl.Series(self._ids, dtype=pl.String())}).write_parquet(
                table, metadata={"model_id": self.model_id, "marks": json.dumps(self.marks)}
            )
            graph_bytes = temporary.stat().st_size
            with temporary.open("ab+") as file:
                file.write(table.getbuffer())
                file.seek(0)
                file.write(_FOOTER.pack(graph_bytes, table.getbuffer().nbytes, _checksum(file), _MAGIC))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)  # atomic: readers see the old file or the new one, never a part


def _checksum(file: BinaryIO, size: int | None = None) -> int:
    """CRC-32 of the next `size` bytes of `file` (None: all), about 1 s per GB. Without it, usearch would crash on a damaged graph."""
    checksum, left = 0, size
    while chunk := file.read(_CHUNK if left is None else min(_CHUNK, left)):
        checksum = zlib.crc32(chunk, checksum)
        left = None if left is None else left - len(chunk)
    return checksum


def empty_index(dim: int, model_id: str = "") -> EmbeddingIndex:
    """An index without vectors."""
    graph = Index(
        ndim=dim,
        metric="cos",
        dtype=DTYPE,
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSION_SEARCH,
    )
    return EmbeddingIndex(graph, [], model_id)


def build_index(
    batches: Iterable[tuple[Sequence[str], npt.ArrayLike]],
    *,
    dim: int | None = None,
    model_id: str = "",
    threads: int = 0,
    earlier: EmbeddingIndex | None = None,
) -> EmbeddingIndex:
    """Index batches of (ids, (n, dim) matrix), one in memory at a time. `dim` is needed only when there may be no batch.

    `earlier`: an index to extend with the ids that it lacks; vectors that it has are assumed unchanged. A million 512-d vectors take
    about 1.3 GB. Raises ValueError when batches differ in width, or without a batch and without `dim`.
    """
    index = earlier
    if index is None and dim is not None:
        index = empty_index(dim, model_id)
    for ids, vectors in track(batches, "Indexing"):
        matrix = np.asarray(vectors, dtype=np.float32)
        if index is None:
            index = empty_index(matrix.shape[1], model_id)
        new = np.flatnonzero(index.rows(ids) < 0).tolist()
        index.add([ids[row] for row in new], matrix[new], threads=threads)
    if index is None:
        raise ValueError("there are no embeddings to index; give dim to make an empty index")
    return index


def load_index(path: Path, *, view: bool = False) -> EmbeddingIndex:
    """Load an index written by `save`. `view` memory-maps the file, read-only: less memory, slower first searches.

    Raises IndexUnreadable.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _FOOTER.size))
            footer = file.read()
            lengths = _FOOTER.unpack(footer) if len(footer) == _FOOTER.size else (0, 0, 0, b"")
            graph_bytes, table_bytes, checksum, magic = lengths
            if magic != _MAGIC or graph_bytes + table_bytes + _FOOTER.size != size:
                raise IndexUnreadable(f"{path}: not an embedding index, or cut off; make it again from the embeddings")
            file.seek(0)
            if _checksum(file, graph_bytes + table_bytes) != checksum:
                raise IndexUnreadable(f"{path}: damaged; make it again from the embeddings")
            file.seek(graph_bytes)
            stored = io.BytesIO(file.read(table_bytes))
            table, notes = pl.read_parquet(stored), pl.read_parquet_metadata(stored)
        graph = Index.restore(str(path), view=view)
    except (OSError, RuntimeError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise IndexUnreadable(
            f"{path}: cannot be read as an index ({error}); make it again from the embeddings"
        ) from error
    if graph is None:
        raise IndexUnreadable(f"{path}: usearch does not know its format; make it again from the embeddings")
    return EmbeddingIndex(graph, table["id"].to_list(), notes["model_id"], json.loads(notes["marks"]))
