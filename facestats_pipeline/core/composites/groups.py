"""Selects the photos of a composite's group from the master, with the reasons for exclusions, and manages the group's average."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.composites.averaging import Average, Part
from facestats_pipeline.core.composites.composite_filters import filter_columns, filter_faces, filter_images
from facestats_pipeline.core.composites.composite_specs import CompositeRefused, CompositeSpec, describe_filters
from facestats_pipeline.core.composites.kept_sums import FEWEST_KEPT, KeptSum, way_of

Table = pl.DataFrame | pl.LazyFrame

BY_FLOW = "warped by optical flow, because the 478 landmarks are missing"


@dataclass(frozen=True)
class GeneratedComposite:
    """A made or refused composite: its picture (None if refused), its row of `COMPOSITES.schema`, and its sum if that is worth keeping."""

    image: Image.Image | None
    row: dict[str, Any]
    kept: KeptSum | None = None


@dataclass(frozen=True)
class Collection:
    """The photos from which groups are selected.

    Attributes:
        rows: image_id, the columns for filters and weights, and `unusable`: the reason why a photo is excluded, null if it is usable.
        landmarks: image_id and landmarks of 5 points; None without a face detector.
        mesh: image_id and landmarks of 478 points; None without a landmark model.
        landmark_size: side in pixels of the square in which the landmarks were measured.
        version: version of preprocessing; with another one, the photo of an image id may look different.
    """

    rows: pl.DataFrame
    landmarks: Table | None
    mesh: Table | None
    landmark_size: int
    version: str = ""

    @classmethod
    def of(
        cls,
        master: Table,
        landmarks: Table | None,
        mesh: Table | None,
        landmark_size: int,
        weights: Iterable[str],
        version: str = "",
        catalogue: Catalogue = BUILT_IN,
    ) -> "Collection":
        """Collect the rows of `master` with their reason for exclusion. `*_unknown` is no reason: an abstaining model does not make a
        photo unusable.

        Raises ValueError for a weight that is not a numeric column.
        """
        table = master.lazy()
        schema = table.collect_schema()
        weights = sorted(set(weights))
        for name in weights:
            if name not in schema or not schema[name].is_numeric():
                numbers = ", ".join(sorted(column for column, kind in schema.items() if kind.is_numeric()))
                raise ValueError(f"weight={name!r} is no column of numbers in the master table; there are {numbers}")
        flagged = pl.col("reasons").list.eval(~pl.element().str.ends_with("_unknown")).list.any().fill_null(False)
        no_face = pl.col("preproc_status").is_not_null() & (pl.col("preproc_status") != "ok")
        unusable = (
            pl.when(no_face).then(pl.lit("without a face")).when(flagged).then(pl.lit("flagged for their quality"))
        )
        kept = list(dict.fromkeys(["image_id", *filter_columns(catalogue), *weights]))
        rows = table.select(*kept, unusable=unusable.otherwise(None)).collect()
        has = [_ids(landmarks, "has_landmarks"), _ids(mesh, "has_mesh")]
        for ids in has:
            rows = rows.join(ids, on="image_id", how="left", maintain_order="left")
        rows = rows.with_columns(pl.col("has_landmarks", "has_mesh").fill_null(False))
        return cls(rows, landmarks, mesh, landmark_size, version)


@dataclass
class Group:
    """The state of one spec while its composite is made.

    Attributes:
        row: its row of the table so far.
        average: its average; None if it was refused.
        image_ids: its photos, followed by those to subtract from the earlier sum.
        members: the number of its photos.
        begins_with: the earlier sum that it continues.
    """

    row: dict[str, Any]
    floor: int
    average: Average | None = None
    image_ids: list[str] = field(default_factory=list)
    members: int = 0
    notes: list[str] = field(default_factory=list)
    way: str = ""
    begins_with: KeptSum | None = None

    @classmethod
    def plan(
        cls,
        collection: Collection,
        spec: CompositeSpec,
        size: int,
        max_images: int | None,
        earlier: KeptSum | None = None,
    ) -> "Group":
        """Select the photos. A refused group has no average, and its row gives the reason.

        `earlier`: the sum of the same spec in an earlier run. It is continued if photos are still moved in the same way and those that left
        the group are still available for subtraction.
        """
        kind, rows = _judged(collection, spec)
        usable = rows.filter(pl.col("unusable").is_null())
        row: dict[str, Any] = {
            "name": spec.name,
            "caption": spec.caption,
            "filter": describe_filters(spec.filters, spec.catalogue),
            "applied": None,
            "n_asked": filter_images(usable, spec.catalogue, **spec.filters).height,
            "n_used": 0,
            "n_skipped": 0,
            "relaxed": [],
            "method": spec.method,
            "size": size,
            "status": "refused",
            "reason": "",
        }
        try:
            found = filter_faces(usable, spec.catalogue, min_n=spec.floor, strict=spec.strict, **spec.filters)
        except CompositeRefused as refusal:
            missed = _left_out(filter_images(rows, spec.catalogue, **spec.filters))
            return cls(row | {"reason": "; ".join([str(refusal), *missed])}, spec.floor)
        filters, frame = found.filters, found.frame
        notes = _left_out(filter_images(rows, spec.catalogue, **filters))
        if max_images is not None and found.n > max_images:
            # Ids are digests, so the smallest are a uniform sample that changes little as photos arrive.
            frame = frame.sort("image_id").head(max(max_images, spec.floor))
            notes.append(f"a random sample of {frame.height:,} of {found.n:,} photos")
        if kind == "flow":
            notes.append(BY_FLOW)
        row |= {"applied": found.applied, "relaxed": found.relaxed}
        left = frame.head(0)
        if earlier is not None and spec.weight is None:
            left = rows.filter(pl.col("image_id").is_in(list(earlier.ids - set(frame["image_id"]))))
        weights = None if spec.weight is None else frame[spec.weight].cast(pl.Float64).to_numpy()
        table = {"mesh": collection.mesh, "flow": collection.landmarks, "aligned": collection.landmarks}.get(kind)
        both = pl.concat([frame.select("image_id"), left.select("image_id")])
        points = None if table is None else _chosen(table, both, size / collection.landmark_size)
        try:
            average = Average(spec.method, size, points, weights, frame.height)
        except ValueError as problem:
            return cls(row | {"reason": str(problem)}, spec.floor)
        group = cls(row, spec.floor, average, both["image_id"].to_list(), frame.height, notes)
        if average.passes == 1 and weights is None:
            group.way = way_of(average.way, collection.version)
            group._go_on_from(earlier)
        return group

    def reads(self) -> Iterator[tuple[str, int]]:
        """Yield (image id, index) of every photo to read in the current pass."""
        known = self.begins_with.ids if self.begins_with is not None else frozenset()
        last = len(self.image_ids) if self.begins_with is not None else self.members
        for index, image_id in enumerate(self.image_ids[:last]):
            if (
                self.average is not None
                and (index >= self.members or image_id not in known)
                and self.average.wants(index)
            ):
                yield image_id, index

    def add(self, part: Part, photo: NDArray[np.uint8], index: int) -> None:
        """Add a member to the partial sum, or subtract a photo that left the group."""
        if index < self.members:
            part.add(photo, index)
        else:
            part.take(photo, index)

    def begin_anew(self) -> None:
        """Discard the earlier sum, because a photo that left the group is unreadable and cannot be subtracted."""
        self.begins_with = None
        if self.average is not None:
            self.average.begin_with(np.zeros_like(self.average.total), 0)

    @property
    def in_vain(self) -> bool:
        """Whether a photo that left the group could not be read, so that the sum is wrong."""
        return self.average is not None and any(index >= self.members for index, _ in self.average.skipped)

    def finish(self) -> GeneratedComposite:
        """The composite, or only its row if it is refused."""
        if self.average is None:
            return GeneratedComposite(None, self.row)
        skipped = [(index, reason) for index, reason in self.average.skipped if index < self.members]
        row = self.row | {"n_used": self.average.n, "n_skipped": len(skipped)}
        counts = [f"{n} skipped: {reason}" for reason, n in sorted(Counter(reason for _, reason in skipped).items())]
        try:
            made = self.average.result(self.floor)
        except CompositeRefused as refusal:
            return GeneratedComposite(None, row | {"n_used": 0, "reason": "; ".join([str(refusal), *counts])})
        if made.n_effective < made.n_used - 0.05:
            counts.append(f"weighted, as much as {made.n_effective:.1f} equal photos")
        row |= {"status": "made", "reason": "; ".join([*self.notes, *counts])}
        left_out = {index for index, _ in skipped}
        ids = frozenset(one for index, one in enumerate(self.image_ids[: self.members]) if index not in left_out)
        kept = KeptSum(self.way, ids, self.average.total) if self.way and len(ids) >= FEWEST_KEPT else None
        return GeneratedComposite(made.image, row, kept)

    def _go_on_from(self, earlier: KeptSum | None) -> None:
        """Continue `earlier` if that is correct and cheaper than reading all photos."""
        if earlier is None or earlier.way != self.way or self.average is None:
            return
        members, leaving = self.image_ids[: self.members], self.image_ids[self.members :]
        gone = earlier.ids - set(members) - set(leaving)  # no longer in the collection, or without landmarks
        changed = len(leaving) + len(set(members) - earlier.ids)
        if (
            gone
            or changed >= self.members
            or not all(map(self.average.wants, range(self.members, len(self.image_ids))))
        ):
            return
        self.average.begin_with(earlier.total, len(earlier.ids))
        self.begins_with = earlier


def points_of(landmarks: ArrayLike | None, scale: float) -> NDArray[np.float64]:
    """(n, k, 2) landmarks times `scale`, from (n, k, 2) or (n, 2 k). Raises ValueError for another shape or None."""
    if landmarks is None:
        raise ValueError("this method needs landmarks: one row of points for each photo")
    points = np.asarray(landmarks, dtype=np.float64)
    if points.ndim == 2 and points.shape[1] % 2 == 0:
        points = points.reshape(len(points), -1, 2)
    if points.ndim != 3 or points.shape[2] != 2:
        raise ValueError(f"landmarks have shape {points.shape}; use (n, 10), (n, 5, 2) or (n, 478, 2)")
    return points * scale


def _ids(table: Table | None, name: str) -> pl.DataFrame:
    """image_id and a column `name` of true, for each row with landmarks."""
    if table is None:
        return pl.DataFrame(schema={"image_id": pl.String, name: pl.Boolean})
    ids = table.lazy().filter(pl.col("landmarks").is_not_null()).select("image_id").collect()
    return ids.with_columns(pl.lit(True).alias(name))


def _judged(collection: Collection, spec: CompositeSpec) -> tuple[str, pl.DataFrame]:
    """(how faces are brought together: mean, aligned, mesh or flow; the rows, with photos that lack the needed landmarks unusable)."""
    rows = collection.rows
    if spec.method == "mean":
        return "mean", rows
    kind, needs = "aligned", "has_landmarks"
    if spec.method == "warped":
        meshed = filter_images(
            rows.filter("has_mesh", pl.col("unusable").is_null()), spec.catalogue, **spec.filters
        ).height
        kind, needs = ("mesh", "has_mesh") if meshed >= spec.floor else ("flow", "has_landmarks")
    lacking = pl.when(pl.col("unusable").is_null() & ~pl.col(needs)).then(pl.lit("without landmarks"))
    return kind, rows.with_columns(unusable=lacking.otherwise("unusable"))


def _left_out(rows: pl.DataFrame) -> list[str]:
    counts = rows.drop_nulls("unusable").group_by("unusable").len().sort("unusable")
    return [f"{n:,} left out: {why}" for why, n in counts.iter_rows()]


def _chosen(table: Table, frame: pl.DataFrame, scale: float) -> NDArray[np.float64]:
    """(n, k, 2) landmarks of the photos of `frame`, in its order; NaN rows without landmarks."""
    found = (
        table.lazy().join(frame.lazy().select("image_id"), on="image_id", how="semi").select("image_id", "landmarks")
    )
    ordered = frame.select("image_id").join(found.collect(), on="image_id", how="left", maintain_order="left")
    return points_of(ordered["landmarks"].to_numpy(), scale)
