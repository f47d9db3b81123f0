"""Mean shapes and similarity transforms on shapes whose answer is known."""

import numpy as np
import pytest

from facestats_pipeline.core.composites.face_shapes import mean_shape, similarity_transforms

SHAPE = np.array([[20, 20], [44, 20], [32, 32], [24, 44], [40, 44]], dtype=np.float64)


def moved(shape: np.ndarray, scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * shape @ turn.T + np.array(shift)


def apply(transforms: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    return np.einsum("nij,nkj->nki", transforms[:, :, :2], shapes) + transforms[:, None, :, 2]


def test_similarity_recovers_the_move() -> None:
    shapes = np.stack([moved(SHAPE, s, d, t) for s, d, t in [(1, 0, (0, 0)), (0.5, 30, (7, -3)), (1.7, -80, (-9, 40))]])
    assert np.allclose(apply(similarity_transforms(shapes, SHAPE), shapes), SHAPE, atol=1e-9)


def test_similarity_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(0)
    noisy = moved(SHAPE, 1.2, 10, (3, 4)) + rng.normal(0, 2, SHAPE.shape)
    best = similarity_transforms(noisy[None], SHAPE)
    error = ((apply(best, noisy[None]) - SHAPE) ** 2).sum()
    for _ in range(200):
        s, d = rng.normal(1, 0.02), rng.normal(0, 2)
        other = moved(apply(best, noisy[None])[0], s, d, tuple(rng.normal(0, 0.3, 2)))
        assert ((other - SHAPE) ** 2).sum() >= error


def test_mean_shape_of_moved_copies_is_the_shape_itself_at_the_mean_place() -> None:
    rng = np.random.default_rng(1)
    scales, turns = rng.uniform(0.7, 1.3, 200), rng.uniform(-20, 20, 200)
    shifts = rng.uniform(-10, 10, (200, 2))
    copies = np.stack([moved(SHAPE, s, d, tuple(t)) for s, d, t in zip(scales, turns, shifts, strict=True)])
    mean = mean_shape(copies)
    assert np.allclose(mean.mean(axis=0), copies.mean(axis=(0, 1)))
    assert np.allclose(apply(similarity_transforms(mean[None], SHAPE), mean[None])[0], SHAPE, atol=1e-6)
    spread = np.sqrt(((mean - mean.mean(axis=0)) ** 2).sum())
    assert spread == pytest.approx(np.sqrt(((SHAPE - SHAPE.mean(axis=0)) ** 2).sum()) * scales.mean(), rel=1e-6)


def test_points_on_one_spot_are_refused() -> None:
    with pytest.raises(ValueError, match="one point"):
        similarity_transforms(np.zeros((1, 5, 2)), SHAPE)
