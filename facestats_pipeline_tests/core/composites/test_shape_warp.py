"""The piecewise-affine warp on shapes whose answer is known."""

import cv2
import numpy as np
import pytest

from facestats_pipeline.core.composites.face_shapes import mean_shape
from facestats_pipeline.core.composites.movers import mover
from facestats_pipeline.core.composites.shape_warp import PiecewiseAffine
from facestats_pipeline.core.preproc.face_mesh import POINTS

SIZE = 96


def ring(n: int = 9, radius: float = 24) -> np.ndarray:
    angles = np.arange(n) * 2 * np.pi / n
    points = np.stack([np.cos(angles), np.sin(angles)], -1) * radius + SIZE / 2
    return np.vstack([points, [[SIZE / 2, SIZE / 2]]])


def dots(points: np.ndarray, radius: float = 2.5) -> np.ndarray:
    """Dark discs at `points`, drawn eight times as large and averaged."""
    big = np.full((SIZE * 8, SIZE * 8, 3), 220, np.uint8)
    for x, y in points:
        cv2.circle(big, (round(x * 8), round(y * 8)), round(radius * 8), (10, 10, 10), -1)
    return np.asarray(cv2.resize(big, (SIZE, SIZE), interpolation=cv2.INTER_AREA))


def centre(picture: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Centre of darkness within 6 px of a point, in continuous pixels."""
    down, across = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    dark = (220.0 - picture[..., 0]) * (np.hypot(across - near[0], down - near[1]) < 6)
    return np.array([(across * dark).sum(), (down * dark).sum()]) / dark.sum()


def test_each_landmark_comes_to_its_place_in_the_target() -> None:
    rng = np.random.default_rng(0)
    own = ring() + rng.normal(0, 1.5, (10, 2))
    moved = PiecewiseAffine(own[None], ring(), SIZE).move(dots(own, 1.5), 0)
    for point in ring():
        assert np.allclose(centre(moved, point), point, atol=0.6)


def test_a_shape_that_fits_already_is_not_touched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    moved = PiecewiseAffine(ring()[None], ring(), SIZE).move(picture, 0)
    assert np.abs(moved.astype(int) - picture).max() <= 1


def test_the_frame_follows_the_similarity_so_nothing_is_torn_off_there() -> None:
    own = (ring() - SIZE / 2) * 0.8 + SIZE / 2 + (5, -4)
    picture = dots(own) + np.arange(30, dtype=np.uint8).repeat(4)[:SIZE, None, None] // 4
    warped = PiecewiseAffine(own[None], ring(), SIZE).move(picture, 0)
    whole = np.array([[1.25, 0, 0], [0, 1.25, 0]])  # the similarity from `own` to the ring
    whole[:, 2] = SIZE / 2 - 1.25 * np.array([SIZE / 2 + 5, SIZE / 2 - 4])
    whole[:, 2] += whole[:, :2].sum(axis=1) / 2 - 0.5
    expected = cv2.warpAffine(picture, whole, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    assert np.abs(warped.astype(int) - expected).max() <= 12  # OpenCV's two ways to interpolate round differently


def test_outside_is_nothing_on_the_face_and_all_at_the_frame() -> None:
    share = PiecewiseAffine(ring()[None], ring(), SIZE).outside()
    assert share[SIZE // 2, SIZE // 2] < 0.01 and share[2, 2] > 0.99
    assert 0.2 < share[SIZE // 2, SIZE // 2 + 24] < 0.8


def test_the_mover_of_478_points_is_sharper_than_a_similarity_where_faces_differ_in_shape() -> None:
    rng = np.random.default_rng(1)
    base = ring(POINTS - 1, 26)
    shapes = np.stack([(base - SIZE / 2) * rng.uniform(0.85, 1.15, 2) + SIZE / 2 for _ in range(12)])
    photos = [dots(shape[::53]) for shape in shapes]
    contrast = {}
    for method in ("aligned", "warped"):
        bring = mover(method, shapes, SIZE)
        average = np.mean([bring.move(photo, i) for i, photo in enumerate(photos)], axis=0)
        contrast[method] = ((220 - average) ** 2).mean()
    assert contrast["warped"] > 1.3 * contrast["aligned"]
    assert np.allclose(mean_shape(shapes).mean(axis=0), SIZE / 2, atol=0.5)


def test_warped_and_aligned_need_landmarks() -> None:
    for method in ("aligned", "warped"):
        with pytest.raises(ValueError, match=f"'{method}' needs landmarks"):
            mover(method, None, SIZE)
