import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.attractiveness.score_table import SCORES, ranked_scores
from facestats_pipeline.core.attractiveness.scoring import REFERENCE_SIZE, build_reference, decile, percentile, snap


def test_percentile_by_hand() -> None:
    reference = build_reference([3.0, 1.0, np.nan, 2.0, 2.0])
    assert reference.tolist() == [1, 2, 2, 3]
    assert percentile([0, 1, 2, 2.5, 3, 9, np.nan], reference)[:6].tolist() == [0, 0.125, 0.5, 0.75, 0.875, 1]
    assert np.isnan(percentile([np.nan], reference)).all()
    assert np.isnan(percentile([1.0], [])).all()


def test_deciles_split_a_collection_evenly() -> None:
    raw = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    tenths = decile(percentile(raw, build_reference(raw)))
    assert np.bincount(tenths)[1:].tolist() == [100] * 10
    assert (np.argsort(raw, kind="stable") == np.argsort(percentile(raw, build_reference(raw)), kind="stable")).all()


def test_decile_edges() -> None:
    assert decile([0, 0.0999, 0.1, 0.3, 0.7, 0.8999, 0.9, 1.0, np.nan]).tolist() == [1, 1, 2, 4, 8, 9, 10, 10, 0]
    assert decile([0.5]).dtype == np.int8


def test_a_single_photo_gets_its_true_rank_and_not_the_top() -> None:
    reference = build_reference(np.linspace(1, 7, 500))
    assert decile(percentile([2.5], reference)).tolist() == [3]


def test_a_large_collection_is_kept_as_quantiles() -> None:
    raw = np.random.default_rng(1).normal(size=60_000).astype(np.float32)
    reference = build_reference(raw)
    assert len(reference) == REFERENCE_SIZE
    assert reference.dtype == np.float32
    exact = (np.argsort(np.argsort(raw)) + 0.5) / len(raw)
    assert np.abs(percentile(raw, reference) - exact).max() < 2e-4


@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40), st.floats(-10, 10, width=32))
def test_percentile_is_the_mid_rank(values: list[float], x: float) -> None:
    expected = (sum(v < x for v in values) + sum(v <= x for v in values)) / 2 / len(values)
    assert percentile([x], build_reference(values))[0] == pytest.approx(expected)


def test_rounding_does_not_move_a_rank() -> None:
    raw = np.random.default_rng(2).normal(4, 1, size=60).astype(np.float32)
    reference = build_reference(raw)
    again = np.nextafter(raw, np.float32(9))
    assert percentile(again, reference).tolist() != percentile(raw, reference).tolist()
    assert percentile(snap(again, reference), reference).tolist() == percentile(raw, reference).tolist()
    assert snap([2.0, np.nan], [1.0])[0] == 2 and np.isnan(snap([np.nan], [1.0])[0]) and snap([1.0], []).tolist() == [1]


def test_table() -> None:
    ids = pl.DataFrame({"image_id": ["a", "b"], "filename": ["a.jpg", "b.jpg"]})
    frame = ranked_scores(ids, [3.0, np.nan], [2.0, np.nan], [4.0, np.nan], [1.0, 3.0])
    assert dict(frame.schema) == SCORES.schema
    assert frame.row(0)[2:] == (3.0, 2.0, 4.0, 0.75, 8)
    assert frame.row(1)[2:] == (None,) * 5
