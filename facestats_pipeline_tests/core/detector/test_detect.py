"""Looking at photos: with a finder that takes what is red for a face, so that what is found is known; and with the shipped one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from facestats_pipeline.core.detector.crops import FACE_TEMPLATE
from facestats_pipeline.core.detector.detect import MOST_PX, Detector, distinct
from facestats_pipeline.core.detector.export import Config
from facestats_pipeline.core.detector.network import CELL, STRIDES, Landmarker, folded
from facestats_pipeline.core.preproc.faces import FLOOR_SCORE, SURE_SCORE, Face


class RedFinder(nn.Module):
    """Takes each red square of 8 px and more for a face, answered for by one cell of the stride that fits its size."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[tuple[int, int]] = []

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        height, width = x.shape[2:]
        self.looks.append((width, height))
        maps = [torch.zeros(1, CELL, height // stride, width // stride) for stride in STRIDES]
        for each in maps:
            each[:, 0] = -8.0
        red = ((x[0, 0] > 0.5) & (x[0, 1] < 0)).numpy().astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(red)
        for left, top, w, h, _ in stats[1:]:
            size = (w * h) ** 0.5
            if size < 3:
                continue
            level = 0 if size < 30 else 1 if size < 70 else 2
            stride = STRIDES[level]
            column, row = int((left + w / 2) // stride), int((top + h / 2) // stride)
            centre = ((column + 0.5) * stride, (row + 0.5) * stride)
            sides = (centre[0] - left, centre[1] - top, left + w - centre[0], top + h - centre[1])
            cell = maps[level][0, :, row, column]
            cell[0] = 4.0 if size >= 8 else -1.5  # a hint, where it is too small to be sure of
            cell[1:5] = torch.tensor([np.log(max(side, 0.1) / stride) for side in sides])
            points = np.array((left, top)) + FACE_TEMPLATE * (w, h) - centre
            cell[5:15] = torch.from_numpy(points.reshape(10) / (size / 2))
        return maps


def detector(finder: nn.Module) -> Detector:
    torch.manual_seed(0)
    return Detector(finder, folded(Landmarker()), Config(), "test")


def scene(width: int, height: int, *squares: tuple[int, int, int]) -> np.ndarray:
    """Grey, with red squares (left, top, side)."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    for left, top, side in squares:
        pixels[top : top + side, left : left + side] = (255, 0, 0)
    return pixels


def test_a_large_face_takes_one_look() -> None:
    finder = RedFinder()
    (face,) = detector(finder).detect(scene(512, 512, (170, 170, 172)))
    assert finder.looks == [(192, 192)] and face.score >= SURE_SCORE
    np.testing.assert_allclose(face.box, (170, 170, 172, 172), atol=4)


def test_small_faces_beside_a_large_one_are_counted() -> None:
    """At the first look a face of 32 px in a photo of 1,000 px is 6 px large: a hint is enough for a closer look."""
    finder = RedFinder()
    squares = ((170, 128, 400), (640, 128, 32), (740, 512, 32), (896, 512, 40))
    found = detector(finder).detect(scene(1024, 768, *squares))
    assert [max(look) for look in finder.looks] == [192, 384, 768, 1024]
    assert len(found) == 4 and found[0].area > 100_000
    for face, (left, top, side) in zip(sorted(found, key=lambda each: each.box[0]), squares, strict=True):
        np.testing.assert_allclose(face.box, (left, top, side, side), atol=8)


def test_a_photo_in_which_nothing_is_sure_gets_one_closer_look_and_no_more() -> None:
    finder = RedFinder()
    assert detector(finder).detect(scene(4000, 3000)) == []
    assert [max(look) for look in finder.looks] == [192, 384]
    assert max(max(look) for look in finder.looks) <= MOST_PX


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (16, 16), (17, 33), (1, 5000), (5000, 200), (320, 16), (31, 193)])
def test_pictures_of_any_shape_are_looked_at(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for picture in (noise, np.full((*shape, 3), (255, 0, 0), np.uint8)):
        for face in detector(RedFinder()).detect(picture):
            assert face.score >= FLOOR_SCORE and np.isfinite(face.box).all() and np.isfinite(face.landmarks).all()


class BrokenFinder(RedFinder):
    """Numbers that are not finite."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [torch.full_like(each, float("nan")) for each in super().forward(x.float())]


def test_numbers_that_are_not_finite_are_no_face() -> None:
    assert detector(BrokenFinder()).detect(scene(300, 300, (100, 100, 60))) == []


def test_threads_see_what_one_sees() -> None:
    photos = [scene(700, 500, (100 + 10 * i, 120, 40 + 8 * i)) for i in range(8)]
    one = detector(RedFinder())
    alone = [one.detect(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(one.detect, photos * 2))
    for expected, seen in zip(alone * 2, together, strict=True):
        assert [face.score for face in expected] == [face.score for face in seen]
        for a, b in zip(expected, seen, strict=True):
            assert (a.box == b.box).all() and np.allclose(a.landmarks, b.landmarks, atol=1e-3)


class PointFinder(RedFinder):
    """All five landmarks at one point, as an untrained network may see them."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = super().forward(x)
        for each in maps:
            each[:, 5:] = 0
        return maps


def test_landmarks_that_coincide_are_left_as_they_are() -> None:
    (seen,) = detector(PointFinder()).detect(scene(300, 300, (100, 100, 100)))
    assert np.ptp(seen.landmarks, axis=0).max() < 1e-3


def face(x: float, y: float, side: float, score: float) -> Face:
    return Face(np.array([x, y, side, side], np.float32), np.full((5, 2), x, np.float32), score)


def test_boxes_of_one_face_become_one_and_the_surest_leads() -> None:
    faces = distinct([face(0, 0, 100, 0.8), face(4, 2, 100, 0.9), face(300, 0, 50, 0.7), face(20, 20, 30, 0.5)])
    assert [round(each.score, 2) for each in faces] == [0.9, 0.7]
    assert 0 < faces[0].box[0] < 4  # between the two that agree
    assert distinct([]) == []


SHIPPED = Path(__file__).resolve().parents[3] / "models" / "facestats-detector"
