"""The manifest table: one row per file of a shard, with its format, size and usability."""

import polars as pl

from facestats_pipeline.core.ingest.inventory_table import RAW_PHOTOS, STATUSES
from facestats_pipeline.core.tables import Column, Table

_UNREAD = "null when the photo could not be read"

MANIFEST = Table(
    "manifest",
    "manifest.parquet",
    (
        *RAW_PHOTOS.taken("image_id", "filename"),
        Column("source", pl.String(), "where the photo comes from, according to sources.csv or the settings"),
        Column(
            "licence",
            pl.String(),
            "licence under which the photo may be used, according to sources.csv or the settings",
        ),
        Column(
            "consent",
            pl.String(),
            "what the people shown agreed to, according to sources.csv or the settings; null if not stated",
        ),
        *RAW_PHOTOS.taken("bytes"),
        Column("width", pl.Int32(), f"width in pixels after EXIF orientation; {_UNREAD}"),
        Column("height", pl.Int32(), f"height in pixels after EXIF orientation; {_UNREAD}"),
        Column(
            "format", pl.String(), f"JPEG, PNG, WEBP, BMP, TIFF, GIF or HEIC, from the content, not the name; {_UNREAD}"
        ),
        Column(
            "status",
            pl.String(),
            f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}; only ok photos are images of the collection",
            RAW_PHOTOS.sources("state"),
        ),
        Column(
            "reason",
            pl.String(),
            "why the status is not ok, or a note, for example that only the first frame is used; empty otherwise",
            RAW_PHOTOS.sources("reason"),
        ),
        *RAW_PHOTOS.taken("added_at", "shard"),
    ),
)

TABLES = (MANIFEST,)
