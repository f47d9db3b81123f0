"""The master table: one row per live image of a shard, with the columns of all other tables."""

from functools import cache

import polars as pl

from facestats_pipeline.core.attractiveness.score_table import SCORES
from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.embeddings.embedding_table import EMBEDDINGS
from facestats_pipeline.core.ingest.manifest_table import MANIFEST
from facestats_pipeline.core.joins import MergeError, conform, join_taken, require_unique
from facestats_pipeline.core.metadata.cluster_table import cluster_table
from facestats_pipeline.core.metadata.final_table import final_table
from facestats_pipeline.core.metadata.flag_table import flag_table
from facestats_pipeline.core.metadata.manual_table import manual_table
from facestats_pipeline.core.metadata.prediction_table import prediction_table
from facestats_pipeline.core.preproc.geometry_table import GEOMETRY
from facestats_pipeline.core.preproc.preproc_table import DETECTION
from facestats_pipeline.core.preproc.quality_table import IMAGE_QUALITY
from facestats_pipeline.core.tables import KEYS, Column, Table, schema_of

__all__ = ["MergeError", "master_table", "run_merge"]

_FACTS = MANIFEST.taken(
    "source", "licence", "consent", "bytes", "width", "height", "format", "reason", "added_at", "shard"
)


@cache
def master_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of master. The manifest's `status` is left out, because it is ok in every row."""
    attributes = attribute_table(catalogue)
    return Table(
        "master",
        "metadata/master.parquet",
        (
            *MANIFEST.keys,
            *_FACTS,
            *DETECTION,
            *IMAGE_QUALITY.content,
            *GEOMETRY,
            *EMBEDDINGS.taken("model_id"),
            *attributes.content,
            *flag_table(catalogue).content,
            *_added(cluster_table(catalogue), attributes),
            *_added(manual_table(catalogue), attributes),
            *_added(prediction_table(catalogue), attributes),
            *_added(final_table(catalogue), SCORES),
            *SCORES.content,
        ),
        rows_by=MANIFEST.sources("status"),
    )


TABLES = (master_table,)


def _added(table: Table, to: Table) -> tuple[Column, ...]:
    """The columns of `table` that are not columns of `to`."""
    return table.taken(*(name for name in table.schema if name not in to.schema))


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
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """Join all tables: `master_table`, one row per image of `manifest` with status `ok`, in its order. Missing tables give null columns.

    embeddings: image_id and model_id suffice. flags, clusters, manual, predictions, final: the tables attributes_flags, …_with_clusters,
    …_with_manual, …_with_predictions and …_final. Rows of other images are ignored.

    Raises:
        MergeError: when a table lists an image twice. The message has the table and a count, but no image id.
    """
    spec = master_table(catalogue)
    frame = conform(manifest.filter(pl.col("status") == "ok"), {**KEYS, **schema_of(_FACTS)})
    require_unique(frame, "manifest.parquet")
    live = frame.height
    inputs = {
        "preproc": preproc,
        "image_quality": quality,
        "face_geometry": geometry,
        "embeddings_clip": embeddings,
        "attributes": attributes,
        "attributes_flags": flags,
        "attributes_with_clusters": clusters,
        "attributes_with_manual": manual,
        "attributes_with_predictions": predictions,
        "attributes_final": final,
        "attractiveness_scores": scores,
    }
    for table, right in inputs.items():
        frame = join_taken(frame, right, spec.taken_from(table))
    master = conform(frame, spec.schema)
    # Every join is a left join on unique ids, so this cannot fail; it guards the one table that everything else reads.
    if master.height != live or master["image_id"].n_unique() != live:
        raise MergeError(f"master has {master.height} rows for {live} live images")
    return master
