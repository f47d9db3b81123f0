"""Average faces and eigenfaces."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import polars as pl

from facestats_pipeline.core.drawing import PICTURE_QUALITY
from facestats_pipeline.defs.partitions import depends_on, folder_asset
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.io_managers import Files, Skipped

T = TypeVar("T")


def jpeg_bytes(picture: Any, quality: int = PICTURE_QUALITY) -> bytes:
    """A Pillow image as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """A table as Parquet."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@folder_asset(
    group_name="composites",
    io_manager_key="files",
    kinds={"jpeg", "parquet"},
    code_version="3",
    metadata=depends_on("composites", "preproc.size", "use"),
)
def composites(
    context: dg.AssetExecutionContext,
    master: pl.LazyFrame,
    preproc: pl.LazyFrame,
    face_geometry: pl.LazyFrame,
    folder: dg.ResourceParam[DataFolder],
) -> Any:
    """The average face of everyone and of each group with enough faces; smaller groups are refused with a reason."""
    from facestats_pipeline.core.composites.composite_sheet import composite_sheet
    from facestats_pipeline.core.composites.composite_table import COMPOSITES
    from facestats_pipeline.core.composites.generate import default_specs, generate_composites
    from facestats_pipeline.core.composites.kept_sums import read_sums, write_sums

    wanted = folder.settings.composites
    rows = folder.usable_rows(master).collect()
    if rows.height < wanted.min_n:
        return Skipped(f"{rows.height} images are fewer than composites.min_n ({wanted.min_n})")
    landmarks = preproc.select("image_id", "landmarks")
    method = wanted.method if landmarks.drop_nulls().head(1).collect().height else "mean"
    if method != wanted.method:
        context.log.warning("no face model, so no landmarks: composites are plain means")
    catalogue = folder.settings.catalogue
    specs = default_specs(rows, method=method, floor=wanted.min_n, catalogue=catalogue)
    size = folder.settings.preproc.size
    earlier = earlier_file(context, folder, SUMS, read_sums) or {}
    made = generate_composites(
        rows,
        folder.preprocessed(rows),
        specs,
        landmarks=landmarks,
        mesh=face_geometry.select("image_id", "landmarks"),
        plain=folder.as_taken(rows),
        size=size,
        landmark_size=size,
        max_images=wanted.max_images,
        earlier=earlier,
        version=folder.freshness.code_digest("preproc"),
    )
    sums = folder.store.temporary_path(folder.store.processed / SUMS)
    write_sums({one.row["name"]: one.kept for one in made if one.kept is not None}, sums)
    pictures = {f"composites/{one.row['name']}.jpg": jpeg_bytes(one.image) for one in made if one.image is not None}
    table = pl.DataFrame([one.row for one in made], schema=COMPOSITES.schema)
    if pictures:
        pictures["composites/all.jpg"] = jpeg_bytes(composite_sheet([one for one in made if one.image is not None]))
    refused = table.filter(pl.col("status") == "refused").height
    return Files(
        {**pictures, COMPOSITES.path: parquet_bytes(table), SUMS: sums},
        {"made": table.height - refused, "refused": refused},
        previews=("composites/all.jpg",) if pictures else (),
    )


@folder_asset(
    group_name="composites",
    io_manager_key="files",
    kinds={"jpeg", "parquet"},
    code_version="2",
    metadata=depends_on("use"),
)
def eigenfaces(context: dg.AssetExecutionContext, master: pl.LazyFrame, folder: dg.ResourceParam[DataFolder]) -> Any:
    """Principal components of the faces: mean face, components, and the variance that each explains."""
    from facestats_pipeline.core.composites.eigenfaces import eigenface_sheet, eigenface_walk, fit_rows
    from facestats_pipeline.core.composites.small_photos import SmallPhotos, add_small, read_small, write_small

    usable = (
        folder.usable_rows(master)
        .filter(pl.col("preproc_status") == "ok")
        .select("image_id", "shard")
        .sort("image_id")
        .head(MOST_FOR_EIGENFACES)
        .collect()
    )
    if usable.height < FEWEST_FOR_EIGENFACES:
        return Skipped(f"{usable.height} usable faces are fewer than {FEWEST_FOR_EIGENFACES}")
    version = folder.freshness.code_digest("preproc")
    earlier = earlier_file(context, folder, SMALL_PHOTOS, read_small) or SmallPhotos.none(version)
    photos = add_small(earlier, usable["image_id"].to_list(), folder.preprocessed(usable), version)
    fitted = fit_rows(photos.parts())
    small = folder.store.temporary_path(folder.store.processed / SMALL_PHOTOS)
    write_small(photos, small)
    pictures = {
        "composites/eigenfaces.jpg": jpeg_bytes(eigenface_sheet(fitted)),
        "composites/eigenface_walk.jpg": jpeg_bytes(eigenface_walk(fitted)),
    }
    return Files(
        {**pictures, SMALL_PHOTOS: small},
        {"faces": fitted.n_used, "explained_by_first_16": round(float(sum(fitted.explained[:16])), 3)},
        previews=("composites/eigenfaces.jpg",),
    )


SUMS, SMALL_PHOTOS = "composites/sums.parquet", "composites/eigenfaces_photos.parquet"
"""What the next run goes on from. They hold people's photos, so they are files of these assets: who erases a photo removes them."""
FEWEST_FOR_EIGENFACES = 40
MOST_FOR_EIGENFACES = 2000
"""Image ids are digests, so the smallest ids are a uniform sample. Few of them change when photos arrive."""


def earlier_file(
    context: dg.AssetExecutionContext, folder: DataFolder, name: str, read: Callable[[Path], T]
) -> T | None:
    """A file that the asset wrote last time; None where there is none, or nothing that can be read."""
    asset = context.asset_key.path[-1]
    record = folder.store.record(asset)
    if record is None or name not in record.files:
        return None
    try:
        return read(folder.store.file(asset, name))
    except (OSError, ValueError) as damage:
        context.log.warning(f"all photos are read again: {damage}")
        return None
