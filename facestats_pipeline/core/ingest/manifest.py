"""The manifest: one row per file of a shard, with its format, size and usability. Bad files become rows, not errors."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from facestats_pipeline.core.images.decoding import ImageProblem, inspect_image
from facestats_pipeline.core.ingest.identity import PhotoChanged
from facestats_pipeline.core.ingest.manifest_table import MANIFEST
from facestats_pipeline.core.ingest.sources import Sources
from facestats_pipeline.core.phases import Phases, current
from facestats_pipeline.core.progress import track

_INSPECTED = ("width", "height", "format", "status", "reason")


def build_manifest(
    inventory: pl.DataFrame,
    read: Callable[[str, str], bytes],
    sources: Sources,
    *,
    max_pixels: int,
    previous: pl.DataFrame | None = None,
    workers: int = 2,
) -> pl.DataFrame:
    """The manifest of one shard: one row per file, in order of arrival, MANIFEST.schema.

    inventory: the shard's rows. read(filename, image_id): returns a photo's bytes; may raise OSError or PhotoChanged. sources: source,
    licence and consent of each photo. previous: an earlier manifest; photos inspected there are not read again.
    """
    known = _inspected_before(previous)
    phases = current()

    def manifest_row(row: dict[str, Any]) -> dict[str, Any]:
        if row["state"] != "ok":
            facts: dict[str, Any] = {"status": row["state"], "reason": row["reason"]}
            if row["state"] == "removed" and row["image_id"] in known:
                facts = known[row["image_id"]] | facts  # size and format of a removed photo stay on record
        elif row["image_id"] in known:
            facts = known[row["image_id"]]
        else:
            facts = _inspect(lambda: read(row["filename"], row["image_id"]), max_pixels, phases)
        return {name: row.get(name) for name in MANIFEST.schema} | sources.of(row["filename"]) | facts

    rows = inventory.to_dicts()
    with ThreadPoolExecutor(workers) as pool:
        manifest = list(track(pool.map(manifest_row, rows), "Checking photos", total=len(rows)))
    return pl.DataFrame(manifest, schema=MANIFEST.schema)


def live(manifest: pl.DataFrame) -> pl.DataFrame:
    """The rows that are images of the collection: those with status `ok`, one per image id."""
    return manifest.filter(pl.col("status") == "ok")


def _inspected_before(previous: pl.DataFrame | None) -> dict[str, dict[str, Any]]:
    if previous is None:
        return {}
    # Only good results are reused: a photo that could not be used may be readable now.
    inspected = previous.filter(
        pl.col("image_id").is_not_null() & pl.col("width").is_not_null() & (pl.col("status") == "ok")
    )
    return {row["image_id"]: {name: row[name] for name in _INSPECTED} for row in inspected.iter_rows(named=True)}


def _inspect(read: Callable[[], bytes], max_pixels: int, phases: Phases) -> dict[str, Any]:
    phases.count()
    try:
        with phases.timing("read"):
            data = read()
        with phases.timing("decode"):
            info = inspect_image(data, max_pixels=max_pixels)
    except ImageProblem as problem:
        return {"status": problem.status, "reason": problem.reason}
    except PhotoChanged as problem:  # its id is stale; the next inventory lists it as a new photo
        return {"status": "corrupt", "reason": str(problem)}
    except OSError as error:
        return {"status": "corrupt", "reason": f"cannot be read: {error.strerror}"}
    return {"width": info.width, "height": info.height, "format": info.format, "status": "ok", "reason": info.note}
