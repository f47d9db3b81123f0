"""The table of preprocessed photos: one row per live image, with its detected face."""

import polars as pl

from facestats_pipeline.core.ingest.manifest_table import MANIFEST
from facestats_pipeline.core.tables import Column, Table

SIZE, SMALLEST, LARGEST = 512, 32, 4096
"""Side of a preprocessed photo in pixels: default and bounds of the setting. No encoder has an input below 32."""
QUALITY, LOWEST_QUALITY, HIGHEST_QUALITY = 95, 1, 100
"""JPEG quality of a preprocessed photo: default and bounds of the setting."""
PICTURED = ("ok", "no_face")
"""Statuses of the rows that have a JPEG."""

PREPROC = Table(
    "preproc",
    "preproc.parquet",
    (
        *MANIFEST.keys,
        Column("preproc_id", pl.String(), "identity of the settings and the detector that made the preprocessed photo"),
        Column(
            "detector",
            pl.String(),
            "name of the face detector with a hash of its model; `none` without a model",
        ),
        Column("face_count", pl.Int32(), "faces with a score of at least min_face_score; null without a detector"),
        Column(
            "face_score",
            pl.Float32(),
            "the detector's score, 0–1, of the face used, or of the best candidate below min_face_score; null without any",
        ),
        Column(
            "face_box",
            pl.Array(pl.Float32(), 4),
            "x, y, width, height of the largest face in preprocessed pixels; null without a face",
        ),
        Column(
            "landmarks",
            pl.Array(pl.Float32(), 10),
            "x, y of right eye, left eye, nose, right and left mouth corner in preprocessed pixels; null without a face",
        ),
        Column(
            "transform",
            pl.Array(pl.Float32(), 6),
            "2×3 affine matrix, row by row, from pixels of the oriented source to preprocessed pixels",
        ),
        Column("status", pl.String(), "ok, no_face, or the reason why there is no preprocessed photo"),
        Column("reason", pl.String(), "one sentence on a status that is not ok; empty otherwise"),
    ),
    rows_by=MANIFEST.sources("status"),
)

DETECTION = PREPROC.taken(
    "preproc_id", "detector", "face_count", "face_score", preproc_status="status", preproc_reason="reason"
)
"""The scalar columns for joined tables. Status and reason are renamed, because manifest and flags have their own."""

TABLES = (PREPROC,)
