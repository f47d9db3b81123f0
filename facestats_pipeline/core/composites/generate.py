"""Makes composites, one or many together, reading each photo once per pass."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.composites.averaging import Average, Composite, Part
from facestats_pipeline.core.composites.composite_filters import FilterResult, filter_faces, filter_images
from facestats_pipeline.core.composites.composite_specs import (
    DEFAULT_FLOOR,
    CompositeRefused,
    CompositeSpec,
    check_method,
    default_specs,
    names_are_unique,
    specs_by,
)
from facestats_pipeline.core.composites.groups import Collection, GeneratedComposite, Group, points_of
from facestats_pipeline.core.composites.kept_sums import KeptSum
from facestats_pipeline.core.drawing import PICTURE_QUALITY
from facestats_pipeline.core.images.decoding import ImageProblem, preprocess_image
from facestats_pipeline.core.in_order import in_order
from facestats_pipeline.core.preproc.detection import single_threaded_opencv
from facestats_pipeline.core.progress import report, track

__all__ = [
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
    "specs_by",
]

PHOTOS_A_PART = 128
"""Photos per partial sum: many enough that joining costs little, few enough that all threads have work."""
MOST_IN_PARTS = 1_000_000_000
"""Limit for all partial sums together, in bytes. With many groups, fewer threads run."""

Source = Image.Image | Path | bytes
Load = Callable[[str], Source]


def make_composite(
    images: Iterable[Source],
    *,
    size: int = 512,
    method: str = "mean",
    landmarks: ArrayLike | None = None,
    landmark_size: int = 512,
    weights: ArrayLike | None = None,
    min_n: int = DEFAULT_FLOOR,
) -> Composite:
    """Average photos into one face, reading one at a time.

    Args:
        images: photos, brought to size × size by `preprocess_image`. `warped` reads them several times, so it needs a list (of paths, to
            keep them out of memory) instead of an iterator.
        method: `mean`, `aligned` or `warped` (see `movers.mover`).
        landmarks: (n, 2 k) or (n, k, 2), in the order of `images`, in pixels of the square preprocessed photo; k is 5 for `aligned`,
            478 or 5 for `warped`; with 5 it uses optical flow. A row of NaN means that no face was found: the photo is skipped and
            reported.
        landmark_size: side in pixels of the square in which the landmarks were measured.
        weights: (n,) weights of 0 or more.
        min_n: smallest number of photos, and smallest effective sample size with weights (k-anonymity).

    Raises:
        CompositeRefused: when fewer than `min_n` photos could be used.
        ValueError: for an unknown method, or landmarks or weights that do not fit.
    """
    check_method(method)
    points = None if method == "mean" else points_of(landmarks, size / landmark_size)
    average = Average(method, size, points, weights)
    if average.passes > 1 and isinstance(images, Iterator):
        raise ValueError(f"method '{method}' reads the photos {average.passes} times: give a list, not an iterator")
    rows = {"landmarks": points, "weights": None if weights is None else np.asarray(weights)}
    lengths = {name: len(values) for name, values in rows.items() if values is not None}
    for _ in range(average.passes):
        part = average.part()
        for index, source in enumerate(track(images, "Averaging", min(lengths.values(), default=None))):
            for name, length in lengths.items():
                if index >= length:
                    raise ValueError(f"there are {length} rows of {name} and more photos; give one row per photo")
            if average.wants(index):
                try:
                    part.add(_read(source, size), index)
                except (ImageProblem, OSError) as problem:
                    part.skipped[index] = _reason(problem)
        average.join(part)
        average.end_pass()
    return average.result(min_n)


def generate_composite(
    master: pl.DataFrame | pl.LazyFrame,
    load: Load,
    spec: CompositeSpec,
    *,
    landmarks: pl.DataFrame | pl.LazyFrame | None = None,
    mesh: pl.DataFrame | pl.LazyFrame | None = None,
    plain: Load | None = None,
    size: int = 512,
    landmark_size: int = 512,
    max_images: int | None = None,
    out: Path | None = None,
) -> GeneratedComposite:
    """Make one composite; see `generate_composites`. With `out`, it is also written as JPEG or PNG, by the suffix.

    Raises:
        CompositeRefused: too few photos, even after relaxing the filters that may be relaxed.
    """
    (made,) = generate_composites(
        master,
        load,
        [spec],
        landmarks=landmarks,
        mesh=mesh,
        plain=plain,
        size=size,
        landmark_size=landmark_size,
        max_images=max_images,
    )
    if made.image is None:
        raise CompositeRefused(f"composite {spec.name!r}: {made.row['reason']}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        made.image.save(out, quality=PICTURE_QUALITY)
    return made


def generate_composites(
    master: pl.DataFrame | pl.LazyFrame,
    load: Load,
    specs: Sequence[CompositeSpec],
    *,
    landmarks: pl.DataFrame | pl.LazyFrame | None = None,
    mesh: pl.DataFrame | pl.LazyFrame | None = None,
    plain: Load | None = None,
    size: int = 512,
    landmark_size: int = 512,
    max_images: int | None = None,
    earlier: Mapping[str, KeptSum] | None = None,
    version: str = "",
    threads: int | None = None,
) -> list[GeneratedComposite]:
    """Make many composites together. In each pass a photo is read once, however many groups it belongs to.

    Threads add up parts of `PHOTOS_A_PART` photos, and the parts are joined. With `earlier` sums (`kept` of a composite of the same name)
    only photos that joined or left a group are read; the pictures are identical bit for bit. `warped` and weighted composites always use
    all photos, because each photo's contribution depends on the others.

    `mean` and `aligned` need one pass, `warped` three. Memory holds, for each spec, a sum of size × size × 3 × 4 bytes (`warped`: about
    ten times that) and the landmarks of its photos: 80 bytes per photo, or 7.6 kB with 478 points.

    Args:
        master: the rows of `master.parquet`. Photos are unusable without a face, with a quality flag (any reason that does not end in
            `_unknown`), or without the landmarks that the method needs. They are excluded from all counts; `reason` gives their number.
        load: image_id → the preprocessed photo. An OSError, KeyError or ImageProblem skips the photo and is reported.
        specs: the composites to make, with one catalogue. A refused spec gives a row with the reason and no picture; it raises nothing.
        landmarks: image_id and landmarks (Array(f32, 10)) of `preproc.parquet`, needed by `aligned` and `warped`.
        mesh: image_id and landmarks (Array(f32, 956)) of `face_geometry.parquet`, with which `warped` is sharpest. A group in which fewer
            photos than the floor have them is warped by optical flow instead, and `reason` says so.
        plain: image_id → the photo without alignment, for `mean`; by default `load`, whose photos are aligned.
        size: side of the pictures in pixels.
        landmark_size: side of the preprocessed photos in which the landmarks were measured.
        max_images: for larger groups, average a random sample of this size (the smallest image ids, which are digests) and say so in
            `reason`.
        earlier: name → sum of an earlier call. Sums with another `way` are ignored.
        version: version of preprocessing. Sums of another version are ignored.
        threads: threads that read and move photos, by default the number of processors. Each holds a sum per spec.

    Raises:
        ValueError: when two specs share a name, or when a weight is not a numeric column.
    """
    names_are_unique(specs)
    weights = [spec.weight for spec in specs if spec.weight is not None]
    catalogue = specs[0].catalogue if specs else BUILT_IN
    collection = Collection.of(master, landmarks, mesh, landmark_size, weights, version, catalogue)
    groups = [Group.plan(collection, spec, size, max_images, (earlier or {}).get(spec.name)) for spec in specs]
    order = collection.rows["image_id"].to_list()  # the master's order: photos of a shard are read together
    threads = threads or os.cpu_count() or 1

    def average(chosen: list[Group]) -> None:
        unaligned = [group for group in chosen if group.row["method"] == "mean"]
        _average(unaligned, order, plain or load, size, threads)
        _average([group for group in chosen if group.row["method"] != "mean"], order, load, size, threads)

    average([group for group in groups if group.average is not None])
    # A photo that left a group may be unreadable by now and cannot be subtracted: such groups start over from all photos.
    failed = [group for group in groups if group.in_vain]
    for group in failed:
        group.begin_anew()
    average(failed)
    return [group.finish() for group in groups]


def _average(groups: list[Group], order: list[str], load: Load, size: int, threads: int) -> None:
    """Run all passes of these groups' averages."""
    passes = max((group.average.passes for group in groups if group.average), default=0)
    for number in range(passes):
        stage = f"Averaging, pass {number + 1} of {passes}" if passes > 1 else "Averaging faces"
        chosen = [group for group in groups if group.average and group.average.passes > number]
        with single_threaded_opencv():
            _one_pass(chosen, order, load, size, threads, stage)


