"""Small shards of every table that the master table joins."""

import polars as pl

from facestats_pipeline.core.metadata.cluster_table import attributes_with_clusters
from facestats_pipeline.core.metadata.clusters import fit_clusters
from facestats_pipeline.core.metadata.final_table import attributes_final
from facestats_pipeline.core.metadata.flag_table import attributes_flags
from facestats_pipeline.core.metadata.manual_table import attributes_with_manual
from facestats_pipeline.core.metadata.prediction_table import attributes_with_predictions
from facestats_pipeline_tests.core import small_shards as shard
from facestats_pipeline_tests.core.synthetic_embeddings import groups


def inputs(n: int) -> dict[str, pl.DataFrame]:
    """Every input of run_merge for images 0 … n-1."""
    attributes = shard.attributes(n)
    x, _ = groups(max(n, 1))
    quality, preproc, scores = shard.quality(n), shard.preproc(n), shard.scores(n)
    manual = attributes_with_manual(attributes, None)
    predictions = attributes_with_predictions(attributes, None)
    return {
        "preproc": preproc,
        "quality": quality,
        "geometry": shard.ids(n).with_columns(pitch=pl.lit(1.5, pl.Float32)),
        "embeddings": shard.ids(n).with_columns(model_id=pl.lit("test@0")),
        "attributes": attributes,
        "flags": attributes_flags(attributes, quality, preproc),
        "clusters": attributes_with_clusters(attributes, shard.ids(n), x[:n], fit_clusters(x)),
        "manual": manual,
        "predictions": predictions,
        "final": attributes_final(manual, predictions, scores),
        "scores": scores,
    }
