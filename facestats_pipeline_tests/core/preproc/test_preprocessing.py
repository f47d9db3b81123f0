"""The preprocessing stage: rows for everything, order, bounded memory, exact coordinates, stable ids."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from facestats_pipeline.core.images.decoding import decode, decode_image, invert
from facestats_pipeline.core.preproc.alignment import TEMPLATE
from facestats_pipeline.core.preproc.detection import FaceDetector, load_detector
from facestats_pipeline.core.preproc.faces import Face
from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.preproc.preprocessing import Preprocessed, PreprocSettings, run_preprocessing
from facestats_pipeline.core.progress import listening
from facestats_pipeline_tests import hostile

SMALL = PreprocSettings(size=64)


@pytest.fixture(scope="module")
def detector(yunet_model: Path) -> FaceDetector:
    return load_detector(yunet_model)


def photos_of(count: int) -> list[tuple[str, str, bytes]]:
    rng = np.random.default_rng(0)
    return [(f"id{i}", f"{i}.jpg", hostile.encoded(hostile.picture(rng), "JPEG")) for i in range(count)]


def frame(done: list[Preprocessed]) -> pl.DataFrame:
    return pl.DataFrame([item.row for item in done], schema=PREPROC.schema)


def test_order_is_kept_and_progress_reported() -> None:
    reports: list[tuple[str, int, int | None]] = []
    photos = [(i, n, lambda data=data: data) for i, n, data in photos_of(25)]
    with listening(lambda *report: reports.append(report)):
        done = list(run_preprocessing(photos, SMALL, None, workers=3))
    assert [item.image_id for item in done] == [f"id{i}" for i in range(25)]
    assert reports[0] == ("Preprocessing", 0, 25) and reports[-1] == ("Preprocessing", 25, 25)
    table = frame(done)
    assert table["status"].unique().to_list() == ["ok"] and table["detector"].unique().to_list() == ["none"]
    assert table["face_count"].null_count() == table["landmarks"].null_count() == 25
    for item in done:
        assert item.jpeg is not None and decode_image(item.jpeg).size == (64, 64)


def test_photos_are_read_only_a_few_ahead() -> None:
    taken = 0
    data = photos_of(1)[0][2]

    def endless() -> Iterator[tuple[str, str, object]]:
        nonlocal taken
        while True:
            taken += 1
            yield f"id{taken}", "a.jpg", lambda: data

    before = threading.active_count()
    run = run_preprocessing(endless(), SMALL, None, workers=2)
    for expected in range(1, 31):
        assert next(run).image_id == f"id{expected}"
        assert taken <= expected + 4
    run.close()
    assert threading.active_count() == before


def test_hostile_photos_become_rows_and_never_stop_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    expected = hostile.write_hostile_files(folder)
    paths = [folder / name for name in expected if name != "pipe.jpg"]
    done = list(run_preprocessing([(f"id{i}", "x", path) for i, path in enumerate(paths)], SMALL, None))
    assert len(done) == len(paths)
    for path, item in zip(paths, done, strict=True):
        allowed = expected[path.name]
        if path.is_symlink() or path.name == "unreadable.jpg":
            assert item.row["status"] in ("ok", "unreadable")
        elif "ok" in allowed or "duplicate" in allowed:
            assert item.row["status"] == "ok" and item.row["reason"] == "", path.name
        else:
            assert item.row["status"] in allowed and item.row["reason"] and item.jpeg is None, path.name
        assert str(folder) not in item.row["reason"]
    assert frame(done).height == len(paths)


def test_a_source_that_raises_is_a_row() -> None:
    def broken() -> bytes:
        raise ConnectionResetError("s3://bucket/secret-name.jpg went away")

    row = next(run_preprocessing([("id", "a.jpg", broken)], SMALL, None)).row
    assert row["status"] == "unreadable" and "ConnectionResetError" in row["reason"] and "secret" not in row["reason"]


class OneFace:
    """A detector that finds one given face, in shares of the picture, with a given score."""

    name = "fake-00000000"

    def __init__(self, points: np.ndarray, score: float = 0.9) -> None:
        self.points, self.score, self.seen = points, score, []

    def detect(self, rgb: np.ndarray) -> list[Face]:
        size = np.array([rgb.shape[1], rgb.shape[0]], dtype=np.float64)
        self.seen.append(tuple(int(side) for side in size))
        points = self.points * size
        corner, far = points.min(axis=0), points.max(axis=0)
        return [Face(np.concatenate([corner, far - corner]).astype(np.float32), points.astype(np.float32), self.score)]


def test_a_doubtful_face_is_no_face_and_the_photo_is_fitted() -> None:
    _, _, data = photos_of(1)[0]
    done = next(run_preprocessing([("id", "a", lambda: data)], SMALL, OneFace(TEMPLATE, 0.55)))
    assert done.row["status"] == "no_face" and "0.55" in done.row["reason"] and done.jpeg is not None
    assert (
        done.row["face_count"] == 0 and done.row["face_score"] == pytest.approx(0.55) and done.row["landmarks"] is None
    )
    assert done.row["transform"] == pytest.approx([64 / 72, 0, -12 * 64 / 72, 0, 64 / 72, 0])
    sure = next(
        run_preprocessing([("id", "a", lambda: data)], replace(SMALL, min_face_score=0.5), OneFace(TEMPLATE, 0.55))
    )
    assert sure.row["status"] == "ok" and sure.row["landmarks"] is not None


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("orientation", [1, 6])
def test_stored_landmarks_are_the_photos_own_through_the_transform(align: bool, orientation: int) -> None:
    points = TEMPLATE * 0.2 + (0.3, 0.4)
    image = hostile.picture(np.random.default_rng(3), 2001, 1503)
    data = hostile.with_orientation(image, orientation)
    settings = PreprocSettings(size=128, align=align)
    row = next(run_preprocessing([("id", "a", lambda: data)], settings, OneFace(points))).row
    transform = np.array(row["transform"]).reshape(2, 3)
    decoded = decode(data, min_side=128)  # 1/8 scale, and its last pixels reach past the photo: 251 × 8 is not 2001
    back = invert(decoded.transform)
    in_photo = points * decoded.image.size @ back[:, :2].T + back[:, 2]
    expected = in_photo @ transform[:, :2].T + transform[:, 2]
    assert np.array(row["landmarks"]).reshape(5, 2) == pytest.approx(expected, abs=1e-2)
    if align:
        assert np.array(row["landmarks"]).reshape(5, 2) == pytest.approx(TEMPLATE * 128, abs=12)


def test_real_landmarks_are_exact_through_the_transform(shared_data: Path, detector: FaceDetector) -> None:
    photos = [(path.stem, path.name, path) for path in sorted((shared_data / "london" / "images").glob("*.jpg"))[:20:2]]
    off = []
    for (_, _, path), done in zip(photos, run_preprocessing(photos, PreprocSettings(), detector), strict=True):
        face = detector.detect(np.asarray(decode_image(path.read_bytes())))[0]
        transform = np.array(done.row["transform"]).reshape(2, 3)
        mapped = face.landmarks @ transform[:, :2].T + transform[:, 2]
        assert np.array(done.row["landmarks"]).reshape(5, 2) == pytest.approx(mapped, abs=1e-3)
        again = detector.detect(np.asarray(decode_image(done.jpeg)))[0]
        off.append(np.linalg.norm(again.landmarks - mapped, axis=1).mean() / np.linalg.norm(mapped[1] - mapped[0]))
    # And the faces are really there in the pictures: YuNet sees them where they were put, one time with another within 8%.
    assert np.median(off) < 0.08, off


def test_a_small_face_in_a_large_photo_is_cut_from_full_resolution() -> None:
    """A face of a tenth of a 2400 px photo: the first decode is at 1/4, the aligned face must not be enlarged from that."""
    board = (np.indices((1800, 2400)).sum(axis=0) // 2 % 2 * 255).astype(
        np.uint8
    )  # stripes of 2 px vanish at 1/4 scale
    data = hostile.encoded(Image.fromarray(board).convert("RGB"), "JPEG", quality=95)
    fake = OneFace(TEMPLATE * (0.0975, 0.13) + 0.4)
    done = next(run_preprocessing([("id", "a", lambda: data)], PreprocSettings(size=234), fake))
    assert fake.seen == [(600, 450)]
    assert np.asarray(decode_image(done.jpeg), dtype=float).std() > 60


def test_real_photos_are_found_and_aligned_whatever_their_orientation(
    shared_data: Path, detector: FaceDetector
) -> None:
    photo = Image.open(sorted((shared_data / "london" / "images").glob("*.jpg"))[4]).convert("RGB")
    sources = [hostile.with_orientation(photo, orientation) for orientation in range(1, 9)]
    done = list(
        run_preprocessing(
            [(str(i), "a", lambda d=d: d) for i, d in enumerate(sources)], PreprocSettings(size=128), detector
        )
    )
    first = np.asarray(decode_image(done[0].jpeg), dtype=float)
    for item in done:
        assert item.row["status"] == "ok" and item.row["face_count"] == 1
        aligned = np.asarray(decode_image(item.jpeg), dtype=float)
        likeness = np.corrcoef(aligned.ravel(), first.ravel())[0, 1]
        assert likeness > 0.87 and likeness > np.corrcoef(aligned[:, ::-1].ravel(), first.ravel())[0, 1]


def test_the_id_changes_with_what_changes_the_bytes_and_only_with_that() -> None:
    base = PreprocSettings()
    ids = {
        replace(base, **change).preproc_id("none")
        for change in ({}, {"size": 256}, {"fit": "pad"}, {"quality": 90}, {"align": False}, {"min_face_score": 0.7})
    } | {base.preproc_id("yunet-ebafce4e")}
    assert len(ids) == 7 and all(len(each) == 12 for each in ids)
    assert replace(base, max_pixels=1000).preproc_id("none") == base.preproc_id("none")


@pytest.mark.parametrize(("setting", "value"), [("fit", "squash"), ("size", 3), ("quality", 0)])
def test_a_wrong_setting_names_itself(setting: str, value: object) -> None:
    with pytest.raises(ValueError, match=setting):
        PreprocSettings(**{setting: value})
