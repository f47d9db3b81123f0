"""Detection and alignment: real faces where they are known to be, exact transforms, no aliasing, clear errors."""

import csv
import gzip
import threading
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facestats_pipeline.core.images.decoding import compose, invert
from facestats_pipeline.core.preproc.alignment import TEMPLATE, face_transform, similarity, warp
from facestats_pipeline.core.preproc.detection import (
    DetectorUnavailable,
    Face,
    FaceDetector,
    align_face,
    load_detector,
    single_threaded_opencv,
)
from facestats_pipeline_tests.examples import examples


@pytest.fixture(scope="module")
def detector(yunet_model: Path) -> FaceDetector:
    return load_detector(yunet_model)


@cache
def london_pupils(shared_data: Path, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(photo, pupils (2, 2), the person's right eye first) of neutral London portraits, placed by hand by the set's authors."""
    pupils: dict[str, dict[int, tuple[float, float]]] = {}
    with gzip.open(shared_data / "london" / "landmarks.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            if row["point"] in ("0", "1"):
                pupils.setdefault(row["file"], {})[int(row["point"])] = (float(row["x"]), float(row["y"]))
    photos = []
    for file, points in list(pupils.items())[:count]:
        eyes = np.array(sorted(points.values()))  # the person's right eye is left in the picture
        photos.append((np.asarray(Image.open(shared_data / "london" / file).convert("RGB")), eyes))
    return photos


def test_real_eyes_are_found_where_people_put_them(shared_data: Path, detector: FaceDetector) -> None:
    errors = []
    for photo, eyes in london_pupils(shared_data, 30):
        faces = detector.detect(photo)
        assert len([face for face in faces if face.score >= 0.6]) == 1
        errors.append(np.linalg.norm(faces[0].landmarks[:2] - eyes, axis=1) / np.linalg.norm(eyes[1] - eyes[0]))
    assert np.mean(errors) < 0.055  # shares of the distance of the eyes; one look alone gives 0.07


def turned(photo: np.ndarray, points: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """A 512 px photo turned clockwise about its middle, and where its points went."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[c, -s, 256 - 256 * c + 256 * s], [s, c, 256 - 256 * s - 256 * c]])
    return cv2.warpAffine(photo, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE), points @ matrix[
        :, :2
    ].T + matrix[:, 2]


@pytest.mark.parametrize("degrees", [-40, -15, 15, 40])
def test_the_eyes_of_a_tilted_head_are_found_as_well(shared_data: Path, detector: FaceDetector, degrees: float) -> None:
    """The model alone shows a third of a tilt; what is aligned must not."""
    errors, tilts = [], []
    for photo, eyes in (turned(*pair, degrees) for pair in london_pupils(shared_data, 10)):
        landmarks = detector.detect(photo)[0].landmarks
        errors.append(np.linalg.norm(landmarks[:2] - eyes, axis=1).mean() / np.linalg.norm(eyes[1] - eyes[0]))
        (dx, dy), (ex, ey) = landmarks[1] - landmarks[0], eyes[1] - eyes[0]
        tilts.append(np.degrees(np.arctan2(dy, dx) - np.arctan2(ey, ex)))
    assert np.mean(errors) < 0.06
    assert abs(np.mean(tilts)) < 2.5


def test_a_small_face_in_a_large_photo_and_the_largest_first(shared_data: Path, detector: FaceDetector) -> None:
    photo = Image.fromarray(london_pupils(shared_data, 1)[0][0])
    scene = Image.new("RGB", (2000, 1500), (90, 120, 90))
    scene.paste(photo.resize((200, 200)), (1500, 1100))
    assert len(detector.detect(np.asarray(scene))) == 1
    scene.paste(photo.resize((600, 600)), (100, 100))
    faces = detector.detect(np.asarray(scene))
    assert len(faces) == 2 and faces[0].area > 4 * faces[1].area
    assert 100 < faces[0].landmarks[0, 0] < 700 and 1500 < faces[1].landmarks[0, 0] < 1700


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 33), (1, 5000), (5000, 200), (320, 16)])
def test_pictures_of_any_shape_without_a_face_have_none(detector: FaceDetector, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert [face for face in detector.detect(noise) if face.score >= 0.6] == []


def test_threads_share_a_detector_and_agree(shared_data: Path, detector: FaceDetector) -> None:
    photos = [photo for photo, _ in london_pupils(shared_data, 6)]
    alone = [detector.detect(photo)[0].landmarks for photo in photos]
    together: list[list[np.ndarray]] = []

    def work() -> None:
        together.append([detector.detect(photo)[0].landmarks for photo in photos])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together) == 3
    for landmarks in together:
        assert np.array_equal(landmarks, alone)


def test_the_name_tells_the_models_bytes(yunet_model: Path, detector: FaceDetector) -> None:
    assert detector.name.startswith("yunet-") and len(detector.name) == 14


