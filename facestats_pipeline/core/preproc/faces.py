"""What is known of one face in one picture."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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
