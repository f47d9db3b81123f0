"""A photo's soft label comes from a run that never saw it, or there is none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facestats_pipeline.core.mini import data as photos_on_disk
from facestats_pipeline.core.mini.crossfit import NO_FOLD, SEEN_FILE, crossfit, probabilities, with_soft_labels
from facestats_pipeline.core.mini.data import open_split
from facestats_pipeline.core.mini.train import Settings, Trainer, train

TINY = Settings(
    epochs=1, photos=4, processes=1, sides=((0.0, 32),), warmup=1, text_captions=4, held_out=2, ema=0.5, folds=2
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 pictures of noise: 2 are held out, each fold has 5."""
    folder = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    np.save(folder / "labels.npy", np.stack([rng.integers(size, size=12) for size in (2, 7, 9)], 1))
    for name in ("photos", "aligned"):
        np.save(folder / f"{name}.npy", rng.integers(0, 255, (12, 128, 128, 3), dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def runs(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[set[int]]]:
    """A run for each fold, and the rows that it really took photos from while it trained."""
    folder = tmp_path_factory.mktemp("runs")
    taken: list[set[int]] = []
    take = photos_on_disk.FaceSet.take
    with pytest.MonkeyPatch.context() as patch:

        def watched(self: photos_on_disk.FaceSet, positions: np.ndarray) -> object:  # type: ignore[type-arg]
            taken[-1].update(self.rows[positions].tolist())
            return take(self, positions)

        patch.setattr(photos_on_disk.FaceSet, "take", watched)
        patch.setattr("facestats_pipeline.core.mini.train.validate", lambda *_, **__: {})
        for fold in range(2):
            taken.append(set())
            train(Settings(**{**vars(TINY), "fold": fold}), cache, folder / f"fold-{fold}")
    return [folder / "fold-0", folder / "fold-1"], taken


def test_no_run_saw_a_photo_that_it_gives_the_soft_label_of(
    cache: Path, tmp_path: Path, runs: tuple[list[Path], list[set[int]]]
) -> None:
    folders, taken = runs
    crossfit(cache, folders, tmp_path / "soft.npz", side=32)
    with np.load(tmp_path / "soft.npz") as file:
        soft, fold = file["soft"], file["fold"]
    training, held_out = open_split(cache, held_out=2)
    assert soft.dtype == np.float16
    assert (fold[held_out.rows] == NO_FOLD).all()
    assert sorted(np.bincount(fold[training.rows])) == [5, 5]
    for number, seen in enumerate(taken):
        mine = set(np.flatnonzero(fold == number).tolist())
        assert seen, "the run took no photo"
        assert not seen & mine
        assert seen <= set(np.load(folders[number] / SEEN_FILE).tolist())
        rows = np.array(sorted(mine))
        part = photos_on_disk.FaceSet(training.photos, training.labels, rows, training.aligned)
        assert np.array_equal(soft[rows], probabilities(folders[number], part, side=32))
    for columns in (slice(0, 2), slice(2, 9), slice(9, 18)):
        np.testing.assert_allclose(soft[training.rows, columns].astype(float).sum(1), 1, atol=0.01)


def test_a_run_of_another_fold_or_that_saw_its_own_photos_is_refused(
    cache: Path, tmp_path: Path, runs: tuple[list[Path], list[set[int]]]
) -> None:
    folders, _ = runs
    with pytest.raises(ValueError, match="was trained for fold 1 of 2, and stands where 0 of 2 belongs"):
        crossfit(cache, folders[::-1], tmp_path / "soft.npz", side=32)
    copy = tmp_path / "fold-1"
    copy.mkdir()
    for name in ("settings.json", "checkpoint.pt"):
        (copy / name).write_bytes((folders[1] / name).read_bytes())
    np.save(copy / SEEN_FILE, np.arange(12))
    with pytest.raises(ValueError, match="has seen 5 photos of its own fold"):
        crossfit(cache, [folders[0], copy], tmp_path / "soft.npz", side=32)
    assert not (tmp_path / "soft.npz").exists()
    started = Settings(**{**vars(TINY), "start_from": str(folders[1] / "checkpoint.pt")})
    with pytest.raises(ValueError, match="starts from no other run"):
        train(started, cache, tmp_path / "started")


def test_a_photo_is_learned_with_its_own_soft_label(
    cache: Path, tmp_path: Path, runs: tuple[list[Path], list[set[int]]]
) -> None:
    soft = np.arange(12 * 18, dtype=np.float16).reshape(12, 18) / 256
    fold = np.zeros(12, np.int8)
    data, held_out = open_split(cache, held_out=2)
    fold[held_out.rows] = NO_FOLD
    np.savez(tmp_path / "soft.npz", soft=soft, fold=fold)
    given = with_soft_labels(data, tmp_path / "soft.npz")
    trainer = Trainer(Settings(**{**vars(TINY), "folds": 0}), given, None)
    photos, _, _, told = trainer.batch()
    assert told is not None
    for photo, row in zip(photos[0], told, strict=True):
        (which,) = [n for n in data.rows if np.array_equal(data.photos[n], photo.numpy())]
        assert torch.equal(row, torch.from_numpy(soft[which]).float())
    with pytest.raises(ValueError, match="2 photos that are to be learned from have no soft label"):
        with_soft_labels(held_out, tmp_path / "soft.npz")
    np.savez(tmp_path / "other.npz", soft=soft[:5], fold=fold[:5])
    with pytest.raises(ValueError, match=r"soft labels of \(5, 18\)"):
        with_soft_labels(data, tmp_path / "other.npz")


def test_a_run_names_its_fold_and_its_soft_labels(runs: tuple[list[Path], list[set[int]]]) -> None:
    settings = [json.loads((folder / "settings.json").read_text()) for folder in runs[0]]
    assert [(s["folds"], s["fold"], s["soft_labels"]) for s in settings] == [(2, 0, ""), (2, 1, "")]
