"""Flow that is smooth, limited and folds nothing, and templates that grow sharper."""

import cv2
import numpy as np
import pytest

from facestats_pipeline.core.composites.movers import Plain
from facestats_pipeline.core.composites.optical_flow import (
    EYES,
    LEAST_AREA,
    LONGEST,
    FlowToTemplate,
    areas,
    flow,
    limited,
    sampled,
)

SIZE = 128


def blobs(seed: int = 0, size: int = SIZE) -> np.ndarray:
    """A smooth random colour picture."""
    noise = np.random.default_rng(seed).normal(0, 1, (size, size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.asarray(np.clip(128 + 200 * smooth / np.abs(smooth).max(), 0, 255), dtype=np.uint8)


def shift(x: float, y: float) -> np.ndarray:
    return np.full((SIZE, SIZE, 2), (x, y), np.float32)


def wave(length: float, height: float) -> np.ndarray:
    field = np.zeros((SIZE, SIZE, 2), np.float32)
    field[..., 0] = height * np.sin(np.arange(SIZE) * 2 * np.pi / length)[None, :]
    return field


def test_flow_finds_a_shift_whatever_the_light() -> None:
    picture = blobs()
    moved = sampled(picture, shift(2.5, -1.5))
    dim = (moved * 0.5 + 20).astype(np.uint8)
    found = flow(moved, dim, EYES)
    assert np.abs(found).max() < 0.5
    found = flow(moved, picture, EYES)[16:-16, 16:-16]
    assert np.allclose(found.mean(axis=(0, 1)), (2.5, -1.5), atol=0.2)


def test_areas_are_those_of_a_known_stretch() -> None:
    down, across = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    assert np.allclose(areas(np.stack([0.5 * across, -0.5 * down], -1)), 1.5 * 0.5, atol=1e-4)
    assert areas(wave(16, 6)).min() < 0, "this one folds"


@pytest.mark.parametrize(
    "field", [wave(16, 6), wave(40, 40), 9 * np.random.default_rng(0).normal(size=(SIZE, SIZE, 2))]
)
def test_a_limited_field_neither_folds_nor_reaches_too_far(field: np.ndarray) -> None:
    kept = limited(field.astype(np.float32))
    assert areas(kept).min() >= LEAST_AREA - 0.05  # the enlarged field is bilinear between the pixels that were checked
    assert np.hypot(*np.moveaxis(kept, -1, 0)).max() <= LONGEST * 1.001


def test_a_mask_does_not_bring_folds_back() -> None:
    where = np.zeros((SIZE, SIZE), np.float32)
    where[:, SIZE // 2 :] = 1
    kept = limited(shift(6, 0), where)
    assert areas(kept).min() >= LEAST_AREA - 0.05
    assert np.abs(kept[:, :40]).max() < 0.1 and kept[:, 100:, 0].min() > 5


def test_templates_grow_sharper_and_stay_in_the_middle() -> None:
    picture = blobs(3)
    rng = np.random.default_rng(1)
    photos = []
    for _ in range(12):
        bend = cv2.GaussianBlur(rng.normal(0, 1, (SIZE, SIZE, 2)).astype(np.float32), (0, 0), 24)
        photos.append(sampled(picture, 3 * bend / np.abs(bend).max()))
    mover = FlowToTemplate(Plain(), SIZE, EYES)
    detail = []
    for _ in range(mover.passes):
        average = np.rint(np.mean([mover.move(photo, i) for i, photo in enumerate(photos)], axis=0)).astype(np.uint8)
        detail.append(float(cv2.Laplacian(average, cv2.CV_64F).var()))
        mover.learn(average)
    assert detail[1] > 1.2 * detail[0] and detail[2] > 0.97 * detail[1]
    assert np.abs(flow(picture, average, EYES).mean(axis=(0, 1))).max() < 0.7
