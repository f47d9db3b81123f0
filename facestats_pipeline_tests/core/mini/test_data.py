"""Decoding once, and a held-out part that never meets the training part."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from facestats_pipeline.core.mini.data import FaceSet, align_once, decode_once, open_split
from facestats_pipeline.core.preproc.detection import Face, FaceDetector


def parquet(path: Path, n: int = 12, **changes: list[str]) -> Path:
    rows: dict[str, list[object]] = {"file": [], "age": [], "gender": [], "race": [], "jpeg": []}
    for i in range(n):
        out = io.BytesIO()
        Image.new("RGB", (128, 128), (i * 20, 100, 50)).save(out, "JPEG", quality=95)
        for key, value in zip(rows, (f"{i}.jpg", "20-29", "Male", "Black", out.getvalue()), strict=True):
            rows[key].append(value)
    pl.DataFrame(rows | changes).write_parquet(path)
    return path


def test_photos_and_labels_come_out_in_order(tmp_path: Path) -> None:
    decode_once([parquet(tmp_path / "a.parquet")], tmp_path / "cache")
    photos = np.load(tmp_path / "cache" / "photos.npy")
    assert photos.shape == (12, 128, 128, 3)
    assert [int(p[64, 64, 0]) for p in photos] == pytest.approx([i * 20 for i in range(12)], abs=3)
    assert photos[3, 5, 5].tolist() == pytest.approx([60, 100, 50], abs=3)  # red first
    assert np.load(tmp_path / "cache" / "labels.npy").tolist() == [[1, 1, 3]] * 12
    before = (tmp_path / "cache" / "photos.npy").stat().st_mtime_ns
    decode_once([], tmp_path / "cache")  # nothing to do, so the parts are not needed
    assert (tmp_path / "cache" / "photos.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": ["20-29"] * 11 + ["9-Mar"]}, r"row 11 \(11.jpg\): age is '9-Mar', not one of 0-2, 3-9"),
        ({"jpeg": [b"not a photo"] * 12}, r"row 0 \(0.jpg\): not a JPEG photo"),
    ],
)
def test_a_bad_row_is_named_and_leaves_no_cache(tmp_path: Path, changes: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_once([parquet(tmp_path / "a.parquet", **changes)], tmp_path / "cache")
    assert not (tmp_path / "cache" / "photos.npy").exists()


def test_no_parts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no Parquet file"):
        decode_once([], tmp_path / "cache")


def test_the_held_out_part_is_seeded_and_apart(tmp_path: Path) -> None:
    decode_once([parquet(tmp_path / "a.parquet")], tmp_path)
    train, held = open_split(tmp_path, held_out=4, seed=1)
    again = open_split(tmp_path, held_out=4, seed=1)[1]
    assert (len(train), len(held)) == (8, 4)
    assert not set(train.rows) & set(held.rows)
    assert held.rows.tolist() == again.rows.tolist()
    assert held.rows.tolist() != open_split(tmp_path, held_out=4, seed=2)[1].rows.tolist()
    assert [len(labels) for _, labels in held.batches(3)] == [3, 1]
    with pytest.raises(ValueError, match="cannot hold out 12 of 12"):
        open_split(tmp_path, held_out=12)


class EveryOtherFace(FaceDetector):
    """Sees a face, its eyes level and left of the middle, in every photo whose red is even in steps of 20."""

    def __init__(self) -> None:
        self.name = "made-up"

    def detect(self, rgb: np.ndarray) -> list[Face]:  # type: ignore[type-arg]
        assert rgb.shape == (224, 224, 3)
        if round(int(rgb[50, 50, 0]) / 20) % 2:
            return []
        points = np.array([[60, 90], [110, 90], [85, 120], [65, 150], [105, 150]], np.float32)
        return [Face(np.array([40, 50, 90, 120], np.float32), points, 0.9)]


def test_photos_are_aligned_where_there_is_a_face_and_stay_as_they_are_elsewhere(tmp_path: Path) -> None:
    decode_once([parquet(tmp_path / "a.parquet")], tmp_path)
    photos = np.load(tmp_path / "photos.npy")
    photos[:, :, 64:] = 255  # so that moving the picture shows
    np.save(tmp_path / "photos.npy", photos)
    assert open_split(tmp_path, held_out=4)[0].only_aligned() is None
    align_once(tmp_path, EveryOtherFace())
    train, held_out = open_split(tmp_path, held_out=4)
    assert train.aligned is not None
    for row in range(12):
        changed = np.abs(train.aligned[row].astype(int) - photos[row]).mean()
        assert (changed > 5) == (row % 2 == 0), row
    aligned = held_out.only_aligned()
    assert isinstance(aligned, FaceSet)
    assert np.array_equal(aligned.take(np.arange(4))[0], held_out.take_aligned(np.arange(4)))
    before = (tmp_path / "aligned.npy").stat().st_mtime_ns
    align_once(tmp_path, EveryOtherFace())
    assert (tmp_path / "aligned.npy").stat().st_mtime_ns == before
