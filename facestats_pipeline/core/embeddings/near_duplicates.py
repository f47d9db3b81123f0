"""Pairs of photos that show the same picture: equal or nearly equal perceptual hashes, or embeddings that almost coincide."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.embeddings.hash_pairs import hamming_pairs
from facestats_pipeline.core.embeddings.index import EmbeddingIndex, build_index
from facestats_pipeline.core.progress import track

NEAR_DUPLICATES_SCHEMA: dict[str, Any] = {
    "image_id": pl.String(),
    "other_id": pl.String(),
    "cosine": pl.Float32(),
    "hamming": pl.Int32(),
    "kind": pl.String(),
}

CHUNK = 4_096


def near_duplicates(
    photos: pl.DataFrame | pl.LazyFrame,
    *,
    min_cosine: float = 0.96,
    max_hamming: int = 6,
    use_embedding: bool,
    index: EmbeddingIndex | None = None,
    neighbours: int = 10,
) -> pl.DataFrame:
    """Pairs of `photos` (image_id, phash: 16 hex digits or null, embedding unless `index` is given or unused).

    Columns image_id < other_id, cosine f32, hamming i32, kind: `phash` (at most `max_hamming` of 64 bits differ), `embedding`
    (cosine at least `min_cosine`, among each photo's `neighbours` nearest in the index), or `both`. Each pair once, sorted.
    cosine and hamming are null where they are not known: an untrained encoder's cosines mean nothing (all of them are high), so
    with one `use_embedding` must be False and no cosine is given. `index` saves building one, and the memory of the embeddings.

    Raises ValueError for a repeated image_id, a malformed phash, or `use_embedding` without embeddings.
    """
    wanted = ["image_id", "phash"] + (["embedding"] if use_embedding and index is None else [])
    columns = photos.collect_schema().names()
    if missing := [column for column in wanted if column not in columns]:
        raise ValueError(f"near_duplicates needs the column {missing[0]!r}; the table has {', '.join(columns)}")
    frame = photos.lazy().select(wanted).sort("image_id").collect()
    ids = frame["image_id"].to_list()
    if frame["image_id"].n_unique() != len(ids):
        raise ValueError("near_duplicates needs each image_id once")
    hashes, hashed = _hashes(frame["phash"])
    rows = np.flatnonzero(hashed)
    by_hash = rows[hamming_pairs(hashes[rows], max_hamming)]

    by_embedding = np.empty((0, 2), dtype=np.int64)
    if use_embedding:
        if index is None:
            index = _index_of(frame)
        by_embedding = _close_pairs(ids, index, min_cosine, neighbours)
    pairs = np.unique(
        np.concatenate([by_hash, by_embedding]), axis=0
    )  # rows are sorted by id, so row order is id order

    distance = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).astype(np.int32)
    known = hashed[pairs[:, 0]] & hashed[pairs[:, 1]]
    cosine = (
        _cosines(ids, pairs, index) if use_embedding and index is not None else np.full(len(pairs), np.nan, np.float32)
    )
    n = len(ids)
    in_hash = np.isin(pairs @ np.array([n, 1]), by_hash @ np.array([n, 1]))
    in_embedding = np.isin(pairs @ np.array([n, 1]), by_embedding @ np.array([n, 1]))
    names = frame["image_id"]
    return pl.DataFrame(
        {
            "image_id": names.gather(pairs[:, 0]),
            "other_id": names.gather(pairs[:, 1]),
            "cosine": pl.Series(cosine, dtype=pl.Float32).fill_nan(None),
            "hamming": pl.select(pl.when(pl.Series(known)).then(pl.Series(distance))).to_series(),
            "kind": np.where(in_hash & in_embedding, "both", np.where(in_hash, "phash", "embedding")),
        },
        schema=NEAR_DUPLICATES_SCHEMA,
    )


def _hashes(column: pl.Series) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Hex digits as numbers, 0 where null; and where they are not null."""
    bad = column.filter(~column.str.contains("^[0-9a-fA-F]{16}$").fill_null(True))
    if len(bad):
        raise ValueError(f"phash {bad[0]!r} is not 16 hexadecimal digits")
    raw = bytes.fromhex("".join(column.fill_null("0" * 16).to_list()))
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64), column.is_not_null().to_numpy()


def _index_of(frame: pl.DataFrame) -> EmbeddingIndex:
    present = frame.filter(pl.col("embedding").is_not_null())
    dtype = frame.schema["embedding"]
    dim = dtype.size if isinstance(dtype, pl.Array) else None
    chunks = (present.slice(start, CHUNK) for start in range(0, present.height, CHUNK))
    return build_index(((chunk["image_id"].to_list(), chunk["embedding"].to_numpy()) for chunk in chunks), dim=dim)


def _close_pairs(ids: list[str], index: EmbeddingIndex, min_cosine: float, k: int) -> npt.NDArray[np.int64]:
    """(m, 2) rows of `ids`, smaller first, whose vectors have at least this cosine, among the `k` nearest of either."""
    row_of = {id_: row for row, id_ in enumerate(ids) if id_ in index}
    indexed = list(row_of)
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in track(range(0, len(indexed), CHUNK), "Near-duplicates"):
        some = indexed[start : start + CHUNK]
        near, cosines = index.neighbours(index.vectors(some), k + 1)  # each photo is its own nearest
        at, place = np.nonzero((near >= 0) & (cosines >= min_cosine))
        left = np.array([row_of[id_] for id_ in some], dtype=np.int64)[at]
        # An id of the index that is not among these photos (removed since) makes no pair.
        right = np.array([row_of.get(index.id_of(int(row)), -1) for row in near[at, place]], dtype=np.int64)
        pairs = np.stack([np.minimum(left, right), np.maximum(left, right)], axis=1)
        found.append(pairs[(right >= 0) & (left != right)])
    return np.unique(np.concatenate(found), axis=0)


def _cosines(ids: list[str], pairs: npt.NDArray[np.int64], index: EmbeddingIndex) -> npt.NDArray[np.float32]:
    """Cosine of each pair from the index's vectors; NaN where one has none."""
    cosine = np.full(len(pairs), np.nan, dtype=np.float32)
    known = np.flatnonzero([ids[a] in index and ids[b] in index for a, b in pairs])
    for start in range(0, len(known), CHUNK):
        some = known[start : start + CHUNK]
        left, right = (index.vectors([ids[row] for row in pairs[some, side]]) for side in (0, 1))
        norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        cosine[some] = np.einsum("ij,ij->i", left, right) / norms
    return cosine
