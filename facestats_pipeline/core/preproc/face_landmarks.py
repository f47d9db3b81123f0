"""Face mesh and head pose from MediaPipe's FaceLandmarker (Apache-2.0): an optional package plus a model file that the user supplies.

Models: https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker
"""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.extras import install_command
from facestats_pipeline.core.preproc.face_mesh import POINTS


class LandmarksUnavailable(Exception):
    """The landmark model cannot be used on this machine. The message gives the next step."""


@dataclass(frozen=True)
class FaceLandmarks:
    """Landmarks and pose of one face.

    points: float32 (478, 3), x and y in px of the picture, z in the same unit, negative towards the camera.
    rotation: float64 (3, 3), rotation of the head; x points right in the picture, y up, z towards the camera.
    """

    points: npt.NDArray[np.float32]
    rotation: npt.NDArray[np.float64]


class FaceLandmarker:
    """Finds the landmarks of the main face. Use it in a `with` block or call `close`, because MediaPipe's destructor fails at exit.

    Raises LandmarksUnavailable for an unreadable model file or a missing package.
    """

    def __init__(self, model: Path) -> None:
        try:
            data = model.read_bytes()
        except OSError as error:
            raise LandmarksUnavailable(
                f"{model}: cannot read the landmark model ({error.strerror}); download face_landmarker.task from MediaPipe's "
                "model page and set its path, or leave the setting empty to run without face geometry"
            ) from None
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise LandmarksUnavailable(
                f"face geometry needs the package mediapipe ({error}): {install_command('landmarks')}"
            ) from None
        self._mediapipe = mediapipe
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=data), num_faces=1, output_facial_transformation_matrixes=True
        )
        self._landmarker: Any = None
        try:
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError) as error:
            detail = " ".join(str(error).split())[:160]
            raise LandmarksUnavailable(f"{model}: not a MediaPipe face landmark model ({detail})") from None

    def find(self, rgb: npt.NDArray[np.uint8]) -> FaceLandmarks | None:
        """Landmarks of the main face in an RGB uint8 picture (height, width, 3); None without a face."""
        height, width = rgb.shape[:2]
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        result = self._landmarker.detect(image)
        if not result.face_landmarks or not result.facial_transformation_matrixes:
            return None
        points = np.array(
            [(p.x * width, p.y * height, p.z * width) for p in result.face_landmarks[0]], dtype=np.float32
        )
        if points.shape != (POINTS, 3) or not np.isfinite(points).all():
            return None
        matrix = np.asarray(result.facial_transformation_matrixes[0], dtype=np.float64)
        return FaceLandmarks(points, matrix[:3, :3] / np.linalg.norm(matrix[:3, 0]))

    def close(self) -> None:
        """Free the model. Further calls do nothing."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None

    def __enter__(self) -> "FaceLandmarker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_landmarker(model: Path) -> FaceLandmarker:
    """Load a `face_landmarker.task` file. Raises LandmarksUnavailable with the next step."""
    return FaceLandmarker(model)
