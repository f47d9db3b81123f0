"""Groups of photos that must share a fold: the same person by the labels, or the same picture by content, perceptual hash or embedding.

A model tested on a copy of a training photo looks better than it is. Everything that is fitted with cross-validation (the probes, the
regressor) therefore takes its groups from `duplicate_groups` and adds `DuplicateGroups.report` to its own report.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from facestats_pipeline.core.embeddings.near_duplicate_table import MAX_HAMMING, MIN_COSINE
from facestats_pipeline.core.embeddings.near_duplicates import near_duplicates
from facestats_pipeline.core.statistics.folds import group_ids
from facestats_pipeline.core.training.training_rows import TrainingRows

Ints = npt.NDArray[np.intp]

LARGEST_SHARE = 0.1
"""Largest share of photos that one group may have. Pairs form chains (a is like b, b like c); a longer chain is no set of copies and would
leave too little for other folds. The limits are then tightened step by step, down to equal hashes."""
SMALLEST_CHAIN = 10


@dataclass(frozen=True)
class DuplicateGroups:
    """The groups of n photos.

    Attributes:
        ids: (n,) group numbers, equal for photos that must share a fold.
        label_ids: (n,) group numbers by the labels' own groups alone.
        pairs: (m, 2) positions of near-duplicates.
        same_hash: (m,) whether a pair has the same content: the same image id or equal hashes.
        max_hamming, min_cosine: the limits used, after tightening; min_cosine is None if embeddings were not compared.
    """

    ids: Ints
    label_ids: Ints
    pairs: npt.NDArray[np.int64]
    same_hash: npt.NDArray[np.bool_]
    max_hamming: int
    min_cosine: float | None

    def report(self, rows: npt.ArrayLike, fold: npt.ArrayLike, label_fold: npt.ArrayLike) -> dict[str, Any]:
        """JSON-able counts of near-duplicates among a model's training rows `rows` (m,), and of the leaks that grouping prevents.

        fold: (m,) the folds used; label_fold: (m,) the folds that the labels' groups alone would give.
        """
        at = np.full(len(self.ids), -1)
        at[np.asarray(rows)] = np.arange(len(np.asarray(rows)))
        inside = (at[self.pairs] >= 0).all(axis=1)
        pairs = at[self.pairs[inside]]
        sizes = np.bincount(_components(len(np.asarray(rows)), pairs)) if len(pairs) else np.zeros(0, int)
        used, plain = np.asarray(fold), np.asarray(label_fold)
        return {
            "photos": len(np.unique(pairs)),
            "sets": int((sizes > 1).sum()),
            "largest_set": int(sizes.max(initial=0)),
            "pairs": len(pairs),
            "pairs_of_one_content": int(self.same_hash[inside].sum()),
            "pairs_across_folds": int((used[pairs[:, 0]] != used[pairs[:, 1]]).sum()),
            "pairs_across_folds_without_grouping": int((plain[pairs[:, 0]] != plain[pairs[:, 1]]).sum()),
            "max_hamming": self.max_hamming,
            "min_cosine": self.min_cosine,
        }


def duplicate_groups(
    image_ids: Sequence[str],
    *,
    phash: Sequence[str | None] | None = None,
    x: npt.ArrayLike | None = None,
    groups: Sequence[Hashable | None] | None = None,
    max_hamming: int = MAX_HAMMING,
    min_cosine: float = MIN_COSINE,
) -> DuplicateGroups:
    """Connected components over equal image ids, near-duplicates (`core.embeddings.near_duplicates`) and the labels' `groups`.

    image_ids: n. phash: n hashes of 16 hex digits, None without one. x: (n, d) embeddings of a trained encoder, or None for an untrained
    one, whose cosines mean nothing; non-finite rows are not compared. groups: n; a row with None is a group of its own.

    Pass `result.ids.tolist()` as `groups` to `make_folds` and `run_training`, or the result as `duplicates` to `train_classifier` and
    `train_age`, which also report it. Raises ValueError for differing lengths or a malformed hash.
    """
    n = len(image_ids)
    label_ids = group_ids(groups, n)
    rows = [f"{i:012d}" for i in range(n)]  # positions as ids that sort like them
    photos = pl.DataFrame(
        {"image_id": rows, "phash": pl.Series([None] * n if phash is None else phash, dtype=pl.String)}
    )
    if x is not None and n:
        vectors = np.asarray(x, dtype=np.float32)
        usable = np.isfinite(vectors).all(axis=1) & (np.abs(vectors).sum(axis=1) > 0)
        embedding = pl.Series(np.nan_to_num(vectors), dtype=pl.Array(pl.Float32, vectors.shape[1]))
        photos = photos.with_columns(embedding=pl.when(pl.Series(usable)).then(embedding))
    found = near_duplicates(
        photos, min_cosine=min_cosine, max_hamming=max_hamming, use_embedding="embedding" in photos.columns
    )
    found = pl.concat([found, _equal_ids(image_ids, rows, found)])
    cosine_limit: float | None = min_cosine if "embedding" in photos.columns else None
    while True:
        near = pl.col("hamming") <= max_hamming
        kept = found.filter((near | (pl.col("cosine") >= cosine_limit)) if cosine_limit is not None else near)
        pairs = kept.select(pl.col("image_id", "other_id").cast(pl.Int64)).to_numpy()
        largest = int(np.bincount(_components(n, pairs)).max(initial=0))
        if largest <= max(SMALLEST_CHAIN, LARGEST_SHARE * n) or max_hamming == 0:
            break
        max_hamming = max(0, max_hamming - 2)
        cosine_limit = None if cosine_limit is None else round(1 - (1 - cosine_limit) / 2, 4)
    same = (kept["hamming"] == 0).fill_null(False).to_numpy()
    ids = _components(n, np.concatenate([pairs, _chain(label_ids)]))
    return DuplicateGroups(ids, label_ids, pairs, same, max_hamming, cosine_limit)


def groups_of_rows(
    rows: TrainingRows, quality: Iterable[pl.DataFrame], *, max_hamming: int, min_cosine: float
) -> DuplicateGroups:
    """`duplicate_groups` of labelled or rated photos. quality: tables with image_id and phash (image_quality, shard by shard).

    The labels' column `group` is used if present.
    """
    wanted = rows.table.select("image_id")
    hashes: dict[str, str | None] = {}
    for shard in quality:
        hashes.update(shard.join(wanted, on="image_id", how="semi").select("image_id", "phash").iter_rows())
    return duplicate_groups(
        rows.image_ids,
        phash=[hashes.get(i) for i in rows.image_ids],
        x=None if "untrained" in rows.encoder_id else rows.x,
        groups=rows.table["group"].to_list() if "group" in rows.table.columns else None,
        max_hamming=max_hamming,
        min_cosine=min_cosine,
    )


def _equal_ids(image_ids: Sequence[str], rows: Sequence[str], like: pl.DataFrame) -> pl.DataFrame:
    """Pairs of each photo with the first one of the same image id, with the columns of `near_duplicates`."""
    first: dict[str, str] = {}
    pairs = [(first.setdefault(i, row), row) for i, row in zip(image_ids, rows, strict=True)]
    same = [pair for pair in pairs if pair[0] != pair[1]]
    columns = {"image_id": [a for a, _ in same], "other_id": [b for _, b in same], "hamming": [0] * len(same)}
    table = pl.DataFrame(columns).with_columns(cosine=pl.lit(1.0), kind=pl.lit("phash"))
    return table.select(pl.col(name).cast(dtype) for name, dtype in like.schema.items())


def _components(n: int, pairs: npt.NDArray[np.int64]) -> Ints:
    """(n,) numbers of the connected components of n photos under `pairs`."""
    edges = coo_matrix((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(edges, directed=False)[1], dtype=np.intp)


def _chain(ids: Ints) -> npt.NDArray[np.int64]:
    """(m, 2) pairs that link each photo of a group to the next one: enough to connect the group."""
    order = np.argsort(ids, kind="stable")
    tied = ids[order][1:] == ids[order][:-1]
    return np.stack([order[:-1][tied], order[1:][tied]], axis=1).astype(np.int64)
