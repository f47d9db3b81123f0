"""`facestats import`: published data sets as data folders; SCUT-FBP5500 to the figures of its official splits in one command."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from facestats_pipeline.cli.main import app
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline.core.demo.faces import draw_face, generate_demo, sample_latents
from facestats_pipeline.core.images.decoding import encode_jpeg
from facestats_pipeline.core.labels.labels_file import read_labels
from facestats_pipeline.core.labels.ratings import read_ratings
from facestats_pipeline_tests.core.labels.scut_layout import write_scut
from facestats_pipeline_tests.demo_collection import FACES, QUICK


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


def test_tables_are_written_and_nothing_is_overwritten(faces: list[bytes], tmp_path: Path) -> None:
    archive, data = write_scut(tmp_path, faces * 5, [1 + i / 5 for i in range(20)], raters=3), tmp_path / "data"
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
    with pytest.raises(FaceStatsError, match=r"labels\.csv exists with other content"):
        invoke("import", "scut-fbp5500", archive, "-d", data, "--only-import")
    assert (data / "labels" / "ratings.csv").read_bytes() == before
    with pytest.raises(FaceStatsError, match="no folders called Images"):
        invoke("import", "scut-fbp5500", tmp_path / "data", "-d", tmp_path / "other", "--only-import")
    assert not (tmp_path / "other").exists()


@pytest.fixture(scope="module")
def faces() -> list[bytes]:
    """Four drawn faces as JPEG."""
    rng = np.random.default_rng(3)
    return [encode_jpeg(draw_face(sample_latents(rng), (128, 128)), 85) for _ in range(4)]


def put(root: Path, names: list[str], faces: list[bytes]) -> Path:
    for name, face in zip(names, faces, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(face)
    return root


NAMES = {
    "utkface": ["26_1_3_2017.jpg.chip.jpg", "39_1_2017.jpg.chip.jpg", "p/61_ 0_2_2017.jpg", "=1+1.jpg"],
    "lfw": ["Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0002.jpg", "Bo/Bo_0001.jpg", "Bo/other.jpg"],
    "fairface": ["train/1.jpg", "train/2.jpg", "val/1.jpg", "val/2.jpg"],
}
EXPECTED = {
    "utkface": ({"age": 3, "gender": 2, "race": 2}, 2, "non-commercial research only"),
    "lfw": ({"identity": 3}, 1, ""),
    "fairface": ({"age": 3, "gender": 3}, 1, "CC BY 4.0"),
}


@pytest.mark.parametrize("name", NAMES)
def test_published_sets_become_label_tables(name: str, faces: list[bytes], tmp_path: Path) -> None:
    root, data = put(tmp_path / "unpacked", NAMES[name], faces), tmp_path / "data"
    if name == "fairface":
        (root / "fairface_label_train.csv").write_text(
            "file,age,gender\ntrain/1.jpg,9-Mar,Male\ntrain/2.jpg,Oct-19,Female\n"
        )
        (root / "fairface_label_val.csv").write_text("file,age,gender\nval/1.jpg,20-29,Male\nval/9.jpg,0-2,Male\n")
    told = json.loads(invoke("import", name, root, "-d", data, "--only-import", "--json"))
    labelled, rejected, licence = EXPECTED[name]
    assert (told["imported"]["labels"], len(told["imported"]["rejected"])) == (labelled, rejected)
    assert (told["imported"]["licence"], told["run"]) == (licence, None)
    table = read_labels(data / "labels" / "labels.csv")
    assert table.rejected.is_empty()
    assert set(table.frame["file"]) <= set(NAMES[name]), "paths as the pipeline will call the photos"
    listed = pl.read_csv(data / "labels" / "rejected.csv")
    assert listed.height == rejected and listed["reason"].null_count() == 0
    if name == "utkface":
        assert "'=1+1.jpg" in listed["value"]
    assert load_settings(environ={}, data_dir=data).raw == root
    shown = invoke("import", name, root, "-d", data, "--only-import")
    assert "Rejected" in shown and f"facestats run --data-dir {data}" in shown.replace("\n", "")
    with pytest.raises(FaceStatsError, match="holds the photos of"):
        (tmp_path / "elsewhere").mkdir()
        invoke("import", name, root.rename(tmp_path / "elsewhere" / "moved"), "-d", data, "--only-import")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_imported_set_runs(faces: list[bytes], tmp_path: Path) -> None:
    """LFW has no labels but who is shown: everything that needs labels is skipped, and says so."""
    root, data = put(tmp_path / "lfw", NAMES["lfw"], faces), tmp_path / "data"
    save_settings(data, QUICK)
    told = json.loads(invoke("import", "lfw", root, "-d", data, "--json"))
    assert told["run"]["photos"] == {"ok": 4} and told["run"]["error"] == ""
    assert "gender_classifier" in told["run"]["skipped"]
    master = pl.read_parquet(data / "processed" / "metadata" / "master.parquet")
    assert master["source"].unique().to_list() == ["Labeled Faces in the Wild (Huang et al. 2007)"]
    assert "identity" not in master.columns and "group" not in master.columns


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