def _one_pass(groups: list[Group], order: list[str], load: Load, size: int, threads: int, stage: str) -> None:
    """Run one pass: read each photo once and add it to the averages of its groups."""
    wanted: dict[str, list[tuple[int, int]]] = {}
    for number, group in enumerate(groups):
        for image_id, index in group.reads():
            wanted.setdefault(image_id, []).append((number, index))
    ids = [image_id for image_id in order if image_id in wanted]
    averages = [group.average for group in groups if group.average is not None]

    def add_up(some: Sequence[str]) -> dict[int, Part]:
        parts: dict[int, Part] = {}
        for image_id in some:
            try:
                photo, reason = _read(load(image_id), size), ""
            except (ImageProblem, OSError, KeyError) as problem:
                photo, reason = None, _reason(problem)
            for number, index in wanted[image_id]:
                if number not in parts:
                    parts[number] = averages[number].part()
                if photo is None:
                    parts[number].skipped[index] = reason
                else:
                    groups[number].add(parts[number], photo, index)
        return parts

    # Each thread holds two partial sums per group: one that it fills, and one that waits to be joined.
    held = 2 * sum(average.total.nbytes for average in averages)
    threads = max(1, min(threads, MOST_IN_PARTS // max(held, 1)))
    chunks = [ids[start : start + PHOTOS_A_PART] for start in range(0, len(ids), PHOTOS_A_PART)]
    report(stage, done := 0, len(ids))
    for some, parts in zip(chunks, in_order(add_up, chunks, threads, name="composites"), strict=True):
        for number in sorted(parts):
            averages[number].join(parts[number])
        report(stage, done := done + len(some), len(ids))
    for average in averages:
        average.end_pass()


def _read(source: Source, size: int) -> NDArray[np.uint8]:
    return np.asarray(preprocess_image(source, size=size), dtype=np.uint8)


def _reason(problem: Exception) -> str:
    """The reason for skipping a photo, without its name, since the text is stored in a table."""
    if isinstance(problem, ImageProblem):
        return problem.reason
    return "the photo is missing" if isinstance(problem, FileNotFoundError | KeyError) else "the photo cannot be read"
