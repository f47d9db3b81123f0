"""A running average of photos that are first moved into place. Its memory does not depend on the number of photos.

The average is a sum over photos, so partial sums from other threads, machines or earlier runs can be joined: `Average.part`,
`Average.join`, `Average.begin_with`.

Photos are averaged in sRGB values, not in linear light. Both were compared on 102 studio portraits. Linear light is correct for overlaid
light sources, but here single bright backgrounds and highlights outweigh dark hair and pupils: faces come out paler (mean level 193
instead of 189 of 255) with grey hair lines. sRGB is close to perceived lightness, and published average faces use it too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facestats_pipeline.core.composites.composite_specs import CompositeRefused
from facestats_pipeline.core.composites.movers import Mover, Plain, mover

Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Composite:
    """An average face.

    Attributes:
        image: RGB picture, size × size.
        n_used: number of photos in the average.
        skipped: (index in the input, reason) of photos left out.
        method: how the faces were brought together.
        n_effective: effective sample size (Kish): (Σw)² / Σw²; n_used without weights.
    """

    image: Image.Image
    n_used: int
    skipped: list[tuple[int, str]]
    method: str
    n_effective: float


class Part:
    """A partial sum over some of an average's photos in one pass.

    The sums are integers: exact, and independent of the order and division of the photos, up to 16 million photos or, with weights, a
    billion.
    """

    def __init__(
        self, size: int, moving: Mover, rows: NDArray[np.intp] | None, weights: NDArray[np.uint64] | None
    ) -> None:
        self.total = np.zeros((size, size, 3), dtype=np.uint32 if weights is None else np.uint64)
        self.n = self.weight = self.square = 0
        self.skipped: dict[int, str] = {}
        self.mover = moving
        self._rows, self._weights = rows, weights

    def add(self, photo: Rgb, index: int) -> None:
        """Move one photo (size, size, 3) u8 into place and add it."""
        weight = 1
        if self._weights is None:
            np.add(self.total, self._moved(photo, index), out=self.total)
        else:
            weight = int(self._weights[index])
            self.total += self._weights[index] * self._moved(photo, index)
        self.n += 1
        self.weight += weight
        self.square += weight * weight

    def take(self, photo: Rgb, index: int) -> None:
        """Subtract one photo that an earlier, unweighted sum contains."""
        # Unsigned numbers may wrap around here; the joined sum, modulo 2³², is right again.
        np.subtract(self.total, self._moved(photo, index), out=self.total)
        self.n -= 1
        self.weight -= 1
        self.square -= 1

    def join(self, other: "Part") -> None:
        """Add another partial sum."""
        self.total += other.total
        self.n += other.n
        self.weight += other.weight
        self.square += other.square
        self.skipped = other.skipped | self.skipped
        self.mover.join(other.mover)

    def _moved(self, photo: Rgb, index: int) -> Rgb:
        return self.mover.move(photo, index if self._rows is None else int(self._rows[index]))


WEIGHTS = 1 << 20
"""The largest weight as an integer. Weights are rounded to integers, so that their sums are exact."""


class Average:
    """An average over one or more passes. In each of `passes`: add all photos to `part`s, `join` them, call `end_pass`. Then `result`.

    Args:
        method: one of `composite_specs.METHODS`.
        size: side of the photos in pixels.
        points: (n, k, 2) landmarks in pixels, NaN rows without landmarks; unused by `mean`.
        weights: (n,) of 0 or more; NaN or 0 leaves the photo out.
        members: number of photos in the group. Later rows of `points` are photos to subtract from an earlier sum; they do not affect the
            mean shape.
    """

    def __init__(
        self,
        method: str,
        size: int,
        points: NDArray[np.float64] | None = None,
        weights: ArrayLike | None = None,
        members: int | None = None,
    ) -> None:
        self.method, self.passed = method, 0
        self._size = size
        self._weights = None if weights is None else _steps(np.asarray(weights, dtype=np.float64))
        self._known: NDArray[np.bool_] | None = None
        self._rows: NDArray[np.intp] | None = None
        shaping = None
        if points is not None:
            # Rows without a face must not affect the mean shape. `_rows` maps a photo's index to its row among the others.
            self._known = np.asarray(np.isfinite(points).all(axis=(1, 2)))
            self._rows = np.cumsum(self._known) - 1
            shaping = int(self._known[:members].sum())
            points = points[self._known]
        self._mover: Mover = Plain() if shaping == 0 else mover(method, points, size, shaping)
        self._sums = self.part()

    @property
    def passes(self) -> int:
        """The number of passes over all photos."""
        return self._mover.passes

    @property
    def way(self) -> bytes:
        """The settings that affect how a photo enters the sums: sums with equal `way` can be joined."""
        return f"{self.method} {self._size} ".encode() + self._mover.way

    @property
    def n(self) -> int:
        """Number of photos added in this pass."""
        return self._sums.n

    @property
    def total(self) -> NDArray[np.uint32] | NDArray[np.uint64]:
        """(size, size, 3) sum of the photos added in this pass."""
        return self._sums.total

    @property
    def skipped(self) -> list[tuple[int, str]]:
        """(index, reason) of photos left out, sorted by index."""
        return sorted(self._sums.skipped.items())

    def wants(self, index: int) -> bool:
        """Whether the photo can be used. If not, the reason is added to `skipped`."""
        if self._known is not None and not self._known[index]:
            self._sums.skipped.setdefault(index, "no landmarks")
        if self._weights is not None and not self._weights[index] > 0:
            self._sums.skipped.setdefault(index, "no weight")
        return index not in self._sums.skipped

    def part(self) -> Part:
        """A new empty partial sum for the current pass. Parts may be filled in parallel, each by one thread."""
        return Part(self._size, self._mover.part(), self._rows, self._weights)

    def join(self, part: Part) -> None:
        """Add a partial sum."""
        self._sums.join(part)

    def begin_with(self, total: NDArray[np.uint32], n: int) -> None:
        """Start from an earlier sum of `n` photos with the same `way`. Only for unweighted averages of one pass."""
        self._sums.total[:] = total
        self._sums.n = self._sums.weight = self._sums.square = n

    def end_pass(self) -> None:
        """Finish a pass after all its photos were added. Before a further pass, the mover learns from the average so far."""
        self.passed += 1
        if self.passed < self.passes and self.n:
            self._mover.join(self._sums.mover)
            self._mover.learn(self._pixels())
            skipped, self._sums = self._sums.skipped, self.part()
            self._sums.skipped = skipped

    def result(self, floor: int) -> Composite:
        """The average. Raises CompositeRefused when fewer than `floor` photos were used, or when n_effective is below `floor`."""
        if self.n < floor:
            left_out = f" ({len(self._sums.skipped)} were skipped)" if self._sums.skipped else ""
            raise CompositeRefused(f"{self.n} photos could be used{left_out}; at least {floor} are needed")
        effective = self._sums.weight**2 / self._sums.square
        if effective < floor * (1 - 1e-9):
            raise CompositeRefused(
                f"the weights make {self.n} photos count as {effective:.1f} equal ones; at least {floor} are needed"
            )
        return Composite(Image.fromarray(self._pixels(), "RGB"), self.n, self.skipped, self.method, effective)

    def _pixels(self) -> Rgb:
        return np.asarray(np.clip(np.rint(self._sums.total / self._sums.weight), 0, 255), dtype=np.uint8)


def _steps(weights: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Weights (n,) as integers up to WEIGHTS; 0 for NaN. Raises ValueError for negative or infinite weights."""
    if ((weights < 0) | np.isinf(weights)).any():
        raise ValueError("a weight is negative or infinite; use numbers of 0 or more")
    known = np.nan_to_num(weights)
    return np.asarray(np.rint(known * (WEIGHTS / max(float(known.max(initial=0.0)), 1e-300))), dtype=np.uint64)
