"""What is known of one face in one picture, and what finds faces."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

SURE_SCORE = 0.6
"""A box with this score is a face."""
FLOOR_SCORE = 0.3
"""Boxes with a lower score are not reported at all."""


@dataclass(frozen=True)
class Face:
    """One face, in px of the picture it was found in.

    box: float32 (4,), x, y, width, height. landmarks: float32 (5, 2): the person's right eye, left eye, nose tip, right and left
    mouth corner. score: 0–1.
    """

    box: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    score: float

    @property
    def area(self) -> float:
        return float(self.box[2] * self.box[3])

    def moved(self, transform: npt.NDArray[np.float64]) -> "Face":
        """The same face in the px of another picture; `transform` (2×3) is a similarity or close to one.

        The box keeps its sides along the axes: its middle is moved and its sides are scaled.
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
    """The kind of detector and its weights: other weights have another name."""

    def detect(self, rgb: npt.NDArray[np.uint8]) -> list[Face]:
        """Faces in RGB pixels (height, width, 3): those with at least SURE_SCORE, largest first, then those with at least FLOOR_SCORE.
        The first has the most exact landmarks."""
        ...
