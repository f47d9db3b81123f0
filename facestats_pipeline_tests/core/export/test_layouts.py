"""Every layout, read back by the library that it is for: the same rows, the same values, pictures that decode."""

import io
import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from facestats_pipeline.core.export.csv_folder import write_csv_folder
from facestats_pipeline.core.export.fiftyone_json import write_fiftyone
from facestats_pipeline.core.export.hugging_face import write_hugging_face
from facestats_pipeline.core.export.photos import ExportedPhoto, ExportRefused, export_schema, photos_of
from facestats_pipeline.core.export.webdataset_tar import write_webdataset

SIDE, N = 32, 7
SCHEMA = pl.Schema(
    {
        "image_id": pl.String(),
        "filename": pl.String(),
        "gender": pl.String(),
        "age": pl.Float32(),
        "attractiveness": pl.Int8(),
        "flagged": pl.Boolean(),
        "reasons": pl.List(pl.String()),
        "added_at": pl.Datetime("us", "UTC"),
        "face_score": pl.Float32(),
        "label": pl.String(),
    }
)


def colour(i: int) -> tuple[int, int, int]:
    return (30 * i, 200 - 20 * i, 90)


def jpeg(i: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), colour(i)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def image_id(i: int) -> str:
    """Digits and letters, as ids of real photos have; of digits alone CSV readers would make numbers."""
    return f"{i:02d}" + "abcdef" * 5


def rows() -> pl.DataFrame:
    """Names that spreadsheets, JSON and HTML trip over; nulls in every column that may have them."""
    names = ["=cmd.jpg", "ü/ñ 'x'.jpg", '"quoted", comma.jpg', "d.jpg", "<b>.jpg", "-1.jpg", "g.jpg"]
    return pl.DataFrame(
        {
            "image_id": [image_id(i) for i in range(N)],
            "filename": names,
            "gender": ["Female", "Male", None, "unknown", "Female", "Male", "Female"],
            "age": [1.5, None, float("nan"), 40.25, 7.0, 70.0, 33.0],
            "attractiveness": [1, None, 3, 10, 5, 6, 7],
            "flagged": [True, False, None, False, True, False, False],
            "reasons": [["blurred", "turned"], [], None, ["dark"], [], [], []],
            "added_at": [datetime(2026, 1, 1 + i, tzinfo=UTC) for i in range(N)],
            "face_score": [0.9, None, 0.8, 0.7, 0.6, 0.5, 0.95],
            "label": ["a column that detections have too"] * N,
        },
        schema=SCHEMA,
    )


@pytest.fixture
def photos() -> Iterator[ExportedPhoto]:
    boxes = [[8.0, 4.0, 16.0, 24.0]] * (N - 1) + [None]
    frame = rows().with_columns(
        pl.Series("shard", ["shard-00000"] * 4 + ["shard-00001"] * 3), pl.Series("face_box", boxes)
    )
    return photos_of([frame[:4], frame[4:]], SCHEMA, lambda shard, image_id: jpeg(int(image_id[:2])), SIDE)


def is_picture(picture: Image.Image, i: int) -> bool:
    picture.load()
    return picture.size == (SIDE, SIDE) and bool(np.allclose(np.asarray(picture)[16, 16], colour(i), atol=4))


