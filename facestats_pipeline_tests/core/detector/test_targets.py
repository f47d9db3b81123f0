"""Which cells answer for a face, and that what they learn is what is decoded."""

import numpy as np
import pytest
import torch

from facestats_pipeline.core.detector.data import Picture
from facestats_pipeline.core.detector.detect import decode_cells
from facestats_pipeline.core.detector.losses import decode, distance_iou, finder_losses, landmarker_loss
from facestats_pipeline.core.detector.targets import cell_centres, targets

POINTS = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)


def picture(*boxes: tuple[float, ...], ignored: tuple[tuple[float, ...], ...] = ()) -> Picture:
    """A picture of 192 px with faces in boxes (left, top, right, bottom)."""
    made = np.array(boxes, np.float32).reshape(-1, 4)
    landmarks = made[:, None, :2] + POINTS * (made[:, None, 2:] - made[:, None, :2])
    hidden = np.array(ignored, np.float32).reshape(-1, 4)
    return Picture(np.zeros((192, 192, 3), np.uint8), made, landmarks.astype(np.float32), hidden)


@pytest.mark.parametrize(("side", "stride"), [(12, 8), (24, 8), (50, 16), (120, 32), (190, 32)])
def test_a_face_is_answered_for_at_the_stride_of_its_size(side: int, stride: int) -> None:
    asked = targets([picture((10, 5, 10 + side, 5 + side))])
    centres, strides = cell_centres(192, 192)
    mine = asked.score[0] > 0
    assert mine.any() and set(strides[mine]) == {stride}
    assert (np.abs(centres[mine] - (10 + side / 2, 5 + side / 2)).max(axis=1) <= max(stride, side / 4)).all()
    assert (asked.sizes[0][mine] == side).all()


def test_every_size_has_a_cell_and_an_empty_picture_none() -> None:
    for side in range(9, 190):
        assert (targets([picture((0, 0, side, side))]).score > 0).any(), side
    empty = targets([picture()])
    assert (empty.score == 0).all() and np.isnan(empty.landmarks).all()


def test_of_two_faces_at_a_cell_the_smaller_is_asked_for_and_hidden_ones_are_not() -> None:
    asked = targets([picture((0, 0, 34, 34), (10, 10, 24, 24), ignored=((100, 100, 180, 180),))])
    centres, _ = cell_centres(192, 192)
    assert set(asked.sizes[0][(centres == (20, 20)).all(axis=1)]) == {14.0}
    assert (asked.score[0][((centres > 105) & (centres < 175)).all(axis=1)] == -1).all()


def perfect(asked: object, centres: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """Cells (n, cells, 16) of a finder that is right."""
    cells = np.zeros((*asked.score.shape, 16), np.float32)  # type: ignore[attr-defined]
    cells[..., 0] = np.where(asked.score > 0, 9.0, -9.0)  # type: ignore[attr-defined]
    boxes = asked.boxes  # type: ignore[attr-defined]
    sides = np.concatenate([centres - boxes[..., :2], boxes[..., 2:] - centres], axis=-1)
    positive = asked.score > 0  # type: ignore[attr-defined]
    cells[..., 1:5] = np.where(positive[..., None], np.log(np.maximum(sides, 1e-3) / strides[:, None]), 0)
    half = asked.sizes / 2  # type: ignore[attr-defined]
    offsets = (asked.landmarks - centres[:, None]) / half[..., None, None]  # type: ignore[attr-defined]
    cells[..., 5:15] = np.nan_to_num(offsets).reshape(*asked.score.shape, 10)  # type: ignore[attr-defined]
    return cells


def as_maps(cells: np.ndarray) -> list[torch.Tensor]:
    cut = [24 * 24, 24 * 24 + 12 * 12]
    return [
        torch.from_numpy(part.reshape(len(cells), side, side, 16)).permute(0, 3, 1, 2)
        for part, side in zip(np.split(cells, cut, axis=1), (24, 12, 6), strict=True)
    ]


def test_a_finder_that_is_right_loses_nothing_and_is_decoded_rightly() -> None:
    asked = targets([picture((20, 30, 60, 80), (100, 100, 120, 118)), picture((5, 0, 180, 190))])
    centres, strides = cell_centres(192, 192)
    cells = perfect(asked, centres, strides)
    given = [
        torch.from_numpy(each) for each in (centres, strides, asked.score, asked.boxes, asked.landmarks, asked.sizes)
    ]
    terms = finder_losses(as_maps(cells), *given)
    assert all(float(term) < 1e-3 for term in terms.values()), terms
    wrong = finder_losses(as_maps(cells + 0.2), *given)
    assert all(float(wrong[name]) > 0.01 for name in ("box", "landmarks"))
    row, place = np.nonzero(asked.score > 0)
    boxes, landmarks = decode_cells(cells[row, place], centres[place], strides[place])
    np.testing.assert_allclose(boxes, asked.boxes[row, place], atol=1e-3)
    np.testing.assert_allclose(landmarks, asked.landmarks[row, place], atol=1e-3)


def test_the_program_and_the_training_decode_alike() -> None:
    rng = np.random.default_rng(0)
    centres, strides = cell_centres(64, 96)
    cells = rng.normal(0, 1, (len(centres), 16)).astype(np.float32)
    fast = decode_cells(cells, centres, strides)
    slow = decode(*(torch.from_numpy(each) for each in (cells, centres, strides)))
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-3)


def test_distance_iou_of_the_same_box_is_0_and_grows_with_distance() -> None:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    near, far = box + 12, box + 40
    assert float(distance_iou(box, box)) == pytest.approx(0, abs=1e-4)
    assert 1 < float(distance_iou(box, near)) < float(distance_iou(box, far)) < 2


def test_an_unsure_label_teaches_less() -> None:
    truth = torch.zeros(2, 5, 2)
    points = torch.stack([torch.zeros(10), torch.ones(10)])
    eyes = torch.ones(2)
    sure = landmarker_loss(points, truth, torch.tensor([1.0, 1.0]), eyes)
    unsure = landmarker_loss(points, truth, torch.tensor([1.0, 0.1]), eyes)
    assert float(unsure) < float(sure) / 3
