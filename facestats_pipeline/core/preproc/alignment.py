"""Face alignment: a similarity transform from five landmarks to a fixed template, and the warp that applies it."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from facestats_pipeline.core.images.decoding import Transform, compose
from facestats_pipeline.core.images.resampling import Pixels, resize
from facestats_pipeline.core.preproc.faces import Face

_SOFT_PX: Final = 64

# The template is FairFace's own framing, so that models trained on FairFace crops see the same scale. It is the median of the landmarks
# that FaceDetector.detect finds in 2,996 of 3,000 FairFace photos (224×224, padding 0.25), as shares of the frame, averaged with its
# mirror image: right eye, left eye, nose, right and left mouth corner. Raw medians: (.3177 .2935) (.6763 .2925) (.4946 .5075)
# (.3487 .6845) (.6479 .6841); interquartile range of the eye distance: .333 to .375.
FAIRFACE_TEMPLATE: Final = np.array(
    [(0.3207, 0.2930), (0.6793, 0.2930), (0.5000, 0.5075), (0.3504, 0.6843), (0.6496, 0.6843)], dtype=np.float64
)
MARGIN: Final = 0.10
"""Widening of FairFace's frame on each side. At 0 a portrait loses its hair, as in FairFace itself. At 0.10 the whole head fits, and a
FairFace crop gets a soft border of 8% of the frame. At 0.15 that border becomes visible."""
TEMPLATE: Final = (FAIRFACE_TEMPLATE - 0.5) / (1 + 2 * MARGIN) + 0.5
"""Positions of the five landmarks of an aligned face, float64 (5, 2), as shares of the picture's side."""


def similarity(points: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]) -> Transform:
    """Least-squares similarity (rotation, one scale, shift; no reflection) from points (n, 2) to targets (n, 2), as float64 (2, 3).

    Source: Umeyama 1991, doi:10.1109/34.88573. Raises ValueError when the points coincide.
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
    """The 2×3 transform from pixels of the picture where `face` was found to pixels of its aligned size×size picture."""
    return similarity(face.landmarks, TEMPLATE * size)


def warp(pixels: Pixels, transform: Transform, size: int) -> Pixels:
    """Apply a similarity transform to RGB pixels (h, w, 3), giving (size, size, 3). The area outside the photo is a blurred reflection.

    The needed part is first shrunk with antialiasing, so that a large face does not alias. The bicubic warp then only rotates, at a scale
    of one.
    """
    height, width = pixels.shape[:2]
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)], dtype=np.float64)
    back = np.linalg.inv(transform[:, :2])
    seen = (corners - transform[:, 2]) @ back.T  # the corners of the result, in pixels of the photo
    spare = 3 / min(scale, 1.0)  # the bicubic kernel reaches beyond the corners
    left, top = (int(v) for v in np.clip(np.floor(seen.min(axis=0) - spare), 0, (width - 1, height - 1)))
    right, bottom = (int(v) for v in np.clip(np.ceil(seen.max(axis=0) + spare), (left + 1, top + 1), (width, height)))
    part = pixels[top:bottom, left:right]
    part_size = (right - left, bottom - top)
    if scale < 1.0:
        part_size = (max(1, round(part_size[0] * scale)), max(1, round(part_size[1] * scale)))
        part = resize(part, *part_size)
    sx, sy = (right - left) / part_size[0], (bottom - top) / part_size[1]
    from_part = compose(transform, np.array([[sx, 0, left], [0, sy, top]], dtype=np.float64))
    matrix = from_part.copy()  # OpenCV has pixel centres at integers, this module at halves
    matrix[:, 2] += from_part[:, :2] @ (0.5, 0.5) - 0.5
    warped = cv2.warpAffine(
        np.ascontiguousarray(part), matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    out: Pixels = np.asarray(warped, dtype=np.uint8)
    if seen.min() < 0 or (seen.max(axis=0) > (width, height)).any():
        out = _soften_outside(out, matrix, part_size, size)
    return out


def _soften_outside(out: Pixels, matrix: Transform, part_size: tuple[int, int], size: int) -> Pixels:
    """Blur the area outside the photo, increasingly with distance: a sharp reflection could look like a second face."""
    inside = np.full((part_size[1], part_size[0]), 255, dtype=np.uint8)
    shown = cv2.warpAffine(
        inside, matrix, (size, size), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(0,)
    )
    distance = cv2.distanceTransform(255 - shown, cv2.DIST_L2, 3)
    # Blurring a small copy looks the same and takes a fifth of the time.
    blurred = cv2.resize(out, (_SOFT_PX, _SOFT_PX), interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(cv2.blur(cv2.blur(blurred, (7, 7)), (7, 7)), (size, size), interpolation=cv2.INTER_LINEAR)
    weight = np.minimum(distance * np.float32(24 / size), np.float32(1))
    return np.asarray(cv2.blendLinear(out, blurred, 1 - weight, weight), dtype=np.uint8)


def align_face(image: Image.Image, face: Face, *, size: int = 512) -> tuple[Image.Image, Transform]:
    """(size×size RGB picture with the face at TEMPLATE, 2×3 transform from pixels of `image` to its pixels).

    Raises ValueError when the landmarks coincide.
    """
    transform = face_transform(face, size)
    return Image.fromarray(warp(np.asarray(image), transform, size)), transform
