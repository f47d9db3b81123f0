"""Quality measures of preprocessed photos: sharpness, brightness, contrast, size of the face, head pose, perceptual hash.

The definitions are fixed and the same for every collection. Thresholds belong to the flags.
"""

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from facestats_pipeline.core.images.decoding import Transform, invert
from facestats_pipeline.core.images.problems import ImageProblem, decoder_errors
from facestats_pipeline.core.phases import Phases, current
from facestats_pipeline.core.preproc.quality_table import IMAGE_QUALITY
from facestats_pipeline.core.progress import track

NOSE_DEPTH = 0.61
"""How far the nose tip protrudes from the line of the eyes, in eye distances. It is fitted to MediaPipe's head pose in 357 FairFace crops
(0.61), 204 London portraits (0.62) and 147 official portraits (0.60). Yaw then correlates with MediaPipe's at 0.97 (FairFace) and 0.97
(official portraits); the roll of portraits correlates at 0.86 to 0.90, with a slope of 0.94 to 0.97."""

_SIDE = 32
_DCT = 2 * np.cos(np.pi * (2 * np.arange(_SIDE)[None, :] + 1) * np.arange(_SIDE)[:, None] / (2 * _SIDE))


def luma_of(jpeg: bytes | Path) -> npt.NDArray[np.uint8]:
    """The stored luma of a preprocessed JPEG, uint8 (height, width), without colour conversion. Raises ImageProblem, OSError."""
    data = jpeg.read_bytes() if isinstance(jpeg, Path) else jpeg
    with decoder_errors():
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        image.draft("L", None)  # libjpeg then decodes the luma plane only
        return np.asarray(image.convert("L"))


def sharpness(luma: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian (4 neighbours) of a luma of 0–255 (Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548)."""
    return float(cv2.Laplacian(luma, cv2.CV_32F, ksize=1).var())


def perceptual_hash(luma: npt.NDArray[np.uint8]) -> str:
    """64-bit DCT hash as 16 hex digits, bit for bit equal to `imagehash.phash`.

    Each bit tells whether one of the 8×8 lowest frequencies of the luma at 32×32 exceeds their median.
    """
    small = Image.fromarray(luma).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = (_DCT @ np.asarray(small, dtype=np.float64) @ _DCT.T)[:8, :8]
    return np.packbits(low > np.median(low)).tobytes().hex()


def head_turn(landmarks: npt.NDArray[np.floating]) -> tuple[float, float]:
    """(yaw, roll) in degrees from five landmarks (5, 2) in px of an upright photo; NaN when the eyes coincide.

    Roll is the slope of the line through the eyes, positive clockwise. Yaw is atan(offset / NOSE_DEPTH), where offset is the distance of
    the nose tip from the midpoint of the eyes along that line, in eye distances; positive is to the picture's right.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    across = points[1] - points[0]
    distance = float(np.hypot(*across))
    if distance < 1e-6:
        return math.nan, math.nan
    offset = float((points[2] - points[:2].mean(axis=0)) @ across) / distance**2
    return math.degrees(math.atan(offset / NOSE_DEPTH)), math.degrees(math.atan2(across[1], across[0]))


def face_fraction(box: npt.NDArray[np.floating], transform: Transform, width: int, height: int) -> float:
    """Share of a width×height photo that the face box (x, y, w, h in preprocessed px) covers, capped at 1."""
    scale_squared = abs(float(np.linalg.det(transform[:, :2])))
    return min(1.0, float(box[2] * box[3]) / scale_squared / (width * height))


def image_quality(
    photos: Iterable[tuple[str, str, Path | bytes]], preproc: pl.DataFrame, manifest_sizes: pl.DataFrame
) -> pl.DataFrame:
    """IMAGE_QUALITY.schema with one row per preprocessed photo (image_id, filename, JPEG).

    preproc: PREPROC.schema. manifest_sizes: image_id, width, height of the photos. Measures without their inputs are null, and so are all
    pixel measures of an unreadable JPEG.
    """
    faces = {
        row["image_id"]: row
        for row in preproc.select("image_id", "face_box", "landmarks", "transform").iter_rows(named=True)
    }
    sizes = {
        name: (width, height)
        for name, width, height in manifest_sizes.select("image_id", "width", "height").iter_rows()
    }
    phases = current()
    rows = [
        {
            "image_id": image_id,
            "filename": filename,
            **_pixels(jpeg, phases),
            **_pose(faces.get(image_id), sizes.get(image_id)),
        }
        for image_id, filename, jpeg in track(photos, "Image quality")
    ]
    return pl.DataFrame(rows, schema=IMAGE_QUALITY.schema)


def _pixels(jpeg: Path | bytes, phases: Phases) -> dict[str, Any]:
    phases.count()
    try:
        with phases.timing("read"):
            data = jpeg.read_bytes() if isinstance(jpeg, Path) else jpeg
        with phases.timing("decode"):
            luma = luma_of(data)
    except (ImageProblem, OSError):
        return {}
    with phases.timing("compute"):
        return {
            "sharpness": sharpness(luma),
            "brightness": float(luma.mean()) / 255,
            "contrast": float(luma.std()) / 255,
            "phash": perceptual_hash(luma),
        }


def _pose(face: dict[str, Any] | None, size: tuple[int | None, int | None] | None) -> dict[str, Any]:
    if face is None or face["landmarks"] is None or face["transform"] is None:
        return {}
    transform = np.asarray(face["transform"], dtype=np.float64).reshape(2, 3)
    back = invert(transform)  # alignment has levelled the eyes: the roll is that of the original photo
    landmarks = np.asarray(face["landmarks"], dtype=np.float64).reshape(5, 2) @ back[:, :2].T + back[:, 2]
    yaw, roll = head_turn(landmarks)
    figures: dict[str, Any] = {"yaw": yaw, "roll": roll} if math.isfinite(yaw) else {}
    if size is not None and size[0] and size[1] and face["face_box"] is not None:
        figures["face_fraction"] = face_fraction(np.asarray(face["face_box"]), transform, size[0], size[1])
    return figures
