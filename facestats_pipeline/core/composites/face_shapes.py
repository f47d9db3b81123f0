"""Shapes of faces as landmarks: the mean shape of a group, and the move of each photo onto it."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from facestats_pipeline.core.composites.composite_specs import check_method

Float = NDArray[np.float64]
Rgb = NDArray[np.uint8]
Mover = Callable[[Rgb, int], Rgb]
"""(photo (size, size, 3), its index in the group) → the photo as it enters the average, same shape and dtype."""


def mover(method: str, landmarks: Float | None, size: int) -> Mover:
    """How a composite method moves each photo before it is averaged. A dense `warped` method has its place here.

    Args:
        method: `mean` leaves the photo as it is; `aligned` turns, scales and shifts it onto the group's mean shape.
        landmarks: (n, k, 2) in pixels of the `size` × `size` photo; not needed for `mean`.

    Raises:
        CompositeRefused: for a method that is not available yet.
        ValueError: for an unknown method or missing landmarks.
    """
    check_method(method)
    if method == "mean":
        return lambda photo, _: photo
    if landmarks is None:
        raise ValueError("method 'aligned' needs landmarks: one row of 5 points for each photo")
    transforms = similarity_transforms(landmarks, mean_shape(landmarks))

    def move(photo: Rgb, index: int) -> Rgb:
        # Reflection, not a weight per pixel: so every pixel is an average over the whole group, also at the border, and none
        # of them shows only the few photos that reach it.
        moved = cv2.warpAffine(
            photo, transforms[index], (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(moved, dtype=np.uint8)

    return move


def mean_shape(landmarks: Float, rounds: int = 5) -> Float:
    """The Procrustes mean of n shapes: (n, k, 2) → (k, 2), at the group's mean position, size and roll.

    Source: Gower 1975, generalised Procrustes analysis; in the plane a similarity is one complex factor and one shift.
    """
    shapes = _complex(landmarks)  # (n, k)
    plain = shapes.mean(axis=0)
    size = float(np.sqrt((np.abs(_centred(shapes)) ** 2).sum(axis=1)).mean())
    mean = plain
    for _ in range(rounds):
        factor, shift = _similarity(shapes, mean)
        moved = (factor[:, None] * shapes + shift[:, None]).mean(axis=0)
        centred = moved - moved.mean()
        # Without this the mean would shrink and turn from round to round.
        turn = _unit((centred.conj() * (plain - plain.mean())).sum())
        mean = centred * turn * (size / np.sqrt((np.abs(centred) ** 2).sum())) + plain.mean()
    return np.stack([mean.real, mean.imag], axis=-1)


def similarity_transforms(landmarks: Float, target: Float) -> Float:
    """The least-squares similarity of each shape onto `target`: (n, k, 2), (k, 2) → (n, 2, 3), source to target pixels.

    Source: Umeyama 1991, in its planar closed form (no reflection).
    """
    factor, shift = _similarity(_complex(landmarks), _complex(target))
    rows = [np.stack([factor.real, -factor.imag, shift.real], -1), np.stack([factor.imag, factor.real, shift.imag], -1)]
    return np.stack(rows, axis=1)


def _similarity(shapes: NDArray[np.complex128], target: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], ...]:
    centred = _centred(shapes)
    spread = (np.abs(centred) ** 2).sum(axis=1)
    if not np.all(spread > 0):
        raise ValueError("landmarks of a photo all lie on one point: leave that photo out")
    factor = (centred.conj() * (target - target.mean())).sum(axis=1) / spread
    return factor, target.mean() - factor * shapes.mean(axis=1)


def _centred(shapes: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return np.asarray(shapes - shapes.mean(axis=1, keepdims=True))


def _complex(points: Float) -> NDArray[np.complex128]:
    points = np.asarray(points, dtype=np.float64)
    return np.asarray(points[..., 0] + 1j * points[..., 1])


def _unit(value: complex) -> complex:
    return value / abs(value) if abs(value) > 0 else 1.0 + 0.0j
