"""`facestats train-detector`: every reason not to begin a training. The training itself: core/detector/test_training.py."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from facestats_pipeline import config
from facestats_pipeline.cli.train_detector import app
from facestats_pipeline.collection.errors import FaceStatsError


def refused(*args: object) -> str:
    with pytest.raises(FaceStatsError) as refusal:
        CliRunner().invoke(app, [*map(str, args)], catch_exceptions=False)
    return str(refusal.value)


def test_what_is_missing_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path / "checkout")
    weights, photos, pictures, data = (tmp_path / name for name in ("weights", "photos", "pictures", "data"))
    monkeypatch.setenv("FACESTATS_WEIGHTS_DIR", str(weights))
    given = ("--photos", photos, "--pictures", pictures, "-d", data)
    weights.mkdir()
    assert f"--photos {photos}" in refused(*given)
    photos.mkdir()
    (photos / "part-0.parquet").write_bytes(b"")
    assert f"--pictures {pictures}" in refused(*given)
    pictures.mkdir()
    assert "face_landmarker.task" in refused(*given)
    (weights / "face_landmarker.task").write_bytes(b"x")
    assert "YuNet's ONNX file" in refused(*given)
    (weights / "face_detection_yunet_x.onnx").write_bytes(b"x")
    assert "nothing to resume" in refused(*given, "--resume")
    assert "not a YuNet" in refused(*given)
    work = data / "processed" / "detector_training" / "finder"
    work.mkdir(parents=True)
    (work / "checkpoint.pt").write_bytes(b"x")
    assert "continue it with --resume" in refused(*given)
    (data / "models" / "facestats-detector").mkdir(parents=True)
    (data / "models" / "facestats-detector" / "SHA256SUMS").write_text("")
    assert "there is a detector in" in refused(*given)
