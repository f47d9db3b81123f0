"""Movers bring a photo into place before it is averaged: not at all, as a whole, or feature by feature.

Coordinates are continuous: pixel i covers [i, i+1), as in `core.images.decoding`. OpenCV has pixel centres at integers.
"""

from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from facestats_pipeline.core.composites.composite_specs import check_method
from facestats_pipeline.core.composites.face_shapes import Float, mean_shape, similarity_transforms
from facestats_pipeline.core.composites.optical_flow import FlowToTemplate
from facestats_pipeline.core.composites.shape_warp import PiecewiseAffine
from facestats_pipeline.core.preproc import face_mesh

Rgb = NDArray[np.uint8]

GRID = 128
"""The target shape of alignment is rounded to a grid of this many steps per side. New photos move a group's mean shape by less than a
step, so the target stays the same and earlier sums stay valid. The price is a shift of the whole composite by up to half a step."""


class Mover(Protocol):
    """Moves the photos of one group into place.

    Attributes:
        passes: number of passes over all photos; the average of the last one is the composite.
        way: the settings that affect how a photo is moved, apart from the photo and its landmarks.
    """

    passes: int
    way: bytes

    def move(self, photo: Rgb, index: int) -> Rgb:
        """The photo (size, size, 3) u8 as it enters the average; `index` is its index in the group."""
        ...

    def part(self) -> Self:
        """A mover for one thread, for some of the photos of the current pass."""
        ...

    def join(self, part: Self) -> None:
        """Add the statistics that a part gathered while moving photos."""
        ...

    def learn(self, average: Rgb) -> None:
        """Receive the average at the end of every pass but the last, after all parts were joined."""
        ...


class Plain:
    """Leaves photos unchanged."""

    passes = 1
    way = b""

    def move(self, photo: Rgb, index: int) -> Rgb:
        return photo

    def part(self) -> Self:
        return self

    def join(self, part: Self) -> None:
        """Do nothing: there are no statistics."""

    def learn(self, average: Rgb) -> None:
        """Do nothing: photos do not depend on the average."""


class Similar(Plain):
    """Rotates, scales and shifts each photo so that its landmarks (one row of (n, k, 2)) fit the shape `target` (k, 2)."""

    def __init__(self, landmarks: Float, target: Float, size: int) -> None:
        self._size = size
        self.way = target.tobytes()
        self._matrices = similarity_transforms(landmarks, target)
        self._matrices[:, :, 2] += self._matrices[:, :, :2].sum(axis=2) / 2 - 0.5  # to OpenCV's pixel centres

    def move(self, photo: Rgb, index: int) -> Rgb:
        # Reflection instead of a weight per pixel: every pixel is then an average over the whole group. With weights, pixels at the border
        # would show only the few photos that reach them.
        moved = cv2.warpAffine(
            photo,
            self._matrices[index],
            (self._size, self._size),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(moved, dtype=np.uint8)


def on_grid(shape: Float, size: int) -> Float:
    """The shape (k, 2) with each coordinate rounded to the nearest of `GRID` steps per side."""
    return np.asarray(np.rint(shape * (GRID / size)) * (size / GRID))


def mover(method: str, landmarks: Float | None, size: int, shaping: int | None = None) -> Mover:
    """The mover of a composite method.

    Args:
        method: `mean` leaves photos unchanged. `aligned` fits them to the group's mean shape by a similarity. `warped` fits every feature:
            the 478 points of the face mesh by a piecewise-affine warp, and everything outside the mesh (hair, ears, shoulders) by optical
            flow. With fewer points, `warped` uses optical flow for everything, after the similarity.
        landmarks: (n, k, 2) in pixels of the `size` × `size` photo; not needed for `mean`.
        shaping: number of leading rows that define the mean shape; all by default.

    Raises:
        ValueError: for an unknown method or missing landmarks.
    """
    check_method(method)
    if method == "mean":
        return Plain()
    if landmarks is None:
        raise ValueError(f"method '{method}' needs landmarks: one row of points for each photo")
    shape = mean_shape(landmarks[:shaping])
    if method == "aligned":
        return Similar(landmarks, on_grid(shape, size), size)
    meshed = landmarks.shape[1] == face_mesh.POINTS
    right, left = (shape[face_mesh.RIGHT_IRIS], shape[face_mesh.LEFT_IRIS]) if meshed else (shape[0], shape[1])
    eyes = float(np.hypot(*(left - right)))
    if not meshed:
        return FlowToTemplate(Similar(landmarks, shape, size), size, eyes)
    by_shape = PiecewiseAffine(landmarks, shape, size)
    return FlowToTemplate(by_shape, size, eyes, where=by_shape.outside())
