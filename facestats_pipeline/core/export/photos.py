"""The photo record that every export layout writes: preprocessed picture plus row of the master table, as plain values."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import polars as pl

from facestats_pipeline.core.metadata.csv_export import LIST_SEPARATOR

INTERNAL = ("preproc_id", "shard", "preproc_reason", "reason")
"""Columns of master without meaning outside the data folder. They are exported only by name."""
ALWAYS = ("image_id",)
"""Columns that every export has, so that a photo can be found in it and removed."""


class ExportRefused(ValueError):
    """Nothing can be exported, or not as requested. The message says why."""


@dataclass(frozen=True)
class ExportedPhoto:
    """One photo of an export.

    Attributes:
        image_id: its id, also its name in the export.
        folder: sub-folder for layouts with one file per photo: its shard, so that folders stay small enough to list.
        jpeg: the preprocessed picture: square, upright, without EXIF.
        row: column → value, in the order of the export's columns.
        face_box: x, y, width, height of the face in pixels of the picture; None without a known face.
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
        """Path of the picture below the layout's folder of pictures."""
        return f"{self.folder}/{self.image_id}.jpg"


def export_schema(master: pl.Schema, columns: Iterable[str] | None = None) -> pl.Schema:
    """The columns of an export: the named ones, by default all of `master` except INTERNAL. `image_id` always comes first.

    Raises ExportRefused for a column that master lacks.
    """
    wanted = list(columns) if columns is not None else [name for name in master if name not in INTERNAL]
    if unknown := [name for name in wanted if name not in master]:
        raise ExportRefused(f"master has no column {unknown[0]!r}; it has {', '.join(master)}")
    names = dict.fromkeys((*ALWAYS, *wanted))
    return pl.Schema({name: master[name] for name in names})


def photos_of(
    shards: Iterable[pl.DataFrame], schema: pl.Schema, picture: Callable[[str, str], bytes], side: int
) -> Iterator[ExportedPhoto]:
    """Yield the photos of `shards`: frames with the columns of `schema`, `shard` and `face_box`. `picture(shard, image_id)` returns a JPEG.

    Errors of `picture` (OSError for a missing file) are passed on, because an export must not lack pictures silently.
    """
    for frame in shards:
        rows = frame.select(schema.names()).iter_rows(named=True)
        for row, (shard, box) in zip(rows, frame.select("shard", "face_box").iter_rows(), strict=True):
            jpeg = picture(shard, row["image_id"])
            yield ExportedPhoto(row["image_id"], shard, jpeg, row, None if box is None else tuple(box), side)


def in_groups(photos: Iterable[ExportedPhoto], most: int) -> Iterator[list[ExportedPhoto]]:
    """Yield `photos` in lists of at most `most`."""
    left = iter(photos)
    while group := list(islice(left, most)):
        yield group


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with JSON values: times as ISO 8601 text, NaN as null."""
    return {name: _plain(value) for name, value in row.items()}


def flat(row: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """`plain` without nulls and empty text, lists joined into text: values for scalar attributes."""
    joined = {k: LIST_SEPARATOR.join(map(str, v)) if isinstance(v, list) else v for k, v in plain(row).items()}
    return {name: value for name, value in joined.items() if value not in (None, "")}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and value != value else value
