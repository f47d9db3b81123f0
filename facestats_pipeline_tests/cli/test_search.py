"""`facestats search` on a small collection that was put together by hand: by text, by picture, and everything that can be missing."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from facestats_pipeline.cli.search import app
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.core.embeddings.index import build_index
from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.encoders.open_clip_compat import import_open_clip, quiet
from facestats_pipeline.core.preproc.preprocessing import preprocess_photo
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.layout import INDEX
from facestats_pipeline.io.recipes import Recipe

RECIPE = Recipe("any", "1", "family")
SHARD = "shard-00000"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight drawn faces. Not to be changed."""
    folder = tmp_path_factory.mktemp("faces")
    generate_demo(8, folder / "raw", folder / "labels", seed=5)
    return folder / "raw"


def collection_with(data: Path, encoder: str, faces: Path) -> Path:
    """What `search` reads of a collection of these faces: index, master, preprocessed photos."""
    shutil.copytree(faces, data / "raw")
    save_settings(data, {"encoder.name": encoder, "preproc.size": 128})
    folder = DataFolder(load_settings(environ={}, data_dir=data), load_graph=list)
    rows, jpegs = [], []
    for i, path in enumerate(sorted(p for p in (data / "raw").rglob("*") if p.is_file())[:8]):
        done = preprocess_photo(("", "", path), folder.preproc_settings, folder.detector)
        if done.jpeg is None or done.row["status"] != "ok":
            continue
        name = path.relative_to(data / "raw").as_posix()
        rows.append(
            {"image_id": f"{i:032x}", "filename": name, "shard": SHARD, "preproc_status": "ok", "consent": None}
        )
        jpegs.append(done.jpeg)
        folder.store.write_jpeg(SHARD, rows[-1]["image_id"], done.jpeg)
    vectors = run_embedding(jpegs, folder.encoder)
    build = build_index([([row["image_id"] for row in rows], vectors)], model_id=folder.encoder.model_id)
    path = folder.store.temporary_path(folder.store.processed / INDEX)
    build.save(path)
    folder.store.write_files("embedding_index", {INDEX: path}, RECIPE)
    rows[-1]["preproc_status"] = "no_face"  # in the index, but no face: never found
    folder.store.write_table("raw_photos", None, pl.DataFrame(rows), RECIPE)
    folder.store.write_table("master", SHARD, pl.DataFrame(rows), RECIPE)
    return data


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for the tiny encoder: as far as FaceStats can know, it is trained, so it knows words."""
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(7)
        model = import_open_clip().create_model("facestats-test-tiny")
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, faces: Path) -> Path:
    return collection_with(tmp_path_factory.mktemp("trained") / "data", f"facestats-test-tiny/{checkpoint}", faces)


def found(*args: object) -> dict:
    result = CliRunner().invoke(app, [*map(str, args), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*args: object) -> str:
    with pytest.raises(FaceStatsError) as refusal:
        CliRunner().invoke(app, [*map(str, args)], catch_exceptions=False)
    return str(refusal.value)


def test_a_photo_of_the_collection_finds_itself_first(small: Path) -> None:
    for row in pl.read_parquet(small / "processed/metadata/master.parquet").to_dicts()[:2]:
        told = found(small / "raw" / row["filename"], "-k", 3, "-d", small)
        assert (told["kind"], told["trained"], len(told["results"])) == ("picture", True, 3)
        first = told["results"][0]
        assert (first["rank"], first["filename"]) == (1, row["filename"])
        assert first["cosine"] > 0.99
        assert told["results"] == sorted(told["results"], key=lambda hit: -hit["cosine"])


def test_a_text_finds_faces_and_nothing_that_is_no_face(small: Path) -> None:
    master = pl.read_parquet(small / "processed/metadata/master.parquet")
    told = found("an elderly man", "-k", 100, "-d", small)
    assert told["kind"] == "text"
    names = {hit["filename"] for hit in told["results"]}
    assert names == set(master.filter(pl.col("preproc_status") == "ok")["filename"])
    assert len(names) == master.height - 1


def test_the_table_and_the_sheet(small: Path, tmp_path: Path) -> None:
    arguments = ["a woman", "-k", "4", "--sheet", str(tmp_path / "new" / "sheet.jpg"), "-d", str(small)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    first = found("a woman", "-k", 4, "-d", small)["results"][0]
    assert first["filename"] in result.stdout
    assert f"{first['cosine']:.3f}" in result.stdout
    with Image.open(tmp_path / "new" / "sheet.jpg") as page:
        assert page.width > 4 * 160


def test_what_cannot_be_searched_for_is_said(small: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no picture")
    assert "there is no picture nobody.jpg" in refused("nobody.jpg", "-d", small)
    assert "unsupported" in refused(tmp_path / "note.txt", "-d", small)
    assert "end it in .jpg or .png" in refused("a man", "--sheet", "x.pdf", "-d", small)
    assert "nothing has been made" in refused("a man", "-d", tmp_path)
    assert "empty" in refused(" ", "-d", small)


def test_a_picture_without_a_face_abstains(
    small: Path, tmp_path: Path, yunet_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESTATS_WEIGHTS_DIR", str(yunet_model.parent))
    Image.new("RGB", (300, 300), (60, 120, 60)).save(tmp_path / "grass.png")
    assert "no_face" in refused(tmp_path / "grass.png", "-d", small)


def test_another_encoder_than_the_collections_is_said(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESTATS_ENCODER_NAME", "facestats-test-tiny/untrained")
    assert "`facestats run` brings the embeddings up to date" in refused("a man", "-d", small)


def test_untrained_searches_by_picture_with_a_note_and_not_by_text(tmp_path: Path, faces: Path) -> None:
    data = collection_with(tmp_path / "data", "facestats-test-tiny/untrained", faces)
    assert "untrained and cannot relate words to pictures" in refused("a man", "-d", data)
    photo = next(path for path in sorted((data / "raw").rglob("*")) if path.is_file())
    result = CliRunner().invoke(app, [str(photo), "-d", str(data)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "untrained" in result.stderr


def test_without_an_index_the_next_step_is_named(small: Path, tmp_path: Path) -> None:
    (tmp_path / "processed").mkdir()
    (tmp_path / "processed" / "inventory.parquet").touch()
    assert "`facestats run` makes them" in refused("a man", "-d", tmp_path)
