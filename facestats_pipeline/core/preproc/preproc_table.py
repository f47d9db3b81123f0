"""What the table of preprocessed photos holds: one row per live image, with what was detected in it."""

import polars as pl

from facestats_pipeline.core.ingest.manifest_table import MANIFEST
from facestats_pipeline.core.tables import Column, Table

SIZE, SMALLEST, LARGEST = 512, 32, 4096
"""Side of a preprocessed photo in pixels: the default, and the bounds of the setting. No encoder takes less than 32."""
QUALITY, LOWEST_QUALITY, HIGHEST_QUALITY = 95, 1, 100
"""JPEG quality of a preprocessed photo."""
PICTURED = ("ok", "no_face")
"""Statuses of rows that have a JPEG."""

PREPROC = Table(
    "preproc",
    "preproc.parquet",
    (
        *MANIFEST.keys,
        Column("preproc_id", pl.String(), "identity of the settings and the detector that made the preprocessed photo"),
        Column(
            "detector",
            pl.String(),
            "name of the face detector with a hash of its model; none when there is no model",
        ),
        Column("face_count", pl.Int32(), "faces the detector is sure of; null without a detector"),
        Column(
            "face_score",
            pl.Float32(),
            "the detector's score, 0–1, of the face that was used, else of the best doubtful one; null without either",
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
        Column("status", pl.String(), "ok, no_face, or why there is no preprocessed photo"),
        Column("reason", pl.String(), "one sentence on a status that is not ok; empty otherwise"),
    ),
    rows_by=MANIFEST.sources("status"),
)

DETECTION = PREPROC.taken(
    "preproc_id", "detector", "face_count", "face_score", preproc_status="status", preproc_reason="reason"
)
"""Scalar columns as joined tables have them: manifest and flags have a status and a reason of their own."""

TABLES = (PREPROC,)
