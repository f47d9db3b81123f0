"""What the landmarker sees: the picture of one face, brought upright by landmarks that are roughly known."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.detector.network import FACE_PX

FACE_TEMPLATE: Final = np.array(
    [(0.33, 0.37), (0.67, 0.37), (0.50, 0.56), (0.37, 0.73), (0.63, 0.73)], dtype=np.float32
)
"""Where the five landmarks of an average face lie in that picture, as shares of its side."""

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def to_crop(landmarks: Floats, size: int = FACE_PX) -> Floats:
    """The similarity (2, 3), px of a picture → px of the face's picture, that takes landmarks (5, 2) nearest to FACE_TEMPLATE.

    Least squares over complex numbers: a similarity without mirroring is one complex factor and one shift.
    """
    source = landmarks[:, 0].astype(np.float64) + 1j * landmarks[:, 1]
    target = (FACE_TEMPLATE[:, 0].astype(np.float64) + 1j * FACE_TEMPLATE[:, 1]) * size
    centred = source - source.mean()
    factor = (np.conj(centred) * (target - target.mean())).sum() / max(float((np.abs(centred) ** 2).sum()), 1e-9)
    shift = target.mean() - factor * source.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]], np.float32)


def crop(pixels: Pixels, matrix: Floats, size: int = FACE_PX) -> Pixels:
    """RGB pixels (h, w, 3) seen through `matrix`, (size, size, 3). Much larger pictures are to be shrunk before."""
    shifted = matrix.copy()  # OpenCV puts pixel centres at whole numbers, landmarks count from pixel corners
    shifted[:, 2] += matrix[:, :2] @ np.array((0.5, 0.5), np.float32) - 0.5
    seen = cv2.warpAffine(pixels, shifted, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)


def moved(points: Floats, matrix: Floats) -> Floats:
    """Points (…, 2) moved by a matrix (2, 3)."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def moved_back(points: Floats, matrix: Floats) -> Floats:
    """Points (…, 2) of the face's picture in px of the picture that `matrix` comes from."""
    return ((points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T).astype(np.float32)
