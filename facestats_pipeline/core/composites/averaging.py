"""A running average of photos, each moved first: the memory it needs does not depend on the number of photos.

Photos are averaged in sRGB values, not in linear light. Both were compared on 102 studio portraits: linear light is right for
overlaid light sources, but here it lets single bright backgrounds and highlights outweigh dark hair and pupils, so faces come out
paler (mean level 193 instead of 189 of 255) with grey hair lines; sRGB is close to how people judge lightness, and it is what the
published averages that these are compared with look like.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facestats_pipeline.core.composites.composite_specs import CompositeRefused
from facestats_pipeline.core.composites.movers import Mover, Plain, mover


@dataclass(frozen=True)
class Composite:
    """An average face.

    Attributes:
        image: RGB picture, size × size.
        n_used: photos in the average.
        skipped: (index in the input, reason) of photos left out.
        method: how they were brought together.
        n_effective: as how many equally weighted photos the weights count (Kish): (Σw)² / Σw²; n_used where there are no weights.
    """

    image: Image.Image
    n_used: int
    skipped: list[tuple[int, str]]
    method: str
    n_effective: float


class Average:
    """Add all photos, `end_pass`, and again while `passes` asks for it; then `result`.

    Args:
        method: one of `composite_specs.METHODS`.
        size: side of the photos in pixels.
        points: (n, k, 2) landmarks in pixels, a row of NaN where there are none; not for `mean`.
        weights: (n,) of 0 or more; NaN or 0 leaves the photo out.
    """

    def __init__(
        self, method: str, size: int, points: NDArray[np.float64] | None = None, weights: ArrayLike | None = None
    ) -> None:
        self.method, self.n, self.passed = method, 0, 0
        self._skipped: dict[int, str] = {}
        self._weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        if self._weights is not None and ((self._weights < 0) | np.isinf(self._weights)).any():
            raise ValueError("a weight is negative or infinite; use numbers of 0 or more")
        # Whole numbers where there are no weights: exact and the same in any order, up to 16 million photos.
        kind = np.uint32 if self._weights is None else np.float64
        self._sum = np.zeros((size, size, 3), dtype=kind)
        self._weight = self._square = 0.0
        self._known: NDArray[np.bool_] | None = None
        self._rows: NDArray[np.intp] | None = None
        if points is not None:
            # Rows without a face must not enter the mean shape; they keep their index.
            self._known = np.asarray(np.isfinite(points).all(axis=(1, 2)))
            self._rows = np.cumsum(self._known) - 1
            points = points[self._known]
        self._mover: Mover = Plain() if points is not None and not len(points) else mover(method, points, size)

    @property
    def passes(self) -> int:
        """How often all photos are to be added."""
        return self._mover.passes

    @property
    def skipped(self) -> list[tuple[int, str]]:
        """(index, reason) of photos left out, by index."""
        return sorted(self._skipped.items())

    def skip(self, index: int, reason: str) -> None:
        """Leave a photo out, in this pass and in those that follow."""
        self._skipped.setdefault(index, reason)

    def wants(self, index: int) -> bool:
        """Whether the photo can be used; when it cannot, that is noted."""
        if self._known is not None and not self._known[index]:
            self.skip(index, "no landmarks")
        if self._weights is not None and not self._weights[index] > 0:
            self.skip(index, "no weight")
        return index not in self._skipped

    def add(self, photo: NDArray[np.uint8], index: int) -> None:
        """One photo (size, size, 3)."""
        moved = self._mover.move(photo, int(self._rows[index]) if self._rows is not None else index)
        weight = 1.0
        if self._weights is None:
            np.add(self._sum, moved, out=self._sum)
        else:
            weight = float(self._weights[index])
            self._sum += weight * moved
        self.n += 1
        self._weight += weight
        self._square += weight * weight

    def end_pass(self) -> None:
        """All photos have been added once more."""
        self.passed += 1
        if self.passed < self.passes and self.n:
            self._mover.learn(self._pixels())
            self._sum[:] = 0
            self.n, self._weight, self._square = 0, 0.0, 0.0

    def result(self, floor: int) -> Composite:
        """The average. Raises CompositeRefused where it is of fewer than `floor` photos, or the weights make it one of fewer."""
        if self.n < floor:
            left_out = f" ({len(self._skipped)} were skipped)" if self._skipped else ""
            raise CompositeRefused(f"{self.n} photos could be used{left_out}; at least {floor} are needed")
        effective = self._weight**2 / self._square
        if effective < floor * (1 - 1e-9):
            raise CompositeRefused(
                f"the weights make {self.n} photos count as {effective:.1f} equal ones; at least {floor} are needed"
            )
        return Composite(Image.fromarray(self._pixels(), "RGB"), self.n, self.skipped, self.method, effective)

    def _pixels(self) -> NDArray[np.uint8]:
        return np.asarray(np.clip(np.rint(self._sum / self._weight), 0, 255), dtype=np.uint8)
