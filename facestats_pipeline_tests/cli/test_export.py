"""`facestats export`: what leaves the data folder, what does not, and what is remembered of it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from facestats_pipeline.cli.main import app
from facestats_pipeline.collection.erase import copies_outside
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline.io.erasure.ledger import Journal, Ledger
from facestats_pipeline.io.exports import exports_of
from facestats_pipeline_tests.app.made_up import EVIL, RECIPE, SIDE, write_collection

SHARDS, ROWS = 2, 6
N = SHARDS * ROWS
REFUSED = 3


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up collection of two shards; the first three photos of the second are refused by their people, the rest are CC BY 4.0."""
    folder = tmp_path_factory.mktemp("made up") / "data"
    store = write_collection(folder, shards=SHARDS, rows=ROWS)
    for number in range(SHARDS):
        shard = f"shard-{number:05d}"
        consent = pl.Series("consent", ["no" if number and i < REFUSED else "yes" for i in range(ROWS)])
        master = store.read_table("master", shard).with_columns(
            consent, licence=pl.lit("CC BY 4.0"), source=pl.lit("drawn")
        )
        store.write_table("master", shard, master, RECIPE)
        origin = master.select("image_id", "filename", "source", "licence", "consent", "added_at")
        manifest = origin.with_columns(status=pl.lit("ok"), bytes=pl.lit(9, pl.Int64), format=pl.lit("JPEG"))
        store.write_table("manifest", shard, manifest, RECIPE)
        box = pl.Series([[8.0, 4.0, 64.0, 96.0]] * ROWS, dtype=pl.Array(pl.Float32, 4))
        store.write_table("preproc", shard, store.read_table("preproc", shard).with_columns(face_box=box), RECIPE)
    live = store.scan("master").select("filename", "image_id", "shard", "added_at").collect()
    store.write_table("raw_photos", None, live.with_columns(state=pl.lit("ok")), RECIPE)
    store.labels.mkdir()
    live.select(file="filename", gender=pl.lit("Male"), identity=pl.lit("Ann Lee"))[2:5].write_csv(
        store.labels / "labels.csv"
    )
    save_settings(folder, {"preproc.size": SIDE})
    return folder


