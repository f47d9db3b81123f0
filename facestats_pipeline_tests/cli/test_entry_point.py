"""The installed `facestats` command, as a user calls it, on a collection that was run once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from facestats_pipeline_tests.demo_collection import FACES

FACESTATS = Path(sys.executable).with_name("facestats")


def facestats(*args: object, cwd: Path, **environ: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FACESTATS_", "DAGSTER_"))}
    ran = subprocess.run(
        [FACESTATS, *map(str, args)],
        cwd=cwd,
        env=kept | {"COLUMNS": "160"} | environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


def test_help_and_errors_by_the_real_command(tmp_path: Path) -> None:
    code, out, err = facestats("--help", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "facestats demo" in out
    code, out, err = facestats("run", "--raw", "nowhere", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert "there is no folder nowhere" in err
    code, _, err = facestats("status", cwd=tmp_path, FACESTATS_SEEDS="3")
    assert code == 1
    assert "FACESTATS_SEED" in err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_running_again_has_nothing_to_do(copy_of_collection: Path, tmp_path: Path) -> None:
    code, out, err = facestats("run", "-d", "data", "--json", cwd=tmp_path)
    summary = json.loads(out)
    assert (code, summary["error"], summary["made"]) == (0, "", [])
    assert summary["photos"] == {"ok": FACES, "duplicate": 2, "corrupt": 1, "unsupported": 1}
    assert err == ""
    code, out, _ = facestats("run", "-d", "data", cwd=tmp_path)
    assert code == 0
    assert out.startswith("Nothing to do")
    assert f"Photos: {FACES} usable of {FACES + 4}." in out
    assert "Set aside: 2 duplicate" in out
    assert {path.name for path in tmp_path.iterdir()} == {"data"}, "nothing is written outside the data folder"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_status(collection: Path) -> None:
    code, out, _ = facestats("status", "--json", "-d", collection.name, cwd=collection.parent)
    told = json.loads(out)
    assert code == 0
    assert told["shards"] == ["shard-00000", "shard-00001", "shard-00002"]
    artifacts = {row["artifact"]: row for row in told["artifacts"]}
    assert (artifacts["master"]["done"], artifacts["composites"]["done"]) == (3, 1)
    assert sum(row["stale"] + row["missing"] for row in artifacts.values()) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_scoring_a_photo_of_the_collection_gives_what_its_tables_say(collection: Path, tmp_path: Path) -> None:
    master = pl.read_parquet(collection / "processed/metadata/master.parquet")
    row = master.filter(preproc_status="ok").row(0, named=True)
    (tmp_path / "note.jpg").write_text("no photo")
    photo = collection / "raw" / row["filename"]
    code, out, err = facestats("score", photo, "note.jpg", "--json", "-d", collection, cwd=tmp_path)
    good, bad = json.loads(out)
    assert code == 1, "one of the two could not be scored"
    assert "note.jpg" in err
    assert str(photo) not in err
    assert good["status"] == "ok"
    for name in ("gender", "gender_top", "ethnicity_top", "age_bin_top", "attractiveness"):
        assert good[name] == row[name], name
    for name in ("gender_p", "attractiveness_raw", "attractiveness_pct"):
        assert good[name] == pytest.approx(row[name], abs=0.02), name
    assert 0 < good["age"] < 100, "in the table the years of a labelled photo are out of fold, so they differ"
    assert (bad["status"], bad["attractiveness_raw"], bad["gender_top"]) == ("unsupported", None, None)
    assert bad["reason"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_composites_relaxed_strict_and_refused(collection: Path, tmp_path: Path) -> None:
    data = ("-d", collection)
    code, out, _ = facestats("composite", "--all", "--out", "everyone.jpg", *data, cwd=tmp_path)
    assert code == 0
    assert "everyone.jpg" in out
    with Image.open(tmp_path / "everyone.jpg") as picture:
        assert picture.width == picture.height
    code, out, _ = facestats("composite", "--decile", "10:10", "--json", "--out", "top.png", *data, cwd=tmp_path)
    told = json.loads(out)
    assert code == 0
    assert told["n_used"] >= 10 > told["n_asked"]
    assert told["relaxed"]
    assert (tmp_path / "top.png").is_file()
    code, out, err = facestats("composite", "--decile", "10:10", "--strict", "--out", "strict.png", *data, cwd=tmp_path)
    assert (code, out) == (1, "")
    assert "at least 10 are needed" in " ".join(err.split())
    assert not (tmp_path / "strict.png").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_doctor_and_models_of_the_collection(collection: Path) -> None:
    code, out, _ = facestats("doctor", "--json", "-d", collection.name, cwd=collection.parent)
    findings = {finding["what"]: finding["detail"] for finding in json.loads(out)}
    assert code == 0
    assert findings["encoding"].startswith("facestats-test-tiny/untrained on ")
    code, out, _ = facestats("models", "list", "--json", "-d", collection.name, cwd=collection.parent)
    assert code == 0
    trained = {model["name"] for model in json.loads(out) if model["purpose"] == "trained here"}
    assert {"gender_clf.skops", "attractiveness_regressor.pt", "cluster_model.safetensors"} <= trained


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_encoder_that_is_not_there_fails_with_one_message_and_keeps_what_was_made(
    copy_of_collection: Path, tmp_path: Path
) -> None:
    code, _, err = facestats("run", "-d", "data", "--encoder", "ViT-B-32/nowhere.pt", cwd=tmp_path)
    assert code == 1
    assert "nowhere.pt: there is no such checkpoint file" in " ".join(err.split())
    settings = (tmp_path / "data" / "facestats.yaml").read_text()
    assert "nowhere" not in settings  # what cannot work is not remembered
    assert (tmp_path / "data/processed/metadata/master.parquet/shard-00000.parquet").is_file()
