"""The table of composites: one row per requested composite, made or refused."""

import polars as pl

from facestats_pipeline.core.tables import Column, Table

COMPOSITES = Table(
    "composites",
    "composites.parquet",
    (
        Column("name", pl.String(), "file stem of the composite"),
        Column("caption", pl.String(), "what a reader sees under the picture"),
        Column("filter", pl.String(), "the filters as asked"),
        Column("applied", pl.String(), "the filters after relaxing; null when refused"),
        Column("n_asked", pl.Int64(), "photos that satisfy the filters as asked"),
        Column("n_used", pl.Int64(), "photos in the average"),
        Column("n_skipped", pl.Int64(), "photos that could not be read"),
        Column("relaxed", pl.List(pl.String()), "what was given up to find enough photos, one sentence each"),
        Column("method", pl.String(), "how the photos were brought together: mean, aligned or warped"),
        Column("size", pl.Int32(), "side of the picture in pixels"),
        Column("status", pl.String(), "made or refused"),
        Column("reason", pl.String(), "why refused, or what was left out, skipped or sampled; empty otherwise"),
    ),
    kind="file",
)

TABLES = (COMPOSITES,)
