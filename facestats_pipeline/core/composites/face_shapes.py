"""Face shapes as landmarks: the mean shape of a group, and similarity transforms onto a shape."""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def mean_shape(landmarks: Float, rounds: int = 5) -> Float:
    """The Procrustes mean of n shapes (n, k, 2), as (k, 2), at the group's mean position, size and roll.

    Source: Gower 1975, generalised Procrustes analysis. With points as complex numbers, a similarity is one factor and one shift.
    """
    shapes = _complex(landmarks)  # (n, k)
    plain = shapes.mean(axis=0)
    size = float(np.sqrt((np.abs(_centred(shapes)) ** 2).sum(axis=1)).mean())
    mean = plain
    for _ in range(rounds):
        factor, shift = _similarity(shapes, mean)
        moved = (factor[:, None] * shapes + shift[:, None]).mean(axis=0)
        centred = moved - moved.mean()
        # Position, size and roll are fixed to the group's: without this, the mean would shrink and rotate from round to round.
        turn = _unit((centred.conj() * (plain - plain.mean())).sum())
        mean = centred * turn * (size / np.sqrt((np.abs(centred) ** 2).sum())) + plain.mean()
    return np.stack([mean.real, mean.imag], axis=-1)


def similarity_transforms(landmarks: Float, target: Float) -> Float:
    """(n, 2, 3) least-squares similarities from each shape of `landmarks` (n, k, 2) onto `target` (k, 2), in pixels.

    Source: Umeyama 1991, in planar closed form without reflection. Raises ValueError when the landmarks of a photo coincide.
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
