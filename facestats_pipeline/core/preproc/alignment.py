"""Bringing a face into the same place in every picture: a similarity transform from its five landmarks to a template."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from facestats_pipeline.core.images.decoding import Transform, compose
from facestats_pipeline.core.images.resampling import Pixels, resize
from facestats_pipeline.core.preproc.faces import Face

_SOFT_PX: Final = 64

# Median of this project's landmarks (FaceDetector.detect) in 2,996 of the 3,000 FairFace photos (224×224, FairFace's own padding of
# 0.25), as shares of the frame, averaged with their own mirror image: right eye, left eye, nose, right and left mouth corner. Raw medians:
# (.3177 .2935) (.6763 .2925) (.4946 .5075) (.3487 .6845) (.6479 .6841); middle half of the distances of the eyes: .333 to .375.
FAIRFACE_TEMPLATE: Final = np.array(
    [(0.3207, 0.2930), (0.6793, 0.2930), (0.5000, 0.5075), (0.3504, 0.6843), (0.6496, 0.6843)], dtype=np.float64
)
MARGIN: Final = 0.10
"""Widening of FairFace's frame on each side. At 0 the hair of a portrait is cut, as in FairFace itself; at 0.10 the whole head is in
and a FairFace crop gets a soft border of 8% of the frame; at 0.15 that border begins to show."""
TEMPLATE: Final = (FAIRFACE_TEMPLATE - 0.5) / (1 + 2 * MARGIN) + 0.5
"""Where the five landmarks of an aligned face lie, float64 (5, 2), as shares of the side of its picture."""


def similarity(points: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]) -> Transform:
    """Least-squares similarity (rotation, one scale, shift; no mirroring) that takes points (n, 2) to targets (n, 2).

    Umeyama 1991, doi:10.1109/34.88573. Raises ValueError when the points coincide.
    """
    source, target = np.asarray(points, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred, target_centred = source - source_mean, target - target_mean
    variance = float((source_centred**2).sum())
    if not np.isfinite(variance) or variance < 1e-12:
        raise ValueError("the landmarks coincide: no similarity transform can be found")
    u, strengths, vt = np.linalg.svd(target_centred.T @ source_centred)
    signs = np.array([1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    linear = (u * signs) @ vt * (float((strengths * signs).sum()) / variance)
    return np.hstack([linear, (target_mean - linear @ source_mean)[:, None]])


def face_transform(face: Face, size: int = 512) -> Transform:
    """The transform from the px of the picture in which `face` was found to the px of its aligned size×size picture."""
    return similarity(face.landmarks, TEMPLATE * size)


def warp(pixels: Pixels, transform: Transform, size: int) -> Pixels:
    """RGB pixels (h, w, 3) seen through a similarity transform, as (size, size, 3); parts that they do not show are a soft reflection.

    Shrinking is done first, with antialiasing over the needed part of the picture, so that a large face does not alias; what is left
    for the bicubic warp is rotation at a scale of one.
    """
    height, width = pixels.shape[:2]
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)], dtype=np.float64)
    back = np.linalg.inv(transform[:, :2])
    seen = (corners - transform[:, 2]) @ back.T
    spare = 3 / min(scale, 1.0)
    left, top = (int(v) for v in np.clip(np.floor(seen.min(axis=0) - spare), 0, (width - 1, height - 1)))
    right, bottom = (int(v) for v in np.clip(np.ceil(seen.max(axis=0) + spare), (left + 1, top + 1), (width, height)))
    part = pixels[top:bottom, left:right]
    part_size = (right - left, bottom - top)
    if scale < 1.0:
        part_size = (max(1, round(part_size[0] * scale)), max(1, round(part_size[1] * scale)))
        part = resize(part, *part_size)
    sx, sy = (right - left) / part_size[0], (bottom - top) / part_size[1]
    from_part = compose(transform, np.array([[sx, 0, left], [0, sy, top]], dtype=np.float64))
    matrix = from_part.copy()  # OpenCV puts pixel centres at whole numbers, this module at halves
    matrix[:, 2] += from_part[:, :2] @ (0.5, 0.5) - 0.5
    warped = cv2.warpAffine(
        np.ascontiguousarray(part), matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    out: Pixels = np.asarray(warped, dtype=np.uint8)
    if seen.min() < 0 or (seen.max(axis=0) > (width, height)).any():
        out = _soften_outside(out, matrix, part_size, size)
    return out


def _soften_outside(out: Pixels, matrix: Transform, part_size: tuple[int, int], size: int) -> Pixels:
    """Blur what lies outside the photo, more the farther out: a reflection should not look like a second face."""
    inside = np.full((part_size[1], part_size[0]), 255, dtype=np.uint8)
    shown = cv2.warpAffine(
        inside, matrix, (size, size), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(0,)
    )
    distance = cv2.distanceTransform(255 - shown, cv2.DIST_L2, 3)
    blurred = cv2.resize(
        out, (_SOFT_PX, _SOFT_PX), interpolation=cv2.INTER_AREA
    )  # blurred small: the same look, a fifth of the time
    blurred = cv2.resize(cv2.blur(cv2.blur(blurred, (7, 7)), (7, 7)), (size, size), interpolation=cv2.INTER_LINEAR)
    weight = np.minimum(distance * np.float32(24 / size), np.float32(1))
    return np.asarray(cv2.blendLinear(out, blurred, 1 - weight, weight), dtype=np.uint8)


def align_face(image: Image.Image, face: Face, *, size: int = 512) -> tuple[Image.Image, Transform]:
    """The face brought to TEMPLATE in a size×size RGB picture, and the 2×3 transform from `image` px to its px.

    Raises ValueError when the landmarks coincide.
    """
    transform = face_transform(face, size)
    return Image.fromarray(warp(np.asarray(image), transform, size)), transform
