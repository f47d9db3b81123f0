"""Which cell of the finder's maps is to answer for which face, and with what."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.detector.data import Picture
from facestats_pipeline.core.detector.network import STRIDES

RANGES = ((0.0, 36.0), (26.0, 84.0), (62.0, 1e9))
"""Sizes of faces (mean side of the box, px) for which the cells of a stride answer; where they overlap, both do."""
_REACH = (
    0.8  # cells whose centre is within this many strides of the face's centre, or within a sixth of its side, answer
)
_PART = 1 / 6

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Targets:
    """Per picture and cell, over all three maps one after the other; cells of a map in rows."""

    score: Floats  # (n, cells) 1 where a face is to be found, 0 elsewhere, -1 where neither is asked
    boxes: Floats  # (n, cells, 4) left, top, right, bottom in px
    landmarks: Floats  # (n, cells, 5, 2) px; NaN where they are not known
    sizes: Floats  # (n, cells) mean side of the face's box, px


def cell_centres(height: int, width: int) -> tuple[Floats, Floats]:
    """Centres (cells, 2) in px and strides (cells,) of all cells of a picture of height × width px (multiples of 32)."""
    centres, strides = [], []
    for stride in STRIDES:
        ys, xs = np.mgrid[0 : height // stride, 0 : width // stride].astype(np.float32)
        centres.append((np.stack([xs, ys], axis=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(np.full(len(centres[-1]), stride, np.float32))
    return np.concatenate(centres).astype(np.float32), np.concatenate(strides)


def targets(pictures: list[Picture]) -> Targets:
    """Targets of square pictures of one size. Of several faces at one cell the smallest is asked for."""
    side = pictures[0].pixels.shape[0]
    centres, strides = cell_centres(side, side)
    low = np.select([strides == stride for stride in STRIDES], [low for low, _ in RANGES])
    high = np.select([strides == stride for stride in STRIDES], [high for _, high in RANGES])
    n, cells = len(pictures), len(centres)
    made = Targets(
        np.zeros((n, cells), np.float32),
        np.zeros((n, cells, 4), np.float32),
        np.full((n, cells, 5, 2), np.nan, np.float32),
        np.ones((n, cells), np.float32),
    )
    for row, picture in enumerate(pictures):
        score = made.score[row]
        for box in picture.ignored:
            score[_inside(centres, box, 0.0)] = -1
        sizes = np.sqrt(np.maximum((picture.boxes[:, 2:] - picture.boxes[:, :2]).prod(axis=1), 1.0))
        for face in np.argsort(-sizes):
            box, size = picture.boxes[face], sizes[face]
            # In the middle half of a face, cells that are not asked for it are not told that there is none.
            score[_inside(centres, box, 0.25) & (score == 0)] = -1
            away = np.abs(centres - (box[:2] + box[2:]) / 2).max(axis=1)
            mine = (
                (away <= np.maximum(_REACH * strides, _PART * size * (strides == STRIDES[-1])))
                & (low <= size)
                & (size < high)
            )
            score[mine] = 1
            made.boxes[row, mine], made.sizes[row, mine] = box, size
            made.landmarks[row, mine] = picture.landmarks[face]
    return made


def _inside(centres: Floats, box: Floats, margin: float) -> npt.NDArray[np.bool_]:
    """Centres within a box that is made smaller by a share of its sides."""
    spare = (box[2:] - box[:2]) * margin
    return np.asarray(((centres > box[:2] + spare) & (centres < box[2:] - spare)).all(axis=1))
