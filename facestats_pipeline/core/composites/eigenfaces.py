"""Eigenfaces: the mean face and the directions in which faces differ most, learned batch by batch.

Source: Turk & Pentland 1991; the streaming fit is scikit-learn's IncrementalPCA (Ross et al. 2008). Nothing is random: the same
photos in the same order give the same pictures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facestats_pipeline.core.composites.composite_specs import DEFAULT_FLOOR, CompositeRefused
from facestats_pipeline.core.images.images import ImageProblem, preprocess_image
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.reports.contact_sheet import contact_sheet
from facestats_pipeline.core.single_thread import single_threaded

Source = Image.Image | Path | bytes
Float = NDArray[np.float32]

PHOTOS_PER_COMPONENT = 10
"""With fewer photos than this for each component, later components are outlines of single people, not of a population: at 5 a
component the hair of individuals was plain to see in components 12–16 of 102 portraits."""


@dataclass(frozen=True)
class Eigenfaces:
    """Mean and principal components of face photos.

    Attributes:
        mean: (size, size, 3) f32, sRGB values 0–1.
        components: (k, size, size, 3) f32, unit vectors, largest variance first; each sign makes the middle of the face brighter.
        deviation: (k,) f32, standard deviation of the photos along each component, in the units of `mean`.
        explained: (k,) f32, share of the total variance.
        n_used: photos fitted.
        skipped: (index in the input, reason) of photos left out.
    """

    mean: Float
    components: Float
    deviation: Float
    explained: Float
    n_used: int
    skipped: list[tuple[int, str]]

    def shifted(self, component: int, deviations: float) -> Image.Image:
        """The mean face moved along one component, as a picture."""
        face = self.mean + deviations * self.deviation[component] * self.components[component]
        return _picture(face)


@single_threaded
def fit_eigenfaces(
    images: Iterable[Source],
    *,
    size: int = 96,
    components: int = 16,
    batch: int = 256,
    min_n: int = DEFAULT_FLOOR,
) -> Eigenfaces:
    """Fit on square photos of `size` pixels; at most two batches of them are held at a time.

    Fewer than `components` come out where there are fewer than `PHOTOS_PER_COMPONENT` photos for each.

    Raises:
        CompositeRefused: when fewer than `min_n` photos could be used.
        ValueError: when `batch` is smaller than `components`.
    """
    from sklearn.decomposition import IncrementalPCA

    if batch < components:
        raise ValueError(f"batch={batch} is smaller than components={components}; use a batch of at least {components}")
    skipped: list[tuple[int, str]] = []
    batches = _batches(_rows(images, size, skipped), batch)
    first = next(batches, np.empty((0, size * size * 3), np.float32))
    if len(first) < max(min_n, PHOTOS_PER_COMPONENT):
        raise CompositeRefused(f"{len(first)} photos could be used for eigenfaces; at least {min_n} are needed")
    kept = min(components, len(first) // PHOTOS_PER_COMPONENT)
    model = IncrementalPCA(n_components=kept)
    model.partial_fit(first)
    for rows in batches:
        model.partial_fit(rows)
    vectors = np.asarray(model.components_, dtype=np.float32).reshape(kept, size, size, 3)
    vectors *= _signs(vectors)[:, None, None, None]
    return Eigenfaces(
        mean=np.asarray(model.mean_, dtype=np.float32).reshape(size, size, 3),
        components=vectors,
        deviation=np.sqrt(np.asarray(model.explained_variance_, dtype=np.float32)),
        explained=np.asarray(model.explained_variance_ratio_, dtype=np.float32),
        n_used=int(model.n_samples_seen_),
        skipped=skipped,
    )


def eigenface_sheet(faces: Eigenfaces, *, thumb: int = 180) -> Image.Image:
    """The mean face, then each component as a picture of what it changes, with its share of the variance."""
    tiles = [(_picture(faces.mean), f"Mean face\nn = {faces.n_used:,}")]
    for number, (vector, share) in enumerate(zip(faces.components, faces.explained, strict=True), start=1):
        tiles.append((_contrast(vector), f"Component {number}\n{share:.1%} of the variance"))
    title = (
        f"{len(faces.explained)} eigenfaces explain {faces.explained.sum():.0%} of how {faces.n_used:,} photos differ"
    )
    subtitle = "Grey: the component changes nothing here. Light and dark change in opposite directions."
    return contact_sheet(tiles, columns=6, thumb=thumb, title=title, subtitle=subtitle)


def eigenface_walk(faces: Eigenfaces, *, count: int = 6, deviations: float = 2.0, thumb: int = 180) -> Image.Image:
    """Row by row, what each of the first components means: the mean face moved down and up along it."""
    tiles = []
    for index in range(min(count, len(faces.explained))):
        for amount in (-deviations, 0.0, deviations):
            where = "the mean face" if amount == 0 else f"{amount:+g} standard deviations".replace("-", "−")
            tiles.append((faces.shifted(index, amount), f"Component {index + 1}\n{where}"))
    title = f"What the first components change, n = {faces.n_used:,}"
    return contact_sheet(tiles, columns=6, thumb=thumb, title=title)


def _rows(images: Iterable[Source], size: int, skipped: list[tuple[int, str]]) -> Iterator[Float]:
    for index, source in enumerate(track(images, "Eigenfaces")):
        try:
            picture = preprocess_image(source, size=size)
        except ImageProblem as problem:
            skipped.append((index, problem.reason))
        except OSError:
            skipped.append((index, "the photo cannot be read"))
        else:
            yield np.asarray(picture, dtype=np.float32).reshape(-1) / 255.0


def _batches(rows: Iterator[Float], batch: int) -> Iterator[Float]:
    """Batches of `batch` rows; what is left at the end joins the last one, since a small batch alone cannot be fitted."""
    held: list[Float] = []
    for row in rows:
        held.append(row)
        if len(held) == 2 * batch:
            yield np.stack(held[:batch])
            held = held[batch:]
    if held:
        yield np.stack(held)


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
