"""Average faces of groups: photos are read one at a time, however many there are."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from PIL import Image

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
MOST_IN_PARTS = 1_000_000_000
"""Bytes that parts may take together; where there are many groups, fewer threads work."""

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
        images: photos, brought to size × size by `preprocess_image`. `warped` reads them several times and needs a list of them
            (paths, so that they are not all in memory), not an iterator.
        method: `mean`, `aligned` or `warped` (see `movers.mover`).
        landmarks: (n, 2 k) or (n, k, 2), in the order of `images`, in pixels of the square preprocessed photo; k is 5 for `aligned`,
            478 or 5 for `warped`, which then goes by optical flow. A row of NaN means that no face was found, and that photo is
            skipped and reported.
        landmark_size: side in pixels of the square the landmarks were measured in.
        weights: (n,) numbers of 0 or more by which photos count.
        min_n: fewest photos that may be averaged, and as how many equal ones weighted photos must count (k-anonymity).

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
    known = {what: len(given) for what, given in rows.items() if given is not None}
    for _ in range(average.passes):
        part = average.part()
        for index, source in enumerate(track(images, "Averaging", min(known.values(), default=None))):
            for what, given in known.items():
                if index >= given:
                    raise ValueError(
                        f"there are {given} rows of {what} and more photos than that; give one row a photo"
                    )
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
    """Filter, average and describe one composite; written to `out` (JPEG or PNG by its suffix) when given.

    Raises:
        CompositeRefused: too few photos, also after relaxing what may be relaxed.
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
    """Many composites together: in each pass a photo is read once, however many of the groups it is in.

    Photos are added up in parts of `PHOTOS_A_PART`, each by one thread, and the parts are joined. With `earlier` sums (`kept` of a
    composite of the same name) only photos that joined or left a group are read; the pictures are the same bit for bit. `warped` and
    weighted composites are made of all photos each time: what a photo becomes there depends on the others.

    `mean` and `aligned` need one pass, `warped` three. Beside one photo, memory holds for each spec a sum of size × size × 3 × 4 bytes
    (`warped`: about ten times that) and the landmarks of its photos: 80 bytes a photo, 7.6 kB with 478 points.

    Args:
        master: the rows of `master.parquet`. Photos without a face or flagged for their quality (any reason that does not end in
            `_unknown`), and those without the landmarks that a method needs, are not usable: they are in none of the counts, and
            `reason` says how many they were.
        load: image_id → the preprocessed photo; an OSError, KeyError or ImageProblem from it skips the photo, and that is reported.
        specs: what to make. A spec that is refused gives a row with its reason and no picture; nothing is raised.
        landmarks: image_id and landmarks (Array(f32, 10)) of `preproc.parquet`, which `aligned` and `warped` need.
        mesh: image_id and landmarks (Array(f32, 956)) of `face_geometry.parquet`, by which `warped` is sharpest; a group of which
            fewer than its floor have them is warped by optical flow instead, and `reason` says so.
        plain: image_id → the photo as it was taken, for `mean`, which would otherwise average what preprocessing has aligned.
        size: side of the pictures.
        landmark_size: side of the preprocessed photos, in whose pixels the landmarks are.
        max_images: average a random sample of this many photos where a group has more (those with the smallest image ids, which are
            digests), and say so in `reason`.
        earlier: name → sum of an earlier call; those that were added up in another way are passed over.
        version: of preprocessing; sums of another version are passed over.
        threads: that read and move photos; as many as there are processors by default. Each holds a sum for each spec.

    Raises:
        ValueError: when two specs have one name, or for a weight that is no column of numbers.
    """
    names_are_unique(specs)
    weights = [spec.weight for spec in specs if spec.weight is not None]
    collection = Collection.of(master, landmarks, mesh, landmark_size, weights, version)
    groups = [Group.plan(collection, spec, size, max_images, (earlier or {}).get(spec.name)) for spec in specs]
    order = collection.rows["image_id"].to_list()  # so that photos of one shard are read together
    threads = threads or os.cpu_count() or 1

    def average(chosen: list[Group]) -> None:
        plain_ones = [group for group in chosen if group.row["method"] == "mean"]
        _average(plain_ones, order, plain or load, size, threads)
        _average([group for group in chosen if group.row["method"] != "mean"], order, load, size, threads)

    average([group for group in groups if group.average is not None])
    again = [group for group in groups if group.in_vain]
    for group in again:
        group.begin_anew()
    average(again)
    return [group.finish() for group in groups]


def _average(groups: list[Group], order: list[str], load: Load, size: int, threads: int) -> None:
    """Add all photos of these groups to their averages, as often as those ask for it."""
    passes = max((group.average.passes for group in groups if group.average), default=0)
    for number in range(passes):
        stage = f"Averaging, pass {number + 1} of {passes}" if passes > 1 else "Averaging faces"
        chosen = [group for group in groups if group.average and group.average.passes > number]
        with single_threaded_opencv():
            _one_pass(chosen, order, load, size, threads, stage)


def _one_pass(groups: list[Group], order: list[str], load: Load, size: int, threads: int, stage: str) -> None:
    """Add every photo of these groups to their averages, each read once."""
    wanted: dict[str, list[tuple[int, int]]] = {}
    for number, group in enumerate(groups):
        for image_id, index in group.reads():
            wanted.setdefault(image_id, []).append((number, index))
    ids = [one for one in order if one in wanted]
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

    held = 2 * sum(
        average.total.nbytes for average in averages
    )  # by each thread: a part that it fills, and one that waits
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
    """Why a photo was skipped, without its name: these words end in a table."""
    if isinstance(problem, ImageProblem):
        return problem.reason
    return "the photo is missing" if isinstance(problem, FileNotFoundError | KeyError) else "the photo cannot be read"
