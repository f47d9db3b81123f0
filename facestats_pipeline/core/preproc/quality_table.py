"""The table of image quality: one row per preprocessed photo."""

import polars as pl

from facestats_pipeline.core.ingest.manifest_table import MANIFEST
from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.tables import Column, Table

IMAGE_QUALITY = Table(
    "image_quality",
    "metadata/image_quality.parquet",
    (
        *PREPROC.keys,
        Column(
            "sharpness",
            pl.Float32(),
            "variance of the Laplacian of the preprocessed photo's luma (0–255); higher is sharper",
        ),
        Column("brightness", pl.Float32(), "mean luma of the preprocessed photo, 0–1"),
        Column("contrast", pl.Float32(), "standard deviation of the preprocessed photo's luma, 0–0.5"),
        Column(
            "face_fraction",
            pl.Float32(),
            "area of the face box / area of the original photo; null without a face",
            PREPROC.sources("face_box", "transform") + MANIFEST.sources("width", "height"),
        ),
        Column(
            "yaw",
            pl.Float32(),
            "head turn in degrees, a coarse estimate from five landmarks; positive: to the right of the picture; null without a face",
            PREPROC.sources("landmarks", "transform"),
        ),
        Column(
            "roll",
            pl.Float32(),
            "tilt of the head in the original photo, degrees; positive: clockwise; null without a face",
            PREPROC.sources("landmarks", "transform"),
        ),
        Column("phash", pl.String(), "64-bit perceptual hash as 16 hexadecimal digits"),
    ),
    rows_by=PREPROC.sources("status"),
)

TABLES = (IMAGE_QUALITY,)
