"""`facestats train-encoder`: a whole training on a handful of pictures, and every reason not to begin one."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facestats_pipeline import config
from facestats_pipeline.cli.train_encoder import app
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import save_settings
from facestats_pipeline.core.encoders.checksums import verify_folder
from facestats_pipeline.core.encoders.encoder import load_model
from facestats_pipeline_tests.training_photos import write_parts

QUICK = {f"encoder_training.{key}": value for key, value in {"photos": 40, "processes": 1, "held_out": 90}.items()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("photos"), 210)[0].parent


def run(*args: object) -> dict:
    result = CliRunner().invoke(app, [*map(str, args), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*args: object) -> str:
    with pytest.raises(FaceStatsError) as refusal:
        CliRunner().invoke(app, [*map(str, args)], catch_exceptions=False)
    return str(refusal.value)


@pytest.mark.slow
def test_trained_resumed_replaced_and_given_probes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path / "checkout")
    monkeypatch.setenv("FACESTATS_WEIGHTS_DIR", str(tmp_path))  # without YuNet, which finds no face in these pictures
    data = tmp_path / "data"
    save_settings(data, QUICK)
    given = ("--data", photos, "-d", data, "--epochs", 1)
    assert "nothing to resume" in refused(*given, "--resume")
    told = run(*given, "--no-probes")
    folder = data / "models" / "facestats-mini"
    assert told["out"] == str(folder)
    assert not (folder / "probes").exists()
    verify_folder(folder, required=("open_clip_model.safetensors",))
    before = load_model("facestats-mini", models_dir=folder.parent)
    assert "there is an encoder in" in refused(*given)
    assert "continue it with --resume" in refused(*given, "--replace")
    told = run("--data", photos, "-d", data, "--probes-only")
    assert {Path(name).parent.name for name in told["files"]} == {"probes"}
    assert (folder / "probes" / "gender_clf.json").is_file()
    run("--data", photos, "-d", data, "--epochs", 2, "--resume", "--replace", "--no-probes")
    after = load_model("facestats-mini", models_dir=folder.parent)
    assert after.model_id != before.model_id, "it went on"
    assert not (folder / "probes").exists(), "probes of the encoder that was replaced"
    assert [path.name for path in folder.parent.iterdir()] == ["facestats-mini"]


def test_what_is_missing_is_said_before_anything_is_done(photos: Path, tmp_path: Path) -> None:
    given = ("-d", tmp_path / "data")
    assert "--data FOLDER" in refused(*given)
    assert "no Parquet file" in refused(*given, "--data", tmp_path)
    assert "end it in facestats-mini" in refused(*given, "--data", photos, "--out", tmp_path / "mine")
    assert "there is no encoder" in refused(*given, "--data", photos, "--probes-only")
    assert not (tmp_path / "data").exists()