def test_a_missing_or_wrong_model_names_itself(tmp_path: Path) -> None:
    with pytest.raises(DetectorUnavailable, match=r"absent\.onnx: cannot read .*No such file"):
        load_detector(tmp_path / "absent.onnx")
    (tmp_path / "wrong.onnx").write_bytes(b"not a model")
    with pytest.raises(DetectorUnavailable, match=r"wrong\.onnx: not a YuNet"):
        load_detector(tmp_path / "wrong.onnx")


def test_opencv_gets_its_threads_back_even_when_runs_overlap() -> None:
    before = cv2.getNumThreads()
    first, second = single_threaded_opencv(), single_threaded_opencv()
    first.__enter__()
    second.__enter__()
    assert cv2.getNumThreads() == 1
    first.__exit__(None, None, None)
    assert cv2.getNumThreads() == 1
    second.__exit__(None, None, None)
    assert cv2.getNumThreads() == before


def face_at(landmarks: np.ndarray) -> Face:
    corner, far = landmarks.min(axis=0), landmarks.max(axis=0)
    return Face(np.concatenate([corner, far - corner]).astype(np.float32), landmarks.astype(np.float32), 1.0)


finite = st.floats(-400, 400)


@examples(60)
@given(st.floats(0.05, 8), st.floats(-3.1, 3.1), finite, finite)
def test_a_turned_and_scaled_template_is_brought_back_exactly(scale: float, angle: float, dx: float, dy: float) -> None:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    moved = (TEMPLATE * 512) @ np.array([[c, -s], [s, c]]).T + (dx, dy)
    transform = similarity(moved, TEMPLATE * 512)
    assert moved @ transform[:, :2].T + transform[:, 2] == pytest.approx(TEMPLATE * 512, abs=1e-6)
    assert transform[0, 0] == pytest.approx(transform[1, 1]) and transform[0, 1] == pytest.approx(-transform[1, 0])


def test_a_face_is_never_mirrored_to_fit_better() -> None:
    assert np.linalg.det(similarity(TEMPLATE * (-1, 1), TEMPLATE)[:, :2]) > 0
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((5, 2)), TEMPLATE)


@pytest.mark.parametrize(("scale", "angle"), [(0.2, 0.3), (0.7, -0.5), (1.0, 0.0), (1.0, 0.2), (3.0, 0.4)])
def test_the_warp_puts_a_dot_where_the_transform_says(scale: float, angle: float) -> None:
    """To a tenth of an output pixel: the shrink before the warp and OpenCV's pixel centres are both accounted for."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    transform = np.array([[c, -s, 0], [s, c, 0]])
    dot = np.array([431.3, 318.8])
    transform[:, 2] = (70, 55) - transform[:, :2] @ dot
    radius = 6 / scale
    rows, columns = np.indices((700, 900)) + 0.5
    blob = 255 * np.exp(-((columns - dot[0]) ** 2 + (rows - dot[1]) ** 2) / (2 * radius**2))
    pixels = np.repeat(blob.astype(np.uint8)[..., None], 3, axis=2)
    out = warp(pixels, transform, 128).astype(float)[..., 0]
    out[out < 10] = 0
    rows, columns = np.indices(out.shape) + 0.5
    assert ((columns * out).sum() / out.sum(), (rows * out).sum() / out.sum()) == pytest.approx((70, 55), abs=0.1)


def test_a_large_face_is_averaged_not_sampled() -> None:
    """A checkerboard of single pixels shrunk eight times is even grey; a warp that samples shows a pattern."""
    board = np.indices((2048, 2048)).sum(axis=0) % 2 * 255
    image = Image.fromarray(np.repeat(board.astype(np.uint8)[..., None], 3, axis=2))
    out, _ = align_face(image, face_at(TEMPLATE * 2048), size=256)
    assert np.asarray(out, dtype=float).std() < 2


def test_outside_the_photo_is_soft_and_not_black() -> None:
    photo = Image.fromarray(np.random.default_rng(1).integers(120, 256, (100, 100, 3), dtype=np.uint8))
    out = np.asarray(align_face(photo, face_at(TEMPLATE * 200 - 50), size=200)[0], dtype=float)
    assert out.min() > 90
    assert out[:30, :30].std() < 0.5 * out[80:120, 80:120].std()


def test_landmarks_map_through_the_transform_and_back() -> None:
    face = face_at(TEMPLATE * 300 + (40, 25) + np.random.default_rng(2).normal(0, 3, (5, 2)))
    transform = face_transform(face, 512)
    moved = face.moved(transform)
    assert moved.landmarks == pytest.approx(TEMPLATE * 512, abs=20)
    back = moved.moved(invert(transform))
    assert back.landmarks == pytest.approx(face.landmarks, abs=1e-3) and back.box == pytest.approx(face.box, abs=1e-3)
    assert compose(transform, invert(transform)) == pytest.approx(np.eye(2, 3), abs=1e-9)
