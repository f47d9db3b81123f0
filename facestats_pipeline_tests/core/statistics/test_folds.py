import numpy as np
import pytest

from facestats_pipeline.core.statistics.folds import group_ids, independent_counts, make_folds


def test_classes_are_spread_evenly() -> None:
    y = np.repeat([0, 1], [80, 20])
    fold = make_folds(y, 5)
    assert all(np.bincount(y[fold == f]).tolist() == [16, 4] for f in range(5))


def test_groups_stay_together_and_none_is_its_own_group() -> None:
    y = np.tile([0, 1], 50)
    groups = [f"p{i // 4}" if i < 80 else None for i in range(100)]
    fold = make_folds(y, 5, groups=groups, seed=3)
    for g in set(groups) - {None}:
        assert len({int(f) for f, each in zip(fold, groups, strict=True) if each == g}) == 1
    assert len(set(fold[80:].tolist())) > 1
    assert set(fold.tolist()) == set(range(5))


def test_fewer_folds_for_small_classes_and_the_same_for_the_same_seed() -> None:
    y = np.repeat([0, 1], [50, 3])
    assert make_folds(y, 5).max() == 2
    assert (make_folds(y, 5, seed=1) == make_folds(y, 5, seed=1)).all()


def test_counts_are_of_groups() -> None:
    ids = group_ids(["a", "a", "b", None, None], 5)
    assert independent_counts([0, 0, 1, 1, 1], ids).tolist() == [1, 3]
    with pytest.raises(ValueError, match="2 groups for 3 rows"):
        group_ids(["a", "b"], 3)
