"""Near-duplicates: pairs of photos with close perceptual hashes or almost equal embeddings."""

from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.embeddings.hash_pairs import hamming_pairs
from facestats_pipeline.core.embeddings.index import EmbeddingIndex, build_index
from facestats_pipeline.core.embeddings.near_duplicate_table import MAX_HAMMING, MIN_COSINE, NEAR_DUPLICATES
from facestats_pipeline.core.progress import track

Matrix = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.int64]

CHUNK = 4_096
_BLOCK = 1_024  # rows compared with all others at once: 82 MB at most
EXACT_UP_TO = 20_000
"""Number of embeddings up to which all pairs are compared exactly: 20,000 512-d vectors take some 4 s on two cores."""


def near_duplicates(
    photos: pl.DataFrame | pl.LazyFrame,
    *,
    min_cosine: float = MIN_COSINE,
    max_hamming: int = MAX_HAMMING,
    use_embedding: bool,
    index: EmbeddingIndex | None = None,
    neighbours: int = 10,
    earlier: pl.DataFrame | None = None,
    since: int = 0,
) -> pl.DataFrame:
    """The table of near-duplicates among `photos`: NEAR_DUPLICATES.schema, image_id < other_id, each pair once, sorted.

    photos: image_id, phash (16 hex digits or null), and embedding unless `index` is given or `use_embedding` is False.
    kind: `phash` (at most `max_hamming` of 64 bits differ), `embedding` (cosine at least `min_cosine`, among the `neighbours` nearest of
    either photo), or `both`. use_embedding: must be False for an untrained encoder, whose cosines are all high and mean nothing; the
    cosine is then null.
    index: an index of the embeddings; it saves loading them. earlier: the result for the same limits when the index had `since` rows. Only
    photos added since are then searched, and pairs of `earlier` are kept if both photos still exist. Hashes are always compared in full,
    which takes seconds. Memory grows with the number of photos and pairs, not quadratically.

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

    by_embedding, cosine_of = np.empty((0, 2), dtype=np.int64), _unknown
    if use_embedding:
        if index is None and frame["embedding"].count() <= EXACT_UP_TO:
            known, matrix = _matrix(frame)
            by_embedding = known[_exact_pairs(matrix, min_cosine, neighbours)]
            cosine_of = partial(_matrix_cosines, known, matrix)
        else:
            index = _index_of(frame) if index is None else index
            by_embedding = _close_pairs(ids, index, min_cosine, neighbours, since if earlier is not None else 0)
            if earlier is not None:
                by_embedding = np.concatenate([by_embedding, _still_there(frame, earlier)])
            cosine_of = partial(_index_cosines, ids, index)
    # The frame is sorted by id, so sorting by row is sorting by id.
    pairs = np.unique(np.concatenate([by_hash, by_embedding]), axis=0)

    distance = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).astype(np.int32)
    known = hashed[pairs[:, 0]] & hashed[pairs[:, 1]]
    n = len(ids)
    # A pair (i, j) as the single number i·n + j: `isin` compares numbers, not rows.
    in_hash = np.isin(pairs @ np.array([n, 1]), by_hash @ np.array([n, 1]))
    in_embedding = np.isin(pairs @ np.array([n, 1]), by_embedding @ np.array([n, 1]))
    names = frame["image_id"]
    return pl.DataFrame(
        {
            "image_id": names.gather(pairs[:, 0]),
            "other_id": names.gather(pairs[:, 1]),
            "cosine": pl.Series(cosine_of(pairs), dtype=pl.Float32).fill_nan(None),
            "hamming": pl.select(pl.when(pl.Series(known)).then(pl.Series(distance))).to_series(),
            "kind": np.where(in_hash & in_embedding, "both", np.where(in_hash, "phash", "embedding")),
        },
        schema=NEAR_DUPLICATES.schema,
    )


def _hashes(column: pl.Series) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """(n,) uint64 hashes from hex digits, 0 for null; and (n,) bool: which are not null. Raises ValueError for other text."""
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


def _matrix(frame: pl.DataFrame) -> tuple[Pairs, Matrix]:
    """(rows of `frame` with a finite non-zero embedding, those embeddings with unit norm)."""
    present = frame.with_row_index("row").filter(pl.col("embedding").is_not_null())
    if present.is_empty():
        return np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32)
    vectors = present["embedding"].to_numpy().astype(np.float32, copy=False)
    norms = np.linalg.norm(vectors, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    return present["row"].to_numpy().astype(np.int64)[usable], vectors[usable] / norms[usable, None]


def _exact_pairs(matrix: Matrix, min_cosine: float, k: int) -> Pairs:
    """(m, 2) row pairs, smaller first, of unit vectors with at least `min_cosine`, among the `k` nearest of either; computed in blocks."""
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in track(range(0, len(matrix), _BLOCK), "Near-duplicates"):
        scores = matrix[start : start + _BLOCK] @ matrix.T
        scores[np.arange(len(scores)), start + np.arange(len(scores))] = -np.inf  # a photo is no duplicate of itself
        crowded = np.flatnonzero((scores >= min_cosine).sum(axis=1) > k)
        if crowded.size:  # a thousand blank pictures would give half a million pairs: keep the k nearest of each
            best = np.argpartition(-scores[crowded], k - 1, axis=1)[:, :k]
            kept = np.take_along_axis(scores[crowded], best, axis=1)
            scores[crowded] = -np.inf
            scores[crowded[:, None], best] = kept
        left, right = np.nonzero(scores >= min_cosine)
        found.append(np.sort(np.stack([left + start, right], axis=1), axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _close_pairs(ids: list[str], index: EmbeddingIndex, min_cosine: float, k: int, since: int) -> Pairs:
    """(m, 2) row pairs of `ids`, smaller first, with at least `min_cosine`: the `k` nearest of each photo with index row ≥ `since`."""
    row_in_index = index.rows(ids)
    place = np.full(
        index.size, -1, dtype=np.int64
    )  # index row → row of `ids`; -1 for an id that is not among these photos
    place[row_in_index[row_in_index >= 0]] = np.flatnonzero(row_in_index >= 0)
    wanted = np.flatnonzero(row_in_index >= since)
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in track(range(0, len(wanted), CHUNK), "Near-duplicates"):
        some = wanted[start : start + CHUNK]
        near, cosines = index.neighbours(
            index.vectors([ids[row] for row in some]), k + 1
        )  # one more: a photo finds itself
        at, column = np.nonzero((near >= 0) & (cosines >= min_cosine))
        pairs = np.sort(np.stack([some[at], place[near[at, column]]], axis=1), axis=1)
        found.append(pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] != pairs[:, 1])])
    return np.unique(np.concatenate(found), axis=0)


def _still_there(frame: pl.DataFrame, earlier: pl.DataFrame) -> Pairs:
    """(m, 2) row pairs of `frame`: the pairs of `earlier` found by embedding whose photos both still exist."""
    rows = frame.select("image_id").with_row_index("row")
    both = (
        earlier.filter(pl.col("kind") != "phash")
        .join(rows, on="image_id")
        .join(rows.rename({"image_id": "other_id"}), on="other_id")
    )
    return both.select(pl.col("row", "row_right").cast(pl.Int64)).to_numpy()


def _unknown(pairs: Pairs) -> Matrix:
    return np.full(len(pairs), np.nan, dtype=np.float32)


def _matrix_cosines(known: Pairs, matrix: Matrix, pairs: Pairs) -> Matrix:
    """(m,) cosine of each pair, NaN without an embedding. `known`: ascending photo rows, one per row of `matrix`."""
    cosine = _unknown(pairs)
    there = np.flatnonzero(np.isin(pairs, known).all(axis=1))
    for start in range(0, len(there), CHUNK):
        left, right = (matrix[np.searchsorted(known, pairs[there[start : start + CHUNK], side])] for side in (0, 1))
        cosine[there[start : start + CHUNK]] = np.einsum("ij,ij->i", left, right)
    return cosine


def _index_cosines(ids: list[str], index: EmbeddingIndex, pairs: Pairs) -> Matrix:
    """(m,) cosine of each pair from the index's vectors, NaN without one."""
    cosine = _unknown(pairs)
    known = np.flatnonzero((index.rows(ids) >= 0)[pairs].all(axis=1))
    for start in range(0, len(known), CHUNK):
        some = known[start : start + CHUNK]
        left, right = (index.vectors([ids[row] for row in pairs[some, side]]) for side in (0, 1))
        norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        cosine[some] = np.einsum("ij,ij->i", left, right) / norms
    return cosine
