"""Copies of a photo share a fold, and the report says what that saved from."""

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.attributes.duplicate_groups import duplicate_groups, groups_of_rows
from facestats_pipeline.core.statistics.folds import make_folds
from facestats_pipeline.core.training.training_rows import TrainingRows
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of


def hashes(n: int, seed: int = 0) -> list[int]:
    """n hashes that are far from each other."""
    return [int(v) for v in np.random.default_rng(seed).integers(0, 2**63, n, dtype=np.int64)]


def hexed(values: list[int]) -> list[str | None]:
    return [f"{v:016x}" for v in values]


def noise(n: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, 64))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_equal_ids_near_hashes_close_embeddings_and_labels_are_united() -> None:
    ids, h, x = ids_of(12), hashes(12), noise(12)
    ids[1] = ids[0]  # the same content
    h[3] = h[2] ^ 0b1011  # three bits differ
    x[5] = x[4] + 0.01 * x[6]
    groups = [None] * 12
    groups[5] = groups[7] = "her"  # ties the pair 4, 5 to 7
    found = duplicate_groups(ids, phash=hexed(h), x=x, groups=groups)
    sets = {frozenset(np.flatnonzero(found.ids == g).tolist()) for g in found.ids.tolist()}
    assert {s for s in sets if len(s) > 1} == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5, 7})}
    assert {frozenset(pair) for pair in found.pairs.tolist()} == {frozenset(p) for p in ((0, 1), (2, 3), (4, 5))}
    assert found.same_hash.sum() == 1
    assert len(set(found.label_ids.tolist())) == 11


def test_limits_and_what_is_not_known() -> None:
    h, x = hashes(6), noise(6)
    h[1] = h[0] ^ 0b1111111  # seven bits
    x[2] = np.nan
    x[3] = 0.0
    found = duplicate_groups(ids_of(6), phash=[None, *hexed(h)[1:]], x=x)
    assert len(found.pairs) == 0
    assert len(set(found.ids.tolist())) == 6
    assert len(duplicate_groups(ids_of(6), phash=hexed(h), max_hamming=7).pairs) == 1
    none = duplicate_groups(ids_of(3))
    assert (len(none.pairs), none.min_cosine) == (0, None)
    assert len(duplicate_groups([]).ids) == 0
    with pytest.raises(ValueError, match="not 16 hexadecimal digits"):
        duplicate_groups(ids_of(1), phash=["xyz"])


def test_a_long_chain_is_cut_by_tighter_limits() -> None:
    steps = hashes(1)
    for i in range(199):  # each five bits from the one before: no two ends show one picture
        bits = np.random.default_rng(i).choice(64, 5, replace=False).tolist()
        steps.append(steps[-1] ^ sum(1 << b for b in bits))
    steps[150] = steps[149]
    found = duplicate_groups(ids_of(200), phash=hexed(steps))
    assert found.max_hamming < 5
    assert np.bincount(found.ids).max() <= 10
    assert [149, 150] in found.pairs.tolist()


def test_the_report_counts_what_would_have_leaked() -> None:
    n = 400
    h = hashes(n)
    for i in range(0, 100, 2):
        h[i + 1] = h[i]
    found = duplicate_groups(ids_of(n), phash=hexed(h))
    rows = np.arange(2, n)  # the first pair is not among the rows that are used
    y = rows % 2
    fold = make_folds(y, 5, groups=found.ids[rows].tolist())
    alone = make_folds(y, 5, groups=found.label_ids[rows].tolist())
    report = found.report(rows, fold, alone)
    assert (report["photos"], report["sets"], report["pairs"], report["pairs_of_one_content"]) == (98, 49, 49, 49)
    assert report["largest_set"] == 2
    assert report["pairs_across_folds"] == 0
    pairs = np.arange(0, 98, 2)
    assert report["pairs_across_folds_without_grouping"] == (alone[pairs] != alone[pairs + 1]).sum() > 20


def test_groups_of_rows_joins_the_hashes_and_ignores_an_untrained_encoder() -> None:
    h, x = hashes(4), noise(4)
    h[1], x[3] = h[0], x[2]
    table = pl.DataFrame({"image_id": ids_of(4), "group": [None, None, None, "a"]})
    quality = pl.DataFrame({"image_id": ids_of(5), "phash": [*hexed(h), None]})
    shards = [quality.head(2), quality.tail(3)]
    trained = groups_of_rows(TrainingRows(x, table, "e@1"), shards, max_hamming=6, min_cosine=0.97)
    assert sorted(map(sorted, trained.pairs.tolist())) == [[0, 1], [2, 3]]
    untrained = groups_of_rows(TrainingRows(x, table, "e/untrained@1"), shards, max_hamming=6, min_cosine=0.97)
    assert untrained.pairs.tolist() == [[0, 1]]
