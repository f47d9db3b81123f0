"""Aligns faces by appearance: dense optical flow to a template that gets sharper from pass to pass.

The flow is OpenCV's DIS (Kroeger et al. 2016, arXiv:1603.03590). On its own it can fold a picture over itself. It is therefore smoothed,
limited in length, and smoothed further wherever it would still fold. The result can stretch a face but not tear it.
"""

from copy import copy
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Grey = NDArray[np.uint8]
Field = NDArray[np.float32]
"""(size, size, 2) f32: displacement x, y in pixels from a pixel of the template to the corresponding point in the photo."""

PASSES = 3
"""One pass without flow, then two with it. On 102 portraits a third pass with flow changed the sharpness of the eyes by less than 1%."""
EYES = 80.0
"""Pupil distance in pixels at which flow is computed. Larger pictures are reduced to it, so that the flow does not depend on the size, and
hair detail does not outweigh faces."""
SMOOTH = 4.0
"""Standard deviation of the smoothing, in pixels of that scale. At 8 the eyes lose a tenth of their sharpness, at 16 a quarter."""
LONGEST = 24.0
"""Maximal displacement, in pixels of that scale. Faces are aligned before, so a longer one is a false match."""
LEAST_AREA = 0.2
"""Smallest share of its area to which a pixel may shrink. Below 0 the picture would fold over itself."""
STEPS = 1 << 16
"""Drift is summed in integer steps of 1/STEPS pixel, so that the sum does not depend on the order."""
_WINDOW = 49  # px, side of the window in which brightness and contrast are normalised
_FAINT = 8.0  # grey levels: keeps the noise of a flat window from being amplified


class First(Protocol):
    """The mover that aligns photos roughly before flow is computed."""

    def move(self, photo: Rgb, index: int) -> Rgb: ...


class FlowToTemplate:
    """Moves photos onto the average of the previous pass. The first pass uses `first` alone.

    Args:
        first: moves each photo before flow is computed.
        size: side of the photos in pixels, 32 or more.
        eyes: pupil distance in pixels after `first`.
        where: (size, size) f32, 0–1: share of the flow to apply at each pixel; by default all of it.
    """

    passes = PASSES
    way = b"by the average before"

    def __init__(self, first: First, size: int, eyes: float, where: NDArray[np.float32] | None = None) -> None:
        self._first, self._eyes = first, eyes
        self._where = where
        self._template: Rgb | None = None
        self._drift = np.zeros((size, size, 2), np.int64)
        self._moved = 0

    def move(self, photo: Rgb, index: int) -> Rgb:
        """The photo (size, size, 3) u8 moved onto the template; in the first pass, moved by `first` only."""
        placed = self._first.move(photo, index)
        if self._template is None:
            return placed
        field = flow(self._template, placed, self._eyes, self._where)
        self._drift += np.rint(field * STEPS).astype(np.int64)
        self._moved += 1
        return sampled(placed, field)

    def part(self) -> Self:
        """A mover with the same template and its own sum of displacements."""
        part = copy(self)
        part._drift, part._moved = np.zeros_like(self._drift), 0
        return part

    def join(self, part: Self) -> None:
        """Add the part's displacements."""
        self._drift += part._drift
        self._moved += part._moved

    def learn(self, average: Rgb) -> None:
        """Make the average the next template, moved by the mean displacement to where features lie on average in the photos."""
        if self._moved:  # without this, a template that happens to be too narrow would stay too narrow
            average = sampled(average, -(self._drift / (STEPS * self._moved)).astype(np.float32))
        self._template = average
        self._drift[:] = 0
        self._moved = 0


def flow(template: Rgb, photo: Rgb, eyes: float, where: NDArray[np.float32] | None = None) -> Field:
    """The `limited` flow from `template` to `photo` times `where`: (size, size, 2) f32, in pixels. `eyes`: pupil distance in pixels."""
    size = len(template)
    side = max(32, min(size, round(size * EYES / eyes)))
    first, second = (
        evened(cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8))
        for each in (template, photo)
    )
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    field = dis.calc(first, second, np.zeros((side, side, 2), np.float32))
    share = None if where is None else cv2.resize(where, (side, side), interpolation=cv2.INTER_AREA)
    kept = limited(np.asarray(field, dtype=np.float32), None if share is None else share.astype(np.float32))
    whole = cv2.resize(kept, (size, size), interpolation=cv2.INTER_LINEAR) * (size / side)
    return np.asarray(whole, dtype=np.float32)


def evened(photo: Rgb) -> Grey:
    """Grey (size, size) u8 with locally normalised mean and contrast, so that lighting and skin colour do not affect the flow."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.blur(grey, (_WINDOW, _WINDOW))
    variance = np.maximum(cv2.blur(grey * grey, (_WINDOW, _WINDOW)) - mean * mean, 0)
    return np.asarray(np.clip(128 + 50 * (grey - mean) / np.sqrt(variance + _FAINT**2), 0, 255), dtype=np.uint8)


def limited(field: Field, where: NDArray[np.float32] | None = None) -> Field:
    """The field smoothed, limited to `LONGEST`, times `where`, and smoothed further around every pixel that would shrink below
    `LEAST_AREA`."""
    size = len(field)
    half = size // 2  # the smoothed field loses nothing at half the resolution, at a quarter of the cost
    scale = size / half
    coarse = cv2.resize(field, (half, half), interpolation=cv2.INTER_AREA)
    sigma = SMOOTH / scale
    coarse = cv2.GaussianBlur(coarse, (0, 0), sigma)
    length = np.sqrt((coarse**2).sum(axis=2, keepdims=True))
    coarse = coarse * np.minimum(1, LONGEST / np.maximum(length, 1e-6))
    if where is not None:
        coarse *= cv2.resize(where, (half, half), interpolation=cv2.INTER_AREA)[..., None]
    while True:
        folded = areas(coarse, scale) < LEAST_AREA
        if not folded.any():
            break
        sigma *= 1.6
        reach = 2 * int(sigma) + 1
        around = cv2.dilate(folded.astype(np.float32), np.ones((reach, reach), np.uint8))
        share = cv2.GaussianBlur(around, (0, 0), sigma / 2)[..., None]
        share = share if sigma < half else np.ones_like(share)  # guarantees an end: the field becomes almost constant
        coarse += share * (cv2.GaussianBlur(coarse, (0, 0), sigma) - coarse)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def areas(field: Field, step: float = 1.0) -> NDArray[np.float32]:
    """(size, size) f32: the factor by which the field scales each pixel's area (the Jacobian determinant); negative where it folds.

    `step`: pixels between two values of the field.
    """
    down, across = (np.asarray(np.gradient(field, step, axis=axis), dtype=np.float32) for axis in (0, 1))
    return np.asarray((1 + across[..., 0]) * (1 + down[..., 1]) - across[..., 1] * down[..., 0], dtype=np.float32)


def sampled(photo: Rgb, field: Field) -> Rgb:
    """The photo warped by the field: pixel p shows the photo at p + field(p)."""
    size = len(photo)
    down, across = np.mgrid[0:size, 0:size].astype(np.float32)
    at = (across + field[..., 0], down + field[..., 1])
    return np.asarray(cv2.remap(photo, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8)
