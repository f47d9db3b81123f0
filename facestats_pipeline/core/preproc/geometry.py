"""Face geometry from 478 landmarks: distances, ratios, left–right asymmetry and head pose.

Each measure is a pure function of points (478, 2) or (478, 3) in px. All but `interocular`, `face_width` and `face_height` are invariant
to translation, in-plane rotation and scale; with three coordinates they are also nearly invariant to turns of the head. They describe a
picture; they say nothing about a person's worth.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.images.decoding import decode
from facestats_pipeline.core.images.problems import ImageProblem
from facestats_pipeline.core.phases import current
from facestats_pipeline.core.preproc import face_mesh as mesh
from facestats_pipeline.core.preproc.face_landmarks import FaceLandmarks
from facestats_pipeline.core.preproc.geometry_table import FACE_GEOMETRY
from facestats_pipeline.core.progress import track

Points = npt.NDArray[np.floating]


class Landmarker(Protocol):
    """Finds the landmarks of the main face in an RGB uint8 picture; tests replace the real model with it."""

    def find(self, rgb: npt.NDArray[np.uint8]) -> FaceLandmarks | None: ...


def _between(points: Points, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a].astype(np.float64) - points[b].astype(np.float64)))


def _ratio(points: Points, part: tuple[int, int], whole: tuple[int, int]) -> float:
    length = _between(points, *whole)
    return _between(points, *part) / length if length > 0 else math.nan


def interocular(points: Points) -> float:
    """Distance between the centres of the irises, px."""
    return _between(points, mesh.RIGHT_IRIS, mesh.LEFT_IRIS)


def face_width(points: Points) -> float:
    """Width of the face between the cheeks at ear height, px."""
    return _between(points, mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK)


def face_height(points: Points) -> float:
    """Distance from the forehead (the upper end of the mesh, below the hair) to the chin, px."""
    return _between(points, mesh.FOREHEAD, mesh.CHIN)


def eye_openness(points: Points) -> float:
    """Distance between the lids over distance between the corners of an eye, mean of both eyes."""
    right = _ratio(points, (mesh.RIGHT_LID_UPPER, mesh.RIGHT_LID_LOWER), (mesh.RIGHT_EYE_OUTER, mesh.RIGHT_EYE_INNER))
    left = _ratio(points, (mesh.LEFT_LID_UPPER, mesh.LEFT_LID_LOWER), (mesh.LEFT_EYE_OUTER, mesh.LEFT_EYE_INNER))
    return (right + left) / 2


def eye_spacing(points: Points) -> float:
    """Distance between the inner eye corners over the width of the face."""
    return _ratio(points, (mesh.RIGHT_EYE_INNER, mesh.LEFT_EYE_INNER), (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK))


def nose_width(points: Points) -> float:
    """Distance between the wings of the nose over the width of the face."""
    return _ratio(points, (mesh.RIGHT_NOSTRIL, mesh.LEFT_NOSTRIL), (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK))


def nose_length(points: Points) -> float:
    """Distance from the bridge to the base of the nose, over the height of the face."""
    return _ratio(points, (mesh.NOSE_BRIDGE, mesh.NOSE_BASE), (mesh.FOREHEAD, mesh.CHIN))


def mouth_width(points: Points) -> float:
    """Distance between the corners of the mouth over the width of the face."""
    return _ratio(points, (mesh.MOUTH_RIGHT, mesh.MOUTH_LEFT), (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK))


def mouth_height(points: Points) -> float:
    """Distance from the upper edge of the upper lip to the lower edge of the lower lip, over the distance between the mouth corners."""
    return _ratio(points, (mesh.LIP_TOP, mesh.LIP_BOTTOM), (mesh.MOUTH_RIGHT, mesh.MOUTH_LEFT))


def jaw_width(points: Points) -> float:
    """Distance between the angles of the jaw over the width of the face."""
    return _ratio(points, (mesh.RIGHT_JAW, mesh.LEFT_JAW), (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK))


def chin_height(points: Points) -> float:
    """Distance from the lower edge of the lower lip to the chin, over the height of the face."""
    return _ratio(points, (mesh.LIP_BOTTOM, mesh.CHIN), (mesh.FOREHEAD, mesh.CHIN))


def face_ratio(points: Points) -> float:
    """Width of the face over its height."""
    return _ratio(points, (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK), (mesh.FOREHEAD, mesh.CHIN))


def asymmetry(points: Points) -> float:
    """Left–right asymmetry in eye distances; 0 for a perfectly symmetric face.

    The face is mirrored with left and right points swapped, then aligned to the original by the best rotation and translation (Kabsch
    1976, doi:10.1107/S0567739476001873). The result is the remaining root mean square distance.
    """
    eyes = interocular(points)
    if eyes <= 0:
        return math.nan
    face = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    mirrored = face[mesh.MIRROR]
    mirrored[:, 0] *= -1
    u, _, vt = np.linalg.svd(mirrored.T @ face)
    signs = np.ones(face.shape[1])  # a reflection would undo the mirroring and hide any asymmetry
    signs[-1] = np.sign(np.linalg.det(u @ vt))
    residual = face - mirrored @ (u * signs) @ vt
    return float(np.sqrt((residual**2).sum(axis=1).mean()) / eyes)


def head_pose(rotation: npt.NDArray[np.floating]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from a head's 3×3 rotation (x right in the picture, y up, z towards the camera).

    Positive yaw: the face points to the right of the picture. Positive pitch: it points up. Positive roll: the head leans clockwise.
    """
    ahead, across = rotation[:, 2], rotation[:, 0]
    yaw = math.degrees(math.atan2(ahead[0], ahead[2]))
    pitch = math.degrees(math.asin(min(1.0, max(-1.0, float(ahead[1])))))
    return yaw, pitch, math.degrees(math.atan2(-across[1], across[0]))


