"""Eigenfaces: the mean face and the principal components of face photos (Turk & Pentland 1991).

The components are found by block Krylov iteration (Musco & Musco 2015, arXiv:1504.05477). It only needs products of the covariance with a
few vectors, and each product is a sum over photos. Photos can therefore be processed in parts, and the covariance itself, 6 GB at 96 px, is
never stored. The start vectors have a fixed seed: the same photos give the same pictures.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facestats_pipeline.core.composites.composite_specs import DEFAULT_FLOOR, CompositeRefused
from facestats_pipeline.core.drawing.contact_sheet import contact_sheet
from facestats_pipeline.core.images.decoding import ImageProblem, preprocess_image
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.single_thread import single_threaded

Source = Image.Image | Path | bytes
Float = NDArray[np.float32]
Matrix = NDArray[np.float64]

EXTRA = 8
"""Oversampling: additional directions in each block, so that the last requested components converge as fast as the first."""
EXACT = 1e-7
"""Convergence: the iteration ends when each component's residual is at most this share of its eigenvalue."""
MOST_ROUNDS = 24

PHOTOS_PER_COMPONENT = 10
"""Photos needed per component. With fewer, late components outline single people instead of a population: with 5 per component, the hair
of individuals was visible in components 12–16 of 102 portraits."""


@dataclass(frozen=True)
class Eigenfaces:
    """Mean and principal components of face photos.

    Attributes:
        mean: (size, size, 3) f32, sRGB values 0–1.
        components: (k, size, size, 3) f32, unit vectors, largest variance first; signs are chosen so that the middle of the face gets
            brighter.
        deviation: (k,) f32, standard deviation of the photos along each component, in the units of `mean`.
        explained: (k,) f32, share of the total variance.
        n_used: number of photos fitted.
        skipped: (index in the input, reason) of photos left out.
    """

    mean: Float
    components: Float
    deviation: Float
    explained: Float
    n_used: int
    skipped: list[tuple[int, str]]

    def shifted(self, component: int, deviations: float) -> Image.Image:
        """The mean face moved along one component by so many standard deviations, as a picture."""
        face = self.mean + deviations * self.deviation[component] * self.components[component]
        return _picture(face)


def fit_eigenfaces(
    images: Iterable[Source], *, size: int = 96, components: int = 16, min_n: int = DEFAULT_FLOOR
) -> Eigenfaces:
    """Fit on photos brought to size × size pixels. They are held in memory as bytes: 28 kB each at 96 px.

    The result has fewer than `components` when there are fewer than `PHOTOS_PER_COMPONENT` photos for each.

    Raises:
        CompositeRefused: when fewer than `min_n` photos could be used.
    """
    skipped: list[tuple[int, str]] = []
    rows = list(_rows(images, size, skipped))
    return fit_rows([np.stack(rows)] if rows else [], components=components, min_n=min_n, skipped=skipped)


