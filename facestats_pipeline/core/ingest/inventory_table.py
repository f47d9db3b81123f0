"""The inventory table: one row per file ever seen in the raw folder."""

import polars as pl

from facestats_pipeline.core.tables import FILENAME, IMAGE_ID, Column, Table

STATUSES = ("ok", "corrupt", "too_large", "unsupported", "duplicate", "removed")
"""States of a file. The inventory knows only the listing and the bytes; the manifest has also decoded the photo."""

RAW_PHOTOS = Table(
    "raw_photos",
    "inventory.parquet",
    (
        FILENAME,
        Column("image_id", pl.String(), f"{IMAGE_ID.description}; null when the file could not be read"),
        Column("bytes", pl.Int64(), "size of the file in bytes"),
        Column(
            "mtime_ns", pl.Int64(), "time of the last change, ns; for an object in a bucket, a number from its ETag"
        ),
        Column("state", pl.String(), f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}, before the photo is decoded"),
        Column("reason", pl.String(), "why the state is not ok; empty otherwise"),
        Column("added_at", pl.Datetime("us", "UTC"), "when the file was first seen, UTC"),
        Column("shard", pl.String(), "the shard of the photo; it never changes"),
    ),
    kind="table",
)

TABLES = (RAW_PHOTOS,)
