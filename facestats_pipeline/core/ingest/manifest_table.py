"""What the manifest holds: one row per file of a shard, with what it is and whether it can be used."""

import polars as pl

from facestats_pipeline.core.ingest.inventory_table import RAW_PHOTOS, STATUSES
from facestats_pipeline.core.tables import Column, Table

_UNREAD = "null when the photo could not be read"

MANIFEST = Table(
    "manifest",
    "manifest.parquet",
    (
        *RAW_PHOTOS.taken("image_id", "filename"),
        Column("source", pl.String(), "where the photo comes from, as the collection's settings say"),
        Column("licence", pl.String(), "licence the photo may be used under, as the collection's settings say"),
        Column(
            "consent",
            pl.String(),
            "what the people shown agreed to, as the collection's settings say; null when nothing is said",
        ),
        *RAW_PHOTOS.taken("bytes"),
        Column("width", pl.Int32(), f"width in pixels after EXIF orientation; {_UNREAD}"),
        Column("height", pl.Int32(), f"height in pixels after EXIF orientation; {_UNREAD}"),
        Column(
            "format", pl.String(), f"JPEG, PNG, WEBP, BMP, TIFF, GIF or HEIC, by content and not by name; {_UNREAD}"
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
            "why the status is not ok, or a note such as that only the first frame is used; empty otherwise",
            RAW_PHOTOS.sources("reason"),
        ),
        *RAW_PHOTOS.taken("added_at", "shard"),
    ),
)

TABLES = (MANIFEST,)