@pytest.fixture
def data(made_up: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    return Path(shutil.copytree(made_up, tmp_path / "data"))


def master_of(data: Path) -> pl.DataFrame:
    return pl.read_parquet(data / "processed" / "metadata" / "master.parquet")


def invoke(*args: object) -> str:
    """Standard output of a call that succeeds; an exception is raised as it is."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_collection_goes_to_hugging_face_and_back(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the library `datasets` is in the extra dev")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "faces"
    told = json.loads(invoke("export", "huggingface", out, "-d", data, "--json"))
    assert (told["photos"], told["left_out"]) == (N - REFUSED, {"withheld": REFUSED, "no_picture": 0, "limit": 0})
    usable = master_of(data).filter(pl.col("consent") != "no")
    faces = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert faces["image_id"][:] == usable["image_id"].to_list(), "in order of arrival"
    for name in ("gender", "age", "attractiveness_raw", "filename", "licence", "reasons"):
        assert faces[name][:] == usable[name].to_list(), name
    assert faces[0]["image"].size == (SIDE, SIDE)
    assert faces["label_gender"][:] == [None, None, "Male", "Male", "Male"] + [None] * (N - REFUSED - 5)
    card = (out / "README.md").read_text()
    assert card.startswith("---\n") and "license: cc-by-4.0" in card
    assert 'load_dataset("faces"' in card and "gender in labels.csv; null without a label" in card
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"Ann Lee" not in everything, "who somebody is stays where it is"
    assert not any(image_id in card for image_id in usable["image_id"])


def test_every_layout_holds_the_same_photos(data: Path, tmp_path: Path) -> None:
    usable = set(master_of(data).filter(pl.col("consent") != "no")["image_id"])
    for layout in ("csv", "fiftyone"):
        told = json.loads(invoke("export", layout, tmp_path / layout, "-d", data, "--json"))
        pictures = list((tmp_path / layout).rglob("*.jpg"))
        assert {path.stem for path in pictures} == usable and told["photos"] == len(usable)
        with Image.open(pictures[0]) as picture:
            picture.load()
            assert not picture.getexif()
    table = pl.read_csv(tmp_path / "csv" / "metadata.csv")
    assert set(table["image_id"]) == usable and table["filename"][0] == f"'{EVIL}"
    labels = json.loads((tmp_path / "fiftyone" / "labels.json").read_text())["labels"]
    assert {key.rpartition("/")[2] for key in labels} == usable
    assert next(iter(labels.values()))[0]["bounding_box"] == [8 / SIDE, 4 / SIDE, 64 / SIDE, 96 / SIDE]


def test_an_erasure_names_the_copies_and_what_is_erased_does_not_leave_again(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    invoke("export", "csv", out, "--columns", "filename,gender", "-d", data)
    before = pl.read_csv(out / "metadata.csv")
    assert before.columns == ["file_name", "image_id", "filename", "gender"]
    gone = before.row(3, named=True)
    store = write_nothing(data)
    (note,) = copies_outside(cast(Any, store), [gone["image_id"]])
    assert str(out) in note and "export again with --replace" in note
    Ledger(data).add([gone["image_id"]])
    invoke("export", "csv", out, "--columns", "filename,gender", "--replace", "-d", data)
    after = pl.read_csv(out / "metadata.csv")
    assert after.height == before.height - 1
    assert gone["image_id"] not in after["image_id"].to_list() and not (out / gone["file_name"]).exists()
    record = (data / "exports.json").read_text()
    assert not any(text in record for text in (*before["image_id"], *before["filename"]))
    out.rename(tmp_path / "moved")
    (note,) = copies_outside(cast(Any, store), [gone["image_id"]])
    assert "no longer exists here; if it was moved or passed on" in note
    (data / "exports.json").write_text("{")
    (note,) = copies_outside(cast(Any, store), [gone["image_id"]])
    assert "exports.json cannot be read" in note


def write_nothing(data: Path) -> SimpleNamespace:
    """As much of a pipeline as the question needs which exports may hold an image."""
    from facestats_pipeline.io.store import Store

    return SimpleNamespace(
        freshness=SimpleNamespace(store=Store(data, data / "models")), settings=load_settings(environ={}, data_dir=data)
    )


def test_limits_and_refusals(data: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "faces", tmp_path / "other"
    shown = " ".join(invoke("export", "webdataset", out, "--limit", 5, "-d", data).split())
    assert "5 photos in" in shown and f"{N - REFUSED - 5} beyond --limit" in shown and "import webdataset" in shown
    for arguments, said in {
        ("webdataset", other, "--columns", "agee"): "no column 'agee'; it has",
        ("fiftyone", out): "add --replace",
        ("csv", data / "inside"): "inside the data folder",
        ("csv", other, "--where", "licence=MIT"): f"no photo to export: {N} are withheld",
    }.items():
        with pytest.raises(FaceStatsError, match=said):
            invoke("export", *arguments, "-d", data)
    next((data / "processed" / "preproc").rglob("*.jpg")).unlink()
    for path in (data / "processed" / "preproc" / "shard-00000").glob("*.jpg"):
        path.unlink()
    with pytest.raises(FaceStatsError, match=r"\.jpg is missing, so nothing was exported: `facestats run`"):
        invoke("export", "fiftyone", other, "-d", data)
    Ledger(data).save(Journal([], [], [], [], False))
    with pytest.raises(FaceStatsError, match="an erasure was interrupted"):
        invoke("export", "fiftyone", other, "-d", data)
    assert not other.exists() and not list(tmp_path.glob(".*.partial"))
    assert [one.out for one in exports_of(data)] == [str(out)]
