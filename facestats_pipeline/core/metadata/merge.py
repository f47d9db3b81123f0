"""The master table: one row per live image of a shard, with everything that is known about it."""

import polars as pl

from facestats_pipeline.core.metadata.manual_labels import MANUAL
from facestats_pipeline.core.metadata.table_inputs import (
    ATTRIBUTES,
    CLUSTERS,
    DETECTION,
    GEOMETRY,
    IDS,
    MESH_ANGLES,
    PREPROC_STATUS,
    QUALITY,
    SCORES,
    MergeError,
    Schema,
    conform,
    detection_of,
    geometry_of,
    joined,
    left_join,
    require_unique,
    without,
)
from facestats_pipeline.core.metadata.tables import FINAL, FLAGS_SCHEMA, PREDICTIONS

__all__ = ["MASTER_SCHEMA", "TAKEN", "MergeError", "run_merge"]

FACTS: Schema = {
    "source": pl.String(),
    "licence": pl.String(),
    "consent": pl.String(),
    "bytes": pl.Int64(),
    "width": pl.Int32(),
    "height": pl.Int32(),
    "format": pl.String(),
    "reason": pl.String(),
    "added_at": pl.Datetime("us", "UTC"),
    "shard": pl.String(),
}
"""Columns of manifest.parquet that master takes over; `status` is `ok` in every row of it."""

_ATTRIBUTES = without(ATTRIBUTES, IDS)
_FLAGS = without(FLAGS_SCHEMA, IDS)

MASTER_SCHEMA: Schema = joined(
    IDS,
    FACTS,
    DETECTION,
    PREPROC_STATUS,
    QUALITY,
    GEOMETRY,
    {"model_id": pl.String()},
    _ATTRIBUTES,
    _FLAGS,
    CLUSTERS,
    MANUAL,
    PREDICTIONS,
    FINAL,
    SCORES,
)


TAKEN: dict[str, tuple[str, ...]] = {
    "manifest": ("image_id", "filename", "status", *FACTS),
    "preproc": ("image_id", *DETECTION, "status", "reason"),
    "image_quality": ("image_id", *QUALITY),
    "face_geometry": ("image_id", *without(GEOMETRY, MESH_ANGLES.values()), *MESH_ANGLES),
    "embeddings_clip": ("image_id", "model_id"),
    "attributes": ("image_id", *_ATTRIBUTES),
    "attributes_flags": ("image_id", *_FLAGS),
    "attributes_with_clusters": ("image_id", *CLUSTERS),
    "attributes_with_manual": ("image_id", *MANUAL),
    "attributes_with_predictions": ("image_id", *PREDICTIONS),
    "attributes_final": ("image_id", *FINAL),
    "attractiveness_scores": ("image_id", *SCORES),
}
"""Table → the columns of it that `run_merge` needs: reading no others leaves embeddings and landmarks, most of the bytes, on the disk."""


def run_merge(
    manifest: pl.DataFrame,
    *,
    preproc: pl.DataFrame | None = None,
    quality: pl.DataFrame | None = None,
    geometry: pl.DataFrame | None = None,
    embeddings: pl.DataFrame | None = None,
    attributes: pl.DataFrame | None = None,
    flags: pl.DataFrame | None = None,
    clusters: pl.DataFrame | None = None,
    manual: pl.DataFrame | None = None,
    predictions: pl.DataFrame | None = None,
    final: pl.DataFrame | None = None,
    scores: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per image of `manifest` with status `ok`, in its order, with MASTER_SCHEMA whatever is given.

    `embeddings` needs image_id and model_id only. `flags`, `clusters`, `manual`, `predictions` and `final` are the frames of the tables
    attributes_flags, …_with_clusters, …_with_manual, …_with_predictions and …_final. Rows of images that are not live are left out.

    Raises:
        MergeError: when a table lists an image twice, naming the table and how many rows, never which image.
    """
    frame = conform(manifest.filter(pl.col("status") == "ok"), {**IDS, **FACTS})
    require_unique(frame, "manifest.parquet")
    live = frame.height
    inputs: tuple[tuple[str, pl.DataFrame | None, Schema], ...] = (
        ("preproc.parquet", detection_of(preproc), DETECTION | PREPROC_STATUS),
        ("image_quality.parquet", quality, QUALITY),
        ("face_geometry.parquet", geometry_of(geometry), GEOMETRY),
        ("embeddings_clip.parquet", embeddings, {"model_id": pl.String()}),
        ("attributes.parquet", attributes, _ATTRIBUTES),
        ("attributes_flags.parquet", flags, _FLAGS),
        ("attributes_with_clusters.parquet", clusters, CLUSTERS),
        ("attributes_with_manual.parquet", manual, MANUAL),
        ("attributes_with_predictions.parquet", predictions, PREDICTIONS),
        ("attributes_final.parquet", final, FINAL),
        ("attractiveness_scores.parquet", scores, SCORES),
    )
    for table, right, columns in inputs:
        frame = left_join(frame, right, columns, table)
    master = conform(frame, MASTER_SCHEMA)
    if master.height != live or master["image_id"].n_unique() != live:
        raise MergeError(f"master has {master.height} rows for {live} live images")
    return master
