"""A detected face (box, landmarks, score), and the interface of face detectors."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

SURE_SCORE = 0.6
"""From this score on, a box counts as a face."""
FLOOR_SCORE = 0.3
"""Boxes below this score are not reported; those in between only explain why no face was found."""


@dataclass(frozen=True)
class Face:
    """One detected face, in pixels of the picture where it was found.

    box: float32 (4,), x, y, width, height. landmarks: float32 (5, 2), the person's right eye, left eye, nose tip, right and left mouth
    corner. score: the detector's confidence, 0–1.
    """

    box: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    score: float

    @property
    def area(self) -> float:
        return float(self.box[2] * self.box[3])

    def moved(self, transform: npt.NDArray[np.float64]) -> "Face":
        """The face in the pixels of another picture; `transform` (2×3) is a similarity or close to one.

        The box stays parallel to the axes: its centre is transformed, its sides are scaled.
        """
        scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
        middle = transform[:, :2] @ (self.box[:2] + self.box[2:] / 2) + transform[:, 2]
        sides = self.box[2:] * scale
        landmarks = self.landmarks @ transform[:, :2].T + transform[:, 2]
        return Face(
            np.concatenate([middle - sides / 2, sides]).astype(np.float32), landmarks.astype(np.float32), self.score
        )


class FaceDetector(Protocol):
    """A face detector; `detect` may be called from several threads at once."""

    name: str
    """Kind of detector with a hash of its weights, so that other weights have another name."""

    def detect(self, rgb: npt.NDArray[np.uint8]) -> list[Face]:
        """Faces in RGB uint8 pixels (height, width, 3): first those with at least SURE_SCORE, largest first, then those with at least
        FLOOR_SCORE. The landmarks of the first face are the most exact."""
        ...
