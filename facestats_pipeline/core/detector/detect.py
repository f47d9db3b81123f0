"""Finding faces with the shipped detector: a small look at the whole photo, closer ones where faces are small, one at the chosen face.

Safe from any number of threads at once: the networks are only read, and nothing is kept between calls.
"""

import hashlib
import math
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from facestats_pipeline.core.detector.crops import crop, moved_back, to_crop
from facestats_pipeline.core.detector.export import WEIGHTS_FILE, Config, read
from facestats_pipeline.core.detector.network import CELL, FACE_PX
from facestats_pipeline.core.detector.targets import cell_centres
from facestats_pipeline.core.preproc.faces import FLOOR_SCORE, SURE_SCORE, Face

LOOK_PX: Final = 192
"""Long side at which a photo is looked at first."""
CLOSER: Final = 2
"""How many times larger than the one before each closer look is."""
MOST_PX: Final = 1536
"""Long side of the closest look."""
_STEP = 32  # the networks take sides that are multiples of it
_SMALL_PX = 34.0  # a face smaller than this in a look says that there may be more that this look cannot see
_HINT = 0.12  # score of such a face that is enough for a closer look
_LARGEST_IN_CLOSER = 128.0  # px: what is larger was seen better by the look before
_SAME = 0.45  # overlap, as a share of the smaller box, from which on two boxes are one face
_MOST_CELLS = 3000
_LEAST_PX = 1.0  # landmarks that are no farther apart say nothing of how a face is turned

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Detector:
    """The shipped networks as a face detector. `name` tells the weights apart."""

    def __init__(self, finder: nn.Module, landmarker: nn.Module, config: Config, name: str) -> None:
        self.name, self.config = name, config
        # bf16 is twice as fast where the processor multiplies whole tiles of it, and slower than f32 where it does not.
        self._type = torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32
        self._finder, self._landmarker = (
            network.to(self._type).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for network in (finder, landmarker)
        )

    def detect(self, rgb: Pixels) -> list[Face]:
        """Faces in an RGB uint8 picture (height, width, 3) with a score of at least FLOOR_SCORE: the sure ones (SURE_SCORE), largest
        first, then the doubtful ones. The first face gets the most exact landmarks."""
        faces = self._find(rgb)
        faces.sort(key=lambda face: (face.score < SURE_SCORE, -face.area))
        if faces:
            faces[0] = self._exact(rgb, faces[0])
        return faces

    def _find(self, rgb: Pixels) -> list[Face]:
        """Looks, each closer than the one before, until the last one holds no hint of small faces, or the photo has no more to show."""
        largest = max(rgb.shape[:2])
        look_px, found = LOOK_PX, list[Face]()
        while True:
            scale = min(1.0, look_px / largest)
            seen = self._look(rgb, scale)
            if look_px > LOOK_PX:
                seen = [face for face in seen if math.sqrt(face.area) * scale <= _LARGEST_IN_CLOSER]
            hint = any(face.score >= _HINT and math.sqrt(face.area) * scale < _SMALL_PX for face in seen)
            found += seen
            sure = any(face.score >= SURE_SCORE for face in found)
            if scale == 1.0 or look_px >= MOST_PX or not (hint or (not sure and look_px == LOOK_PX)):
                break
            look_px *= CLOSER
        return [face for face in distinct(found) if face.score >= FLOOR_SCORE]

    def _look(self, rgb: Pixels, scale: float) -> list[Face]:
        """Faces, in px of `rgb`, with a score of at least _HINT, each once."""
        height, width = rgb.shape[:2]
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        small = rgb if (w, h) == (width, height) else cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
        full = np.full((1, _up(h), _up(w), 3), 127, np.uint8)
        full[0, :h, :w] = small
        with torch.inference_mode():
            maps = self._finder(self._input(full))
            cells = torch.cat([each[0].permute(1, 2, 0).reshape(-1, CELL) for each in maps]).float().numpy()
        scores = self._score(cells[:, 0])
        keep = np.flatnonzero(scores >= _HINT)
        if len(keep) > _MOST_CELLS:
            keep = keep[np.argsort(-scores[keep])[:_MOST_CELLS]]
        if not len(keep):
            return []
        centres, strides = cell_centres(full.shape[1], full.shape[2])
        boxes, landmarks = decode_cells(cells[keep], centres[keep], strides[keep])
        to_photo = np.array([width / w, height / h], np.float32)
        boxes, landmarks = boxes.reshape(-1, 2, 2) * to_photo, landmarks * to_photo
        faces = [
            Face(np.concatenate([box[0], box[1] - box[0]]).astype(np.float32), points, float(score))
            for box, points, score in zip(boxes, landmarks, scores[keep], strict=True)
            if np.isfinite(box).all() and np.isfinite(points).all()
        ]
        return distinct(faces)

    def _score(self, logits: Floats) -> Floats:
        shifted = self.config.stretch * (logits.astype(np.float64) - self.config.middle) + math.log(0.6 / 0.4)
        return np.asarray(1 / (1 + np.exp(-np.clip(shifted, -30, 30))), np.float32)

    def _exact(self, rgb: Pixels, face: Face) -> Face:
        """The same face with the landmarks that the second network sees in the face brought upright."""
        if np.ptp(face.landmarks, axis=0).max() < _LEAST_PX:
            return face
        points = self._landmarks(rgb, face.landmarks)
        return Face(face.box, points, face.score) if np.isfinite(points).all() else face

    def _landmarks(self, rgb: Pixels, rough: Floats) -> Floats:
        matrix = to_crop(rough)
        scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        part, to_part = _around(rgb, matrix, scale)
        from_part = matrix.copy()
        from_part[:, :2] = matrix[:, :2] / to_part[0]
        from_part[:, 2] += matrix[:, :2] @ to_part[1]
        with torch.inference_mode():
            seen = self._landmarker(self._input(crop(part, from_part)[None]))[0].float().numpy()
        return moved_back((seen.reshape(5, 2) + 1) * (FACE_PX / 2), matrix)

    def _input(self, pixels: Pixels) -> torch.Tensor:
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1).to(self._type)