def test_hugging_face_datasets_loads_it(
    photos: Iterator[ExportedPhoto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the library `datasets` is in the extra dev")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert write_hugging_face(photos, SCHEMA, tmp_path / "faces", per_file=3) == N
    (tmp_path / "faces" / "facestats-export.json").write_text("{}")
    (tmp_path / "faces" / "README.md").write_text("---\nlicense: unknown\n---\n# faces\n")
    assert sorted(path.name for path in (tmp_path / "faces" / "data").iterdir()) == [
        f"train-{i:05d}-of-00003.parquet" for i in range(3)
    ]
    loaded = datasets.load_dataset(str(tmp_path / "faces"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    faces = loaded["train"]
    assert faces.num_rows == N
    assert isinstance(faces.features["image"], datasets.Image)
    assert faces.features["gender"].dtype == "string"
    assert all(is_picture(faces[i]["image"], i) for i in range(N))
    back = pl.DataFrame(faces.remove_columns("image").data.table).cast({"added_at": pl.Datetime("us", "UTC")})
    assert back.select(SCHEMA.names()).equals(rows(), null_equal=True)


def test_webdataset_streams_it(photos: Iterator[ExportedPhoto], tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset", reason="the library `webdataset` is in the extra dev")
    assert write_webdataset(photos, SCHEMA, tmp_path, per_tar=3) == N
    tars = sorted(tmp_path.glob("*.tar"))
    assert [tar.name for tar in tars] == [f"faces-{i:06d}.tar" for i in range(3)]
    stream = wds.WebDataset([str(tar) for tar in tars], shardshuffle=False).decode("pil").to_tuple("jpg", "json")
    seen = list(stream)
    assert len(seen) == N
    assert all(is_picture(picture, i) for i, (picture, _) in enumerate(seen))
    expected = rows()
    assert [row["gender"] for _, row in seen] == expected["gender"].to_list()
    assert [row["filename"] for _, row in seen] == expected["filename"].to_list()
    assert [row["age"] for _, row in seen] == [1.5, None, None, 40.25, 7.0, 70.0, 33.0]
    assert seen[0][1]["reasons"] == ["blurred", "turned"]
    assert seen[2][1]["added_at"] == "2026-01-03T00:00:00+00:00"


def test_the_same_photos_give_the_same_tar(tmp_path: Path) -> None:
    photo = ExportedPhoto("a" * 32, "shard-00000", jpeg(1), {"image_id": "a" * 32}, None, SIDE)
    for name in ("one", "two"):
        write_webdataset([photo], SCHEMA, tmp_path / name)
    first, second = ((tmp_path / name / "faces-000000.tar").read_bytes() for name in ("one", "two"))
    assert first == second
    with tarfile.open(tmp_path / "one" / "faces-000000.tar") as tar:
        assert {member.mtime for member in tar.getmembers()} == {0}


def test_csv_opens_as_a_table_and_runs_nothing(photos: Iterator[ExportedPhoto], tmp_path: Path) -> None:
    assert write_csv_folder(photos, SCHEMA, tmp_path) == N
    table = pl.read_csv(tmp_path / "metadata.csv")
    assert table["filename"][0] == "'=cmd.jpg"
    assert table["filename"][5] == "'-1.jpg"
    assert table["filename"][2] == '"quoted", comma.jpg'
    assert table["gender"].to_list() == rows()["gender"].to_list()
    assert table["reasons"][0] == "blurred; turned"
    for i, file in enumerate(table["file_name"]):
        with Image.open(tmp_path / file) as picture:
            assert is_picture(picture, i)


def test_csv_is_an_imagefolder_too(
    photos: Iterator[ExportedPhoto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the library `datasets` is in the extra dev")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_csv_folder(photos, SCHEMA, tmp_path / "faces")
    (tmp_path / "faces" / "facestats-export.json").write_text("{}")
    (tmp_path / "faces" / "README.md").write_text("---\nlicense: unknown\n---\n# faces\n")
    faces = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "faces"), split="train", cache_dir=str(tmp_path / "cache")
    )
    by_id = {row["image_id"]: row for row in faces}
    assert len(by_id) == N
    for i, gender in enumerate(rows()["gender"]):
        assert by_id[image_id(i)]["gender"] == gender
        assert is_picture(by_id[image_id(i)]["image"], i)


def test_fiftyone_labels_are_as_documented(photos: Iterator[ExportedPhoto], tmp_path: Path) -> None:
    """The layout of FiftyOneImageDetectionDataset; FiftyOne itself needs a MongoDB server to be imported at all."""
    assert write_fiftyone(photos, SCHEMA, tmp_path) == N
    labels = json.loads((tmp_path / "labels.json").read_text())
    assert set(labels) == {"classes", "labels"}
    assert len(labels["labels"]) == N
    expected = {row["image_id"]: row for row in rows().iter_rows(named=True)}
    for key, detections in labels["labels"].items():
        (file,) = list((tmp_path / "data").glob(f"{key}.*"))  # FiftyOne finds a picture by its path without the ending
        row = expected[file.stem]
        with Image.open(file) as picture:
            assert is_picture(picture, int(file.stem[:2]))
        (detection,) = detections
        assert set(detection) <= {"label", "bounding_box", "confidence", "attributes"}
        assert detection["label"] in labels["classes"]
        assert all(0 <= value <= 1 for value in detection["bounding_box"])
        attributes = detection["attributes"]
        assert attributes.get("gender") == row["gender"]
        assert attributes["filename"] == row["filename"]
        assert attributes["photo_label"] == row["label"]
        assert not set(attributes) & {"label", "bounding_box", "confidence", "tags"}
        assert all(isinstance(value, str | int | float | bool) for value in attributes.values())
    first = labels["labels"]["shard-00000/" + image_id(0)][0]
    assert first["bounding_box"] == [0.25, 0.125, 0.5, 0.75]
    assert first["confidence"] == pytest.approx(0.9)
    last = labels["labels"]["shard-00001/" + image_id(6)][0]
    assert (last["label"], last["bounding_box"]) == ("photo", [0, 0, 1, 1])


def test_columns_are_chosen_and_the_id_is_always_there() -> None:
    assert export_schema(SCHEMA, ["gender", "age"]).names() == ["image_id", "gender", "age"]
    assert export_schema(pl.Schema({"shard": pl.String(), **SCHEMA})).names() == SCHEMA.names()
    with pytest.raises(ExportRefused, match=r"no column 'agee'; it has image_id, filename"):
        export_schema(SCHEMA, ["agee"])
