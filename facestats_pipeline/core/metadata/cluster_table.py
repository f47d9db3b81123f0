"""The table of attributes with clusters: each image's coordinates on the first two principal axes of the embeddings, and its cluster."""

from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.embeddings.embedding_table import EMBEDDINGS
from facestats_pipeline.core.joins import conform, left_join
from facestats_pipeline.core.tables import Column, Table, schema_of

if TYPE_CHECKING:
    from facestats_pipeline.core.metadata.clusters import ClusterModel, Matrix

_FROM = EMBEDDINGS.sources("embedding")
_PLACE = (
    Column(
        "pca_x",
        pl.Float32(),
        "coordinate on the first principal axis of the embeddings; null without an embedding",
        _FROM,
    ),
    Column(
        "pca_y",
        pl.Float32(),
        "coordinate on the second principal axis of the embeddings; null without an embedding",
        _FROM,
    ),
    Column(
        "cluster",
        pl.Int32(),
        "number of the nearest k-means cluster, from 0; null without an embedding",
        _FROM,
    ),
)


@cache
def cluster_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of attributes_with_clusters."""
    attributes = attribute_table(catalogue)
    columns = (*attributes.keys, *attributes.content, *_PLACE)
    return Table("attributes_with_clusters", "metadata/attributes_with_clusters.parquet", columns)


TABLES = (cluster_table,)


def attributes_with_clusters(
    attributes: pl.DataFrame,
    ids: pl.DataFrame,
    embeddings: "Matrix",
    model: "ClusterModel | None",
    *,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """`attributes` with each image's PCA coordinates and cluster: `cluster_table`, one row per row of `attributes`.

    ids: n rows with image_id, for the rows of `embeddings` (n, d) float32. The columns are null for an image without a finite embedding and
    without a model. Raises ValueError when `ids` and `embeddings` differ in length, or the width is not the model's.
    """
    if ids.height != len(embeddings):
        raise ValueError(f"{ids.height} image ids for {len(embeddings)} embeddings")
    placed = None
    if model is not None and ids.height:
        xy, cluster = model.assign(embeddings)
        placed = pl.DataFrame(
            {"image_id": ids["image_id"], "pca_x": xy[:, 0], "pca_y": xy[:, 1], "cluster": cluster}
        ).with_columns(pl.col("pca_x", "pca_y").fill_nan(None), cluster=pl.when(pl.col("cluster") >= 0).then("cluster"))
    frame = conform(attributes, attribute_table(catalogue).schema)
    return left_join(frame, placed, schema_of(_PLACE), "embeddings_clip.parquet")
