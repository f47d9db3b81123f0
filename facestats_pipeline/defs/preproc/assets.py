"""Preprocessed photos, image quality and face geometry."""

from functools import partial

import dagster as dg
import polars as pl

from facestats_pipeline.core.reuse import with_reuse
from facestats_pipeline.defs.partitions import depends_on, shard_table
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.io_managers import ShardImages, ShardPhotos
from facestats_pipeline.io.shard_frames import LazyShards, ShardFrames


@shard_table(
    group_name="preproc",
    io_manager_key="jpeg_shards",
    code_version="4",
    kinds={"opencv", "jpeg", "parquet"},
    metadata=depends_on("preproc", "weights:detector"),
)
def preproc(
    context: dg.AssetExecutionContext, manifest: ShardFrames, folder: dg.ResourceParam[DataFolder]
) -> LazyShards:  # type: ignore[type-arg]
    """One upright, square, face-aligned JPEG per live image, and a table of the detected faces."""
    from facestats_pipeline.core.preproc.preprocessed_shard import PreprocessedShard

    if folder.detector is None:
        context.log.warning("no face model: photos are fitted, not aligned, and `detector` is `none` in every row")
    make = partial(
        PreprocessedShard,
        read=folder.photos.read,
        settings=folder.preproc_settings,
        detector=folder.detector,
        workers=folder.settings.preproc.workers,
    )
    return manifest.map_with_name(
        lambda shard, rows: make(
            rows,
            previous=folder.previous("preproc", shard),
            has_jpeg=lambda image_id: folder.store.jpeg_path(shard, image_id).is_file(),
        )
    )


@shard_table(
    group_name="preproc",
    kinds={"opencv", "parquet"},
    metadata=depends_on(),
)
def image_quality(manifest: ShardFrames, preproc: ShardPhotos, folder: dg.ResourceParam[DataFolder]) -> ShardFrames:
    """Sharpness, light, pose and a perceptual hash of each preprocessed photo."""
    from facestats_pipeline.core.preproc.quality import image_quality as measure

    def one(shard: str, images: ShardImages, manifest: pl.DataFrame) -> pl.DataFrame:
        def make(rows: pl.DataFrame) -> pl.DataFrame:
            photos = [(row["image_id"], row["filename"], images.path(row["image_id"])) for row in rows.to_dicts()]
            return measure(photos, rows, manifest.select("image_id", "width", "height").unique("image_id"))

        return with_reuse(folder.previous("image_quality", shard), images.pictured, make)

    return preproc.map_with_name(one, manifest)


@shard_table(
    group_name="preproc",
    kinds={"parquet"},
    metadata=depends_on("weights:landmarker"),
)
def face_geometry(
    context: dg.AssetExecutionContext, preproc: ShardPhotos, folder: dg.ResourceParam[DataFolder]
) -> ShardFrames:
    """Proportions, symmetry and pose from 478 landmarks; no rows without MediaPipe or its model."""
    from facestats_pipeline.core.preproc.geometry import face_geometry as measure
    from facestats_pipeline.core.preproc.geometry_table import FACE_GEOMETRY

    landmarker = folder.landmarker
    if landmarker is None:
        context.log.warning(f"skipped: {folder.landmarks_absent}")
        context.add_output_metadata({"skipped": folder.landmarks_absent})
        return preproc.map(lambda images: pl.DataFrame(schema=FACE_GEOMETRY.schema))

    def one(shard: str, images: ShardImages) -> pl.DataFrame:
        def make(rows: pl.DataFrame) -> pl.DataFrame:
            photos = [(row["image_id"], row["filename"], images.path(row["image_id"])) for row in rows.to_dicts()]
            return measure(photos, landmarker)

        return with_reuse(folder.previous("face_geometry", shard), images.pictured, make)

    return preproc.map_with_name(one)
