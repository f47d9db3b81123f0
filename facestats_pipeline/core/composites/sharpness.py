"""Sharpness of an average face: the gradient energy around the eyes, which misaligned faces blur first."""

import cv2
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

EYE_DISTANCE = 80
"""Pupil distance in pixels to which the picture is scaled before measuring, because gradients depend on the scale."""
_AROUND = (0.4, 0.3)  # margin of the region around the pupils, horizontally and vertically, in pupil distances


def eye_sharpness(picture: Image.Image, right_eye: ArrayLike, left_eye: ArrayLike) -> float:
    """Mean squared gradient of the grey levels (0–255) around both eyes; pupils (x, y) in pixels of the picture.

    Raises ValueError when the pupils coincide.
    """
    first, second = np.asarray(right_eye, dtype=np.float64), np.asarray(left_eye, dtype=np.float64)
    across = second - first
    distance = float(np.hypot(*across))
    if distance == 0:
        raise ValueError("both eyes are at one point")
    beyond, above = (round(EYE_DISTANCE * share) for share in _AROUND)
    cosine, sine = across / distance * (EYE_DISTANCE / distance)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    shift = np.array([beyond, above]) - linear @ first
    matrix = np.hstack([linear, (shift + linear @ (0.5, 0.5) - 0.5)[:, None]])
    shown = (EYE_DISTANCE + 2 * beyond, 2 * above)
    grey = np.asarray(picture.convert("L"), dtype=np.float32)
    down, along = np.gradient(cv2.warpAffine(grey, matrix, shown, flags=cv2.INTER_CUBIC).astype(np.float64))
    return float((down**2 + along**2).mean())
