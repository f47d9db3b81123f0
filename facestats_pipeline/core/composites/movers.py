"""How each photo is moved before it is averaged: not at all, as a whole, or feature by feature.

Coordinates are continuous, pixel i covers [i, i+1), as in `core.images.decoding`; OpenCV puts pixel centres at whole numbers.
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
"""The shape to which photos are aligned lies on a grid of this many steps a side. As photos come, a group's mean shape moves by less than
a step, so that photos which were moved before need not be moved again; where the target is off by half a step the whole composite is."""


class Mover(Protocol):
    """Brings the photos of one group together.

    Attributes:
        passes: how often all photos are to be moved and averaged; the last average is the composite.
        way: what decides how a photo is moved, beside the photo and its landmarks.
    """

    passes: int
    way: bytes

    def move(self, photo: Rgb, index: int) -> Rgb:
        """The photo (size, size, 3) with this index in the group as it enters the average."""
        ...

    def part(self) -> Self:
        """One that moves some of the photos in the current pass, in a thread of its own."""
        ...

    def join(self, part: Self) -> None:
        """Take over what a part has noted while it moved photos."""
        ...

    def learn(self, average: Rgb) -> None:
        """Told the average at the end of every pass but the last, after all parts have been joined."""
        ...


class Plain:
    """Leaves photos as they are."""

    passes = 1
    way = b""

    def move(self, photo: Rgb, index: int) -> Rgb:
        return photo

    def part(self) -> Self:
        return self

    def join(self, part: Self) -> None:
        """Nothing is noted."""

    def learn(self, average: Rgb) -> None:
        """Nothing to learn."""


class Similar(Plain):
    """Turns, scales and shifts each photo so that its landmarks (n, k, 2) come to the shape `target` (k, 2)."""

    def __init__(self, landmarks: Float, target: Float, size: int) -> None:
        self._size = size
        self.way = target.tobytes()
        self._matrices = similarity_transforms(landmarks, target)
        self._matrices[:, :, 2] += self._matrices[:, :, :2].sum(axis=2) / 2 - 0.5  # to OpenCV's pixel centres

    def move(self, photo: Rgb, index: int) -> Rgb:
        # Reflection, not a weight per pixel: so every pixel is an average over the whole group, also at the border, and none
        # of them shows only the few photos that reach it.
        moved = cv2.warpAffine(
            photo,
            self._matrices[index],
            (self._size, self._size),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(moved, dtype=np.uint8)


def on_grid(shape: Float, size: int) -> Float:
    """A shape (k, 2) with each coordinate at the nearest of `GRID` steps a side."""
    return np.asarray(np.rint(shape * (GRID / size)) * (size / GRID))


def mover(method: str, landmarks: Float | None, size: int, shaping: int | None = None) -> Mover:
    """How a composite method moves photos.

    Args:
        method: `mean` leaves photos as they are; `aligned` brings them to the group's mean shape by a similarity; `warped` brings
            every feature there: the 478 points of the face mesh by a piecewise-affine warp and what lies outside the mesh (hair,
            ears, shoulders) by optical flow; with fewer points everything by optical flow, after the similarity.
        landmarks: (n, k, 2) in pixels of the `size` × `size` photo; not needed for `mean`.
        shaping: the mean shape is that of the first so many; of all by default.

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
