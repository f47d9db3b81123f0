"""The table of near-duplicates: one row per pair of photos that show the same picture."""

import polars as pl

from facestats_pipeline.core.embeddings.embedding_table import EMBEDDINGS
from facestats_pipeline.core.preproc.quality_table import IMAGE_QUALITY
from facestats_pipeline.core.tables import Column, Table

MIN_COSINE, MAX_HAMMING = 0.97, 6
"""Default thresholds: two photos are near-duplicates from this cosine on, or with at most so many differing bits of their hashes."""
MOST_BITS = 15
"""Upper limit of `max_hamming`: the search splits a hash of 64 bits into four parts of 16, so more bits would need slower lookups."""

NEAR_DUPLICATES = Table(
    "near_duplicates",
    "metadata/near_duplicates.parquet",
    (
        Column(
            "image_id",
            pl.String(),
            "the image of the pair with the smaller id",
            IMAGE_QUALITY.sources("image_id"),
        ),
        Column("other_id", pl.String(), "the image of the pair with the larger id", IMAGE_QUALITY.sources("image_id")),
        Column(
            "cosine",
            pl.Float32(),
            "cosine similarity of their embeddings; null if unknown, for example with an untrained encoder",
            EMBEDDINGS.sources("embedding"),
        ),
        Column(
            "hamming",
            pl.Int32(),
            "bits in which their perceptual hashes differ, 0–64; null if a hash is missing",
            IMAGE_QUALITY.sources("phash"),
        ),
        Column("kind", pl.String(), "phash, embedding or both: what found the pair"),
    ),
    kind="table",
)

TABLES = (NEAR_DUPLICATES,)