@single_threaded
def fit_rows(
    parts: Sequence[NDArray[np.uint8]],
    *,
    components: int = 16,
    min_n: int = DEFAULT_FLOOR,
    skipped: list[tuple[int, str]] | None = None,
) -> Eigenfaces:
    """Fit on photos in parts of (m, size, size, 3) u8. The division into parts affects only rounding.

    Raises CompositeRefused like `fit_eigenfaces`.
    """
    n = sum(len(part) for part in parts)
    if n < max(min_n, PHOTOS_PER_COMPONENT):
        raise CompositeRefused(f"{n} photos could be used for eigenfaces; at least {min_n} are needed")
    kept = min(components, n // PHOTOS_PER_COMPONENT)
    size = parts[0].shape[1]
    faces = _Faces([part.reshape(len(part), -1) for part in parts])
    values, vectors = _leading(faces, kept)
    rows = np.asarray(vectors.T, dtype=np.float32).reshape(kept, size, size, 3)
    rows *= _signs(rows)[:, None, None, None]
    return Eigenfaces(
        mean=np.asarray(faces.mean, dtype=np.float32).reshape(size, size, 3),
        components=rows,
        deviation=np.sqrt(values / (n - 1)).astype(np.float32),
        explained=(values / max(faces.spread, np.finfo(np.float64).tiny)).astype(np.float32),
        n_used=n,
        skipped=skipped or [],
    )


class _Faces:
    """The photos in parts, accessed only through sums over parts.

    Attributes:
        mean: (d,) f64, values 0–1.
        spread: sum of squared distances from the mean.
    """

    def __init__(self, parts: list[NDArray[np.uint8]]) -> None:
        self._parts = parts
        n = sum(len(part) for part in parts)
        self.mean: Matrix = sum(part.sum(axis=0, dtype=np.uint64) for part in parts) / (255.0 * n)
        self.spread = float(sum((rows**2).sum() for rows in self._centred()))

    def times(self, vectors: Matrix) -> Matrix:
        """(d, b) product of the covariance (times n - 1) with vectors (d, b): the sum over parts of Xᵀ (X v)."""
        product = np.zeros_like(vectors)
        for rows in self._centred():
            product += rows.T @ (rows @ vectors)
        return product

    def _centred(self) -> Iterator[Matrix]:
        for part in self._parts:
            for start in range(0, len(part), 256):
                yield part[start : start + 256] / 255.0 - self.mean


def _leading(faces: _Faces, k: int) -> tuple[Matrix, Matrix]:
    """(the k largest eigenvalues (k,) of the covariance (times n - 1), descending; their unit eigenvectors (d, k))."""
    start = np.random.default_rng(0).standard_normal((len(faces.mean), k + EXTRA))
    block = np.linalg.qr(faces.times(start))[0]
    space, images = np.empty((len(faces.mean), 0)), np.empty((len(faces.mean), 0))
    for _ in track(range(MOST_ROUNDS), "Eigenfaces"):
        image = faces.times(block)
        space, images = np.hstack([space, block]), np.hstack([images, image])
        values, rotation = np.linalg.eigh(space.T @ images)
        values, rotation = values[::-1][:k], rotation[:, ::-1][:, :k]
        residual = np.linalg.norm(images @ rotation - (space @ rotation) * values, axis=0)
        if len(values) == k and (residual <= EXACT * values + 1e-13 * values[0]).all():
            break
        # Gram–Schmidt twice: enough for orthogonality to the last digit (Kahan and Parlett).
        image -= space @ (space.T @ image)
        image -= space @ (space.T @ image)
        block = np.linalg.qr(image)[0]
    return np.maximum(values, 0.0), space @ rotation


def eigenface_sheet(faces: Eigenfaces, *, thumb: int = 180) -> Image.Image:
    """A contact sheet of the mean face and of each component, with its share of the variance."""
    tiles = [(_picture(faces.mean), f"Mean face\nn = {faces.n_used:,}")]
    for number, (vector, share) in enumerate(zip(faces.components, faces.explained, strict=True), start=1):
        tiles.append((_contrast(vector), f"Component {number}\n{share:.1%} of the variance"))
    title = (
        f"{len(faces.explained)} eigenfaces explain {faces.explained.sum():.0%} of how {faces.n_used:,} photos differ"
    )
    subtitle = "Grey: the component changes nothing here. Light and dark change in opposite directions."
    return contact_sheet(tiles, columns=6, thumb=thumb, title=title, subtitle=subtitle)


def eigenface_walk(faces: Eigenfaces, *, count: int = 6, deviations: float = 2.0, thumb: int = 180) -> Image.Image:
    """A contact sheet of the first components: for each, the mean face moved down and up along it."""
    tiles = []
    for index in range(min(count, len(faces.explained))):
        for amount in (-deviations, 0.0, deviations):
            where = "the mean face" if amount == 0 else f"{amount:+g} standard deviations".replace("-", "−")
            tiles.append((faces.shifted(index, amount), f"Component {index + 1}\n{where}"))
    title = f"What the first components change, n = {faces.n_used:,}"
    return contact_sheet(tiles, columns=6, thumb=thumb, title=title)


def _rows(images: Iterable[Source], size: int, skipped: list[tuple[int, str]]) -> Iterator[NDArray[np.uint8]]:
    for index, source in enumerate(track(images, "Reading faces for eigenfaces")):
        try:
            yield np.asarray(preprocess_image(source, size=size), dtype=np.uint8)
        except ImageProblem as problem:
            skipped.append((index, problem.reason))
        except OSError:
            skipped.append((index, "the photo cannot be read"))


def _signs(vectors: Float) -> Float:
    size = vectors.shape[1]
    middle = vectors[:, size // 4 : -(size // 4), size // 4 : -(size // 4)].mean(axis=(1, 2, 3))
    return np.where(middle < 0, -1.0, 1.0).astype(np.float32)


def _picture(values: Float) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8), "RGB")


def _contrast(vector: Float) -> Image.Image:
    # The 99.5th percentile, so that a few extreme pixels do not make the rest grey.
    reach = max(float(np.quantile(np.abs(vector), 0.995)), 1e-9)
    return _picture(0.5 + 0.5 * vector / reach)
