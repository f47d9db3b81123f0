"""One photo as every export writes it: the preprocessed picture, and its row of the master table as plain values."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import polars as pl

from facestats_pipeline.core.metadata.csv_export import LIST_SEPARATOR

INTERNAL = ("preproc_id", "shard", "preproc_reason", "reason")
"""Columns of master that mean nothing outside the data folder; exported only when they are asked for."""
ALWAYS = ("image_id",)
"""Columns that an export always has: by them a photo can be found in it again, to be removed."""


class ExportRefused(ValueError):
    """There is nothing to export, or not as asked; the message says why."""


@dataclass(frozen=True)
class ExportedPhoto:
    """One photo of an export.

    Attributes:
        image_id: its id, which is also its name in the export.
        folder: name of the sub-folder where a layout has one file a photo; folders stay small enough to be listed.
        jpeg: the preprocessed picture: square, upright, without EXIF.
        row: column → value, in the order of the export's columns.
        face_box: x, y, width, height of the face in pixels of the picture; None where no face is known.
        side: width and height of the picture in pixels.
    """

    image_id: str
    folder: str
    jpeg: bytes
    row: Mapping[str, Any]
    face_box: tuple[float, ...] | None
    side: int

    @property
    def path(self) -> str:
        """Path of the picture below the folder of pictures."""
        return f"{self.folder}/{self.image_id}.jpg"


def export_schema(master: pl.Schema, columns: Iterable[str] | None = None) -> pl.Schema:
    """The columns of an export: those that are named, else all of `master` but INTERNAL; `image_id` is always the first.

    Raises ExportRefused for a name that master does not have.
    """
    wanted = list(columns) if columns is not None else [name for name in master if name not in INTERNAL]
    if unknown := [name for name in wanted if name not in master]:
        raise ExportRefused(f"master has no column {unknown[0]!r}; it has {', '.join(master)}")
    names = dict.fromkeys((*ALWAYS, *wanted))
    return pl.Schema({name: master[name] for name in names})


def photos_of(
    shards: Iterable[pl.DataFrame], schema: pl.Schema, picture: Callable[[str, str], bytes], side: int
) -> Iterator[ExportedPhoto]:
    """The photos of `shards`: frames with the columns of `schema`, `shard` and `face_box`; `picture(shard, image_id)` gives a JPEG.

    What `picture` raises (OSError for a file that is gone) is passed on: an export without some of its pictures would be no export.
    """
    for frame in shards:
        rows = frame.select(schema.names()).iter_rows(named=True)
        for row, (shard, box) in zip(rows, frame.select("shard", "face_box").iter_rows(), strict=True):
            jpeg = picture(shard, row["image_id"])
            yield ExportedPhoto(row["image_id"], shard, jpeg, row, None if box is None else tuple(box), side)


def in_groups(photos: Iterable[ExportedPhoto], most: int) -> Iterator[list[ExportedPhoto]]:
    """`photos` in lists of `most`, the last one shorter."""
    left = iter(photos)
    while group := list(islice(left, most)):
        yield group


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: times as ISO 8601 text, numbers that are none as null."""
    return {name: _plain(value) for name, value in row.items()}


def flat(row: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """`plain` without nulls, lists joined into text: what fits into a label's attribute."""
    joined = {k: LIST_SEPARATOR.join(map(str, v)) if isinstance(v, list) else v for k, v in plain(row).items()}
    return {name: value for name, value in joined.items() if value not in (None, "")}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and value != value else value
