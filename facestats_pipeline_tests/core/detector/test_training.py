"""A whole training on discs with dots, whose labels are there already; and the limit that is chosen on held-out pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from facestats_pipeline.core.detector import detect, thresholds, training
from facestats_pipeline.core.detector.data import Sets
from facestats_pipeline.core.detector.network import Finder
from facestats_pipeline.core.preproc.faces import Face


class NoFace:
    """A detector that sees nothing."""

    name = "none"

    def detect(self, rgb: np.ndarray) -> list[Face]:
        return []


@pytest.fixture
def work(cache: Path, tmp_path: Path) -> Path:
    shutil.copytree(cache, tmp_path / "work" / "cache")
    np.save(tmp_path / "work" / "cache" / "labels.npy", np.zeros((36, 3), np.int64))
    return tmp_path / "work"


def test_from_photos_to_a_detector_that_loads(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "FALSE_PICTURES", 0.3)
    materials = training.Materials([], [], tmp_path / "no.task", NoFace(), drawn=36)
    assert not training.begun(work)
    training.train_detector(materials, work, tmp_path / "out", finder_steps=1, landmarker_steps=1, pictures=40)
    assert training.begun(work)
    found = detect.load(tmp_path / "out").detect(np.zeros((100, 80, 3), np.uint8))
    assert isinstance(found, list)


def test_photos_that_are_not_there_are_refused(tmp_path: Path) -> None:
    materials = training.Materials([], [], tmp_path / "no.task", NoFace())
    with pytest.raises(training.DetectorTrainingRefused, match="no Parquet file"):
        training.train_detector(materials, tmp_path / "w", tmp_path / "o", finder_steps=1, landmarker_steps=1)


def test_the_limit_is_what_few_empty_pictures_reach() -> None:
    logits = np.linspace(-6, 3.999, 10_000).astype(np.float32)
    assert (logits >= thresholds.sure_logit(logits)).mean() == pytest.approx(0.003, abs=2e-4)
    assert thresholds.sure_logit(np.full(1000, -5, np.float32)) == thresholds.LEAST
    with pytest.raises(ValueError, match="10 face-free pictures are too few"):
        thresholds.sure_logit(np.zeros(10, np.float32))


def test_logits_of_empty_pictures_and_of_faces(sets: Sets) -> None:
    torch.manual_seed(0)
    empty, found = thresholds.best_logits(Finder().eval(), sets, pictures=30)
    assert len(empty) and len(found) and np.isfinite(empty).all() and np.isfinite(found).all()