MEASURES: Final[dict[str, Callable[[Points], float]]] = {
    "interocular": interocular,
    "face_width": face_width,
    "face_height": face_height,
    "face_ratio": face_ratio,
    "eye_openness": eye_openness,
    "eye_spacing": eye_spacing,
    "nose_width": nose_width,
    "nose_length": nose_length,
    "mouth_width": mouth_width,
    "mouth_height": mouth_height,
    "jaw_width": jaw_width,
    "chin_height": chin_height,
    "asymmetry": asymmetry,
}
"""Column of the table → the function that computes it; its docstring defines the column."""


def face_geometry(photos: Iterable[tuple[str, str, Path | bytes]], landmarker: Landmarker) -> pl.DataFrame:
    """FACE_GEOMETRY.schema with one row per preprocessed photo (image_id, filename, JPEG). Measures are null unless the status is ok."""
    rows: list[dict[str, Any]] = []
    for image_id, filename, jpeg in track(photos, "Face geometry"):
        rows.append({"image_id": image_id, "filename": filename, **_measured(jpeg, landmarker)})
    return pl.DataFrame(rows, schema=FACE_GEOMETRY.schema)


def _measured(jpeg: Path | bytes, landmarker: Landmarker) -> dict[str, Any]:
    phases = current()
    phases.count()
    try:
        with phases.timing("read"):
            data = jpeg.read_bytes() if isinstance(jpeg, Path) else jpeg
        with phases.timing("decode"):
            rgb = decode(data).pixels
    except ImageProblem as problem:
        return {"status": problem.status, "reason": problem.reason}
    except OSError as error:
        return {
            "status": "unreadable",
            "reason": f"the file could not be read: {error.strerror or type(error).__name__}",
        }
    found = landmarker.find(rgb)
    if found is None:
        return {"status": "no_face", "reason": "the landmark model found no face"}
    yaw, pitch, roll = head_pose(found.rotation)
    figures = {name: measure(found.points) for name, measure in MEASURES.items()}
    return {
        "landmarks": found.points[:, :2].reshape(-1).tolist(),
        **{name: value if math.isfinite(value) else None for name, value in figures.items()},
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "status": "ok",
        "reason": "",
    }
