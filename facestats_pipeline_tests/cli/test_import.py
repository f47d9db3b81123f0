"""`facestats import scut-fbp5500`: one command from the unpacked archive to the figures of the official splits."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from facestats_pipeline.cli.console import ExpectedError
from facestats_pipeline.cli.main import app
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline.core.demo.demo_faces import generate_demo
from facestats_pipeline.core.labels.ratings import read_ratings
from facestats_pipeline_tests.cli.conftest import FACES, QUICK
from facestats_pipeline_tests.core.labels.scut_layout import write_scut


def invoke(*args: object) -> str:
    """Standard output of a call that succeeds; an exception is raised as it is."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Drawn faces with the ratings they were drawn with, packed as the data set is."""
    generate_demo(FACES, tmp_path / "raw", tmp_path / "labels", seed=3)
    rated = read_ratings(tmp_path / "labels" / "ratings.csv").frame
    there = {path.relative_to(tmp_path / "raw").as_posix(): path for path in (tmp_path / "raw").rglob("*.jpg")}
    rated = rated.filter(pl.col("file").is_in(list(there)))
    photos = [there[file].read_bytes() for file in rated["file"]]
    return write_scut(tmp_path, photos, rated["rating"].to_list(), raters=3)


def test_tables_are_written_and_nothing_is_overwritten(archive: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    out = invoke("import", "scut-fbp5500", archive, "-d", data, "--only-import")
    assert "splits: 60_40, five_fold" in out
    assert {path.name for path in (data / "labels").iterdir()} == {
        "ratings.csv",
        "labels.csv",
        "splits.csv",
        "sources.csv",
    }
    assert load_settings(environ={}, data_dir=data).raw == archive / "Images"
    before = (data / "labels" / "ratings.csv").read_bytes()
    invoke("import", "scut-fbp5500", archive, "-d", data, "--only-import")  # again is the same
    (data / "labels" / "labels.csv").write_text("file,gender\na.jpg,Male\n")
    with pytest.raises(ExpectedError, match=r"labels\.csv is there already"):
        invoke("import", "scut-fbp5500", archive, "-d", data, "--only-import")
    assert (data / "labels" / "ratings.csv").read_bytes() == before
    with pytest.raises(ExpectedError, match="no folders called Images"):
        invoke("import", "scut-fbp5500", tmp_path / "data", "-d", tmp_path / "other", "--only-import")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_one_command_measures_the_official_splits(archive: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    save_settings(data, QUICK)
    found = json.loads(invoke("import", "scut-fbp5500", archive, "-d", data, "--json"))
    splits = found["published_splits"]["splits"]
    photos = found["imported"]["photos"]
    assert photos >= 30
    assert (splits["60_40"]["listed"], splits["five_fold"]["listed"]) == (photos, photos)
    assert (splits["60_40"]["folds"], splits["five_fold"]["folds"]) == (1, 5)
    assert splits["60_40"]["measured"] + splits["60_40"]["trained_only"] == splits["60_40"]["n"] <= photos
    for figures in splits.values():
        assert figures["pearson"]["ci_lo"] <= figures["pearson"]["value"] <= figures["pearson"]["ci_hi"]
        assert set(figures["over_folds"]) == {"pearson", "mae", "rmse"}
    manifest = pl.read_parquet(data / "processed" / "manifest.parquet")
    assert manifest["licence"].unique().to_list() == ["non-commercial research only"]
    out = invoke("import", "scut-fbp5500", archive, "-d", data)
    assert "Nothing to do" in out
    assert "60_40" in out and "Pearson" in out
