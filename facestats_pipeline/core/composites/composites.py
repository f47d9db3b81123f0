"""Mean faces of groups, by a streaming sum: the memory needed does not depend on the number of photos.

Photos are averaged in sRGB values, not in linear light. Both were compared on 102 studio portraits: linear light is right for
overlaid light sources, but here it lets single bright backgrounds and highlights outweigh dark hair and pupils, so faces come out
paler (mean level 193 instead of 189 of 255) with grey hair lines; sRGB is close to how people judge lightness, and it is what the
published averages that these are compared with look like.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facestats_pipeline.core.composites.composite_filters import FilterResult, filter_faces, filter_images
from facestats_pipeline.core.composites.composite_specs import (
    DEFAULT_FLOOR,
    CompositeRefused,
    CompositeSpec,
    check_method,
    default_specs,
    describe_filters,
    names_are_unique,
)
from facestats_pipeline.core.composites.face_shapes import Mover, mover
from facestats_pipeline.core.images.images import ImageProblem, preprocess_image
from facestats_pipeline.core.progress import track

__all__ = [
    "COMPOSITES_SCHEMA",
    "Composite",
    "CompositeRefused",
    "CompositeSpec",
    "FilterResult",
    "GeneratedComposite",
    "default_specs",
    "filter_faces",
    "filter_images",
    "generate_composite",
    "generate_composites",
    "make_composite",
]

Source = Image.Image | Path | bytes

COMPOSITES_SCHEMA: dict[str, pl.DataType] = {
    "name": pl.String(),
    "caption": pl.String(),
    "filter": pl.String(),  # as asked
    "applied": pl.String(),  # after relaxing; null when refused
    "n_asked": pl.Int64(),  # usable photos that satisfy the filters as asked
    "n_used": pl.Int64(),  # photos in the average
    "n_skipped": pl.Int64(),  # photos that could not be read
    "relaxed": pl.List(pl.String()),
    "method": pl.String(),
    "size": pl.Int32(),
    "status": pl.String(),  # made · refused
    "reason": pl.String(),  # why refused, or what was skipped or sampled; empty otherwise
}


@dataclass(frozen=True)
class Composite:
    """An average face.

    Attributes:
        image: RGB picture, size × size.
        n_used: photos in the average.
        skipped: (index in the input, reason) of photos left out.
        method: how they were brought together.
    """

    image: Image.Image
    n_used: int
    skipped: list[tuple[int, str]]
    method: str


@dataclass(frozen=True)
class GeneratedComposite:
    """One row of `composites.parquet` (`COMPOSITES_SCHEMA`) and its picture, None when it was refused."""

    image: Image.Image | None
    row: dict[str, Any]


def make_composite(
    images: Iterable[Source],
    *,
    size: int = 512,
    method: str = "mean",
    landmarks: ArrayLike | None = None,
    landmark_size: int = 512,
    min_n: int = DEFAULT_FLOOR,
) -> Composite:
    """Average photos into one face, reading one at a time.

    Args:
        images: photos, brought to size × size by `preprocess_image`.
        method: `mean` or `aligned` (see `face_shapes.mover`).
        landmarks: for `aligned`, (n, 10) or (n, 5, 2), in the order of `images`, in pixels of the square preprocessed photo;
            a row of NaN means no face was found, and that photo is skipped and reported.
        landmark_size: side in pixels of the square the landmarks were measured in.
        min_n: fewest photos that may be averaged (k-anonymity).

    Raises:
        CompositeRefused: when fewer than `min_n` photos could be used, or the method is not available.
        ValueError: for an unknown method, or landmarks that do not fit.
    """
    check_method(method)
    points = None if method == "mean" else _points(landmarks, size / landmark_size)
    average = _Average(method, points, size)
    for index, source in enumerate(track(images, "Averaging", len(points) if points is not None else None)):
        if points is not None and index >= len(points):
            raise ValueError(
                f"there are {len(points)} rows of landmarks and more photos than that; give one row a photo"
            )
        if average.wants(index):
            try:
                average.add(_read(source, size), index)
            except (ImageProblem, OSError) as problem:
                average.skipped.append((index, _reason(problem)))
    return average.result(min_n)


def generate_composite(
    master: pl.DataFrame | pl.LazyFrame,
    load: Callable[[str], Source],
    spec: CompositeSpec,
    *,
    landmarks: pl.DataFrame | None = None,
    size: int = 512,
    landmark_size: int = 512,
    out: Path | None = None,
) -> GeneratedComposite:
    """Filter, average and describe one composite; written to `out` (JPEG or PNG by its suffix) when given.

    Raises:
        CompositeRefused: too few photos, also after relaxing what may be relaxed.
    """
    (made,) = generate_composites(master, load, [spec], landmarks=landmarks, size=size, landmark_size=landmark_size)
    if made.image is None:
        raise CompositeRefused(f"composite {spec.name!r}: {made.row['reason']}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        made.image.save(out, quality=95)
    return made


def generate_composites(
    master: pl.DataFrame | pl.LazyFrame,
    load: Callable[[str], Source],
    specs: Sequence[CompositeSpec],
    *,
    landmarks: pl.DataFrame | None = None,
    size: int = 512,
    landmark_size: int = 512,
    max_images: int | None = None,
    seed: int = 0,
) -> list[GeneratedComposite]:
    """Many composites in one pass: each photo is read once, however many of the groups it is in.

    Args:
        master: the rows of `master.parquet`. Photos without a face or flagged for their quality (any reason that does not end in
            `_unknown`), and for `aligned` those without landmarks, are not usable: they are in none of the counts.
        load: image_id → the preprocessed photo; an OSError, KeyError or ImageProblem from it skips the photo, and that is reported.
        specs: what to make. A spec that is refused gives a row with its reason and no picture; nothing is raised.
        landmarks: image_id and landmarks (Array(f32, 10)) of `preproc.parquet`, which `aligned` needs.
        size: side of the pictures. One sum of size × size × 3 × 4 bytes is held for each spec.
        landmark_size: side of the preprocessed photos, in whose pixels the landmarks are.
        max_images: average a random sample of this many photos where a group has more, and say so in `reason`.
        seed: of that sample.
    """
    names_are_unique(specs)
    usable = _usable(master, landmarks)
    jobs = [_Job.plan(usable, spec, size, landmark_size, max_images, seed) for spec in specs]
    wanted: dict[str, list[tuple[_Average, int]]] = {}
    for job in jobs:
        for index, image_id in enumerate(job.image_ids):
            if job.average is not None and job.average.wants(index):
                wanted.setdefault(image_id, []).append((job.average, index))
    # Master order, so that photos of one shard are read together.
    in_order = [image_id for image_id in usable["image_id"].to_list() if image_id in wanted]
    for image_id in track(in_order, "Averaging faces"):
        try:
            photo = _read(load(image_id), size)
        except (ImageProblem, OSError, KeyError) as problem:
            for average, index in wanted[image_id]:
                average.skipped.append((index, _reason(problem)))
            continue
        for average, index in wanted[image_id]:
            average.add(photo, index)
    return [job.finish() for job in jobs]


class _Average:
    """A running sum of photos, each moved by the method first."""

    def __init__(self, method: str, points: NDArray[np.float64] | None, size: int) -> None:
        self.method, self.size = method, size
        self.skipped: list[tuple[int, str]] = []
        self.n = 0
        # Whole numbers: exact and the same in any order, up to 16 million photos.
        self._sum = np.zeros((size, size, 3), dtype=np.uint32)
        self._known: NDArray[np.bool_] | None = None
        if points is None:
            self._move: Mover = mover(method, None, size)
        else:
            known: NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=(1, 2)))
            # Rows without a face must not enter the mean shape; they keep their index.
            self._known, self._rows = known, np.cumsum(known) - 1
            inner = mover(method, points[known], size) if known.any() else None
            self._move = lambda photo, index: inner(photo, int(self._rows[index])) if inner else photo

    def wants(self, index: int) -> bool:
        """Whether the photo can be used by this method; when it cannot, that is noted."""
        if self._known is None or self._known[index]:
            return True
        self.skipped.append((index, "no landmarks"))
        return False

    def add(self, photo: NDArray[np.uint8], index: int) -> None:
        np.add(self._sum, self._move(photo, index), out=self._sum)
        self.n += 1

    def result(self, floor: int) -> Composite:
        if self.n < floor:
            left_out = f" ({len(self.skipped)} were skipped)" if self.skipped else ""
            raise CompositeRefused(f"{self.n} photos could be used{left_out}; at least {floor} are needed")
        pixels = np.rint(self._sum / self.n).astype(np.uint8)
        return Composite(Image.fromarray(pixels, "RGB"), self.n, self.skipped, self.method)


@dataclass
class _Job:
    """One spec on its way through the pass over the photos."""

    row: dict[str, Any]
    floor: int
    average: _Average | None = None
    image_ids: list[str] = field(default_factory=list)

    @classmethod
    def plan(
        cls,
        usable: pl.DataFrame,
        spec: CompositeSpec,
        size: int,
        landmark_size: int,
        max_images: int | None,
        seed: int,
    ) -> "_Job":
        rows = usable if spec.method == "mean" else usable.filter(pl.col("landmarks").is_not_null())
        row: dict[str, Any] = {
            "name": spec.name,
            "caption": spec.caption,
            "filter": describe_filters(**spec.filters),
            "applied": None,
            "n_asked": filter_images(rows, **spec.filters).height,
            "n_used": 0,
            "n_skipped": 0,
            "relaxed": [],
            "method": spec.method,
            "size": size,
            "status": "refused",
            "reason": "",
        }
        try:
            found = filter_faces(rows, **spec.filters, min_n=spec.floor, strict=spec.strict)
        except CompositeRefused as refusal:
            return cls(row | {"reason": str(refusal)}, spec.floor)
        frame = found.frame
        if max_images is not None and found.n > max_images:
            frame = frame.sample(max(max_images, spec.floor), seed=seed)
            row |= {"reason": f"a random sample of {frame.height:,} of {found.n:,} photos"}
        points = None if spec.method == "mean" else _points(frame["landmarks"].to_numpy(), size / landmark_size)
        average = _Average(spec.method, points, size)
        row |= {"applied": found.applied, "relaxed": found.relaxed}
        return cls(row, spec.floor, average, frame["image_id"].to_list())

    def finish(self) -> GeneratedComposite:
        if self.average is None:
            return GeneratedComposite(None, self.row)
        skipped = self.average.skipped
        row = self.row | {"n_used": self.average.n, "n_skipped": len(skipped)}
        try:
            made = self.average.result(self.floor)
        except CompositeRefused as refusal:
            return GeneratedComposite(None, row | {"n_used": 0, "reason": str(refusal)})
        counts = sorted(Counter(reason for _, reason in skipped).items())
        notes = [self.row["reason"], *(f"{n} skipped: {reason}" for reason, n in counts)]
        row |= {"status": "made", "reason": "; ".join(filter(None, notes))}
        return GeneratedComposite(made.image, row)


def _usable(master: pl.DataFrame | pl.LazyFrame, landmarks: pl.DataFrame | None) -> pl.DataFrame:
    """Rows whose photo is fit to be averaged. A model that abstains says nothing against the photo, so `*_unknown` is no reason."""
    against_photo = pl.col("reasons").list.eval(~pl.element().str.ends_with("_unknown")).list.any().fill_null(False)
    no_face = pl.col("preproc_status").is_not_null() & (pl.col("preproc_status") != "ok")
    columns = ["image_id", "gender_final", "ethnicity_final", "age_bin_final", "age", "attractiveness"]
    frame = master.lazy().filter(~against_photo, ~no_face).select(columns).collect()
    if landmarks is None:
        return frame.with_columns(landmarks=pl.lit(None, pl.Array(pl.Float32, 10)))
    return frame.join(landmarks.select("image_id", "landmarks"), on="image_id", how="left", maintain_order="left")


def _points(landmarks: ArrayLike | None, scale: float) -> NDArray[np.float64]:
    if landmarks is None:
        raise ValueError("method 'aligned' needs landmarks: one row of 5 points for each photo")
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim == 2 and points.shape[1] % 2 == 0:
        points = points.reshape(len(points), -1, 2)
    if points.ndim != 3 or points.shape[2] != 2:
        raise ValueError(f"landmarks have shape {points.shape}; use (n, 10) or (n, 5, 2)")
    return points * scale


def _read(source: Source, size: int) -> NDArray[np.uint8]:
    return np.asarray(preprocess_image(source, size=size), dtype=np.uint8)


def _reason(problem: Exception) -> str:
    """Why a photo was skipped, without its name: these words end in a table."""
    if isinstance(problem, ImageProblem):
        return problem.reason
    return "the photo is missing" if isinstance(problem, FileNotFoundError | KeyError) else "the photo cannot be read"