def _up(side: int) -> int:
    return max(_STEP, -(-side // _STEP) * _STEP)


def _around(rgb: Pixels, matrix: Floats, scale: float) -> tuple[Pixels, tuple[Floats, Floats]]:
    """The part of a photo that the face's picture shows, shrunk with antialiasing where it is much larger; and how large and where it is:
    (px of the part for one of the photo, across and down; its top left corner in the photo)."""
    height, width = rgb.shape[:2]
    corners = moved_back(np.array([(0, 0), (FACE_PX, 0), (0, FACE_PX), (FACE_PX, FACE_PX)], np.float32), matrix)
    spare = 2 / max(scale, 1e-6)
    left, top = (int(v) for v in np.clip(np.floor(corners.min(axis=0) - spare), 0, (width - 1, height - 1)))
    right, bottom = (
        int(v) for v in np.clip(np.ceil(corners.max(axis=0) + spare), (left + 1, top + 1), (width, height))
    )
    part, corner = rgb[top:bottom, left:right], np.array((left, top), np.float32)
    if scale > 0.7:
        return part, (np.ones(2, np.float32), corner)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    shrunk = np.array((size[0] / (right - left), size[1] / (bottom - top)), np.float32)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8), (shrunk, corner)


def decode_cells(cells: Floats, centres: Floats, strides: Floats) -> tuple[Floats, Floats]:
    """Boxes (n, 4) and landmarks (n, 5, 2) in px of the look; `losses.decode` without torch."""
    sides = np.exp(np.clip(cells[:, 1:5], -6, 6)) * strides[:, None]
    boxes = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1)
    half = np.sqrt((sides[:, :2] + sides[:, 2:]).prod(axis=1)) / 2
    return boxes, centres[:, None] + cells[:, 5:15].reshape(-1, 5, 2) * half[:, None, None]


def distinct(faces: list[Face]) -> list[Face]:
    """Each face once: the surest box of those that overlap, its place the mean of theirs weighted by score."""
    if len(faces) < 2:
        return faces
    order = sorted(faces, key=lambda face: -face.score)
    boxes = np.stack([face.box for face in order])
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    areas, scores = boxes[:, 2:].prod(axis=1), np.array([face.score for face in order], np.float32)
    free = np.ones(len(order), bool)
    kept = []
    for i, face in enumerate(order):
        if not free[i]:
            continue
        shared = (
            (np.minimum(corners[i, 2:], corners[:, 2:]) - np.maximum(corners[i, :2], corners[:, :2]))
            .clip(0)
            .prod(axis=1)
        )
        same = free & (shared > _SAME * np.minimum(areas[i], areas))
        close = same & (shared > 0.6 * np.maximum(areas[i], areas)) & (scores > 0.5 * scores[i])
        free &= ~same
        free[i] = False
        if close.sum() > 1:
            weight = scores[close] / scores[close].sum()
            box = (boxes[close] * weight[:, None]).sum(axis=0)
            points = np.stack([order[j].landmarks for j in np.flatnonzero(close)])
            face = Face(
                box.astype(np.float32), (points * weight[:, None, None]).sum(axis=0).astype(np.float32), face.score
            )
        kept.append(face)
    return kept


def load(folder: Path) -> Detector:
    """The detector of an exported folder; raises `export.WeightsRefused`, naming the file."""
    finder, landmarker, config = read(folder)
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes())
    digest.update(repr(config).encode())
    return Detector(finder, landmarker, config, f"facestats-{digest.hexdigest()[:8]}")
