"""Average faces and eigenfaces."""

import io
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from facestats_pipeline.defs.partitions import depends_on
from facestats_pipeline.defs.project import Project
from facestats_pipeline.io.io_managers import Files, Skipped


def jpeg_bytes(picture: Any, quality: int = 92) -> bytes:
    """A Pillow image as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """A table as Parquet."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@dg.asset(
    group_name="composites",
    io_manager_key="files",
    kinds={"jpeg", "parquet"},
    code_version="2",
    metadata=depends_on("composites", "preproc.size", "seed", "use"),
)
def composites(
    context: dg.AssetExecutionContext,
    master: pl.LazyFrame,
    preproc: pl.LazyFrame,
    face_geometry: pl.LazyFrame,
    project: dg.ResourceParam[Project],
) -> Any:
    """The average face of everyone and of each group that is large enough; a smaller group is refused with a reason."""
    from facestats_pipeline.core.composites.composites import COMPOSITES_SCHEMA, default_specs, generate_composites
    from facestats_pipeline.core.reports.contact_sheet import composite_sheet

    wanted = project.settings.composites
    rows = project.usable_rows(master).collect()
    if rows.height < wanted.min_n:
        return Skipped(f"{rows.height} images are fewer than composites.min_n ({wanted.min_n})")
    landmarks = preproc.select("image_id", "landmarks")
    method = wanted.method if landmarks.drop_nulls().head(1).collect().height else "mean"
    if method != wanted.method:
        context.log.warning("no face model, so no landmarks: composites are plain means")
    specs = default_specs(rows, method=method, floor=wanted.min_n)
    size = project.settings.preproc.size
    made = generate_composites(
        rows,
        photo_loader(project, rows),
        specs,
        landmarks=landmarks,
        mesh=face_geometry.select("image_id", "landmarks"),
        plain=raw_loader(project, rows),
        size=size,
        landmark_size=size,
        max_images=wanted.max_images,
        seed=project.settings.seed,
    )
    pictures = {f"composites/{one.row['name']}.jpg": jpeg_bytes(one.image) for one in made if one.image is not None}
    table = pl.DataFrame([one.row for one in made], schema=COMPOSITES_SCHEMA)
    if pictures:
        pictures["composites/all.jpg"] = jpeg_bytes(composite_sheet([one for one in made if one.image is not None]))
    refused = table.filter(pl.col("status") == "refused").height
    return Files(
        {**pictures, "composites.parquet": parquet_bytes(table)},
        {"made": table.height - refused, "refused": refused},
        previews=("composites/all.jpg",) if pictures else (),
    )


@dg.asset(
    group_name="composites",
    io_manager_key="files",
    kinds={"jpeg"},
    code_version="1",
    metadata=depends_on("seed", "use"),
)
def eigenfaces(master: pl.LazyFrame, project: dg.ResourceParam[Project]) -> Any:
    """The directions in which faces differ most: mean face, components, and the variance that each explains."""
    from facestats_pipeline.core.composites.eigenfaces import eigenface_sheet, eigenface_walk, fit_eigenfaces

    usable = (
        project.usable_rows(master)
        .filter(pl.col("preproc_status") == "ok")
        .select("image_id", "shard")
        .sort("image_id")
        .head(MOST_FOR_EIGENFACES)
        .collect()
    )
    if usable.height < FEWEST_FOR_EIGENFACES:
        return Skipped(f"{usable.height} usable faces are fewer than {FEWEST_FOR_EIGENFACES}")
    load = photo_loader(project, usable)
    fitted = fit_eigenfaces(load(image_id) for image_id in usable["image_id"])
    pictures = {
        "composites/eigenfaces.jpg": jpeg_bytes(eigenface_sheet(fitted)),
        "composites/eigenface_walk.jpg": jpeg_bytes(eigenface_walk(fitted)),
    }
    return Files(
        pictures,
        {"faces": fitted.n_used, "explained_by_first_16": round(float(sum(fitted.explained[:16])), 3)},
        previews=("composites/eigenfaces.jpg",),
    )


FEWEST_FOR_EIGENFACES = 40
MOST_FOR_EIGENFACES = 5000
"""Ids are digests, so the smallest ones are a uniform sample that does not change as photos arrive."""


def photo_loader(project: Project, rows: pl.DataFrame) -> Any:
    """image id → path of the preprocessed photo, for rows with image_id and shard."""
    place: dict[str, Path] = {
        image_id: project.store.jpeg_path(shard, image_id)
        for image_id, shard in rows.select("image_id", "shard").iter_rows()
    }
    return place.__getitem__


def raw_loader(project: Project, rows: pl.DataFrame) -> Any:
    """image id → bytes of the photo as it was taken, for rows with image_id and filename; OSError where it is gone or has changed."""
    from facestats_pipeline.core.ingest.identity import PhotoChanged

    names: dict[str, str] = dict(rows.select("image_id", "filename").iter_rows())

    def load(image_id: str) -> bytes:
        try:
            return project.photos.read(names[image_id], image_id)
        except PhotoChanged as change:
            raise OSError(str(change)) from None

    return load
