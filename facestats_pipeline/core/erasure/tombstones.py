"""Tombstones: the rows that remain of erased images in inventory and manifest. They say that a file existed, and nothing more."""

from collections.abc import Iterable

import polars as pl

from facestats_pipeline.core.erasure.erased_ids import ErasedIds

REASON = "erased on request"
PREFIX = "erased-"
"""Prefix of a tombstone's file name. A keyed digest follows: unique, and meaningless without the key."""
_SAYS_WHICH = ("bytes", "mtime_ns", "width", "height", "format", "added_at")

Rows = Iterable[tuple[str, str | None]]
"""(filename, image id) of rows; the id is None where the file could not be read."""


def is_one_of(rows: Rows) -> pl.Expr:
    """Expression: whether a row of a frame with `filename` and `image_id` is one of `rows`."""
    wanted = pl.DataFrame(list(rows), schema={"filename": pl.String, "image_id": pl.String}, orient="row")
    keys = wanted.select(pl.struct("filename", "image_id").alias("row"))["row"]
    return pl.struct("filename", "image_id").is_in(keys.implode())


def with_tombstones(frame: pl.DataFrame, rows: Rows, erased: ErasedIds) -> pl.DataFrame:
    """Replace `rows` of an inventory or a manifest by tombstones: state "removed", without id, name, size, times or format.

    The number of rows, their order and their shards stay the same, so no other image changes its shard.
    """
    rows = list(rows)
    # An unreadable file has no id: its name is digested instead, so that the tombstone's name is unique and reveals nothing.
    names = {row: PREFIX + erased.digest(row[1] or f"name {row[0]}") for row in rows}
    keys = list(zip(frame["filename"], frame["image_id"], strict=True))
    states = [name for name in ("state", "status") if name in frame.columns]
    hit = is_one_of(rows)
    blank = [name for name in _SAYS_WHICH if name in frame.columns]
    return frame.with_columns(
        *(pl.when(hit).then(pl.lit("removed")).otherwise(pl.col(name)).alias(name) for name in states),
        pl.when(hit).then(pl.lit(REASON)).otherwise(pl.col("reason")).alias("reason"),
        *(pl.when(hit).then(None).otherwise(pl.col(name)).alias(name) for name in (*blank, "image_id")),
        pl.Series("filename", [names.get(key, key[0]) for key in keys], dtype=pl.String),
    )
