"""The manifest: one row per file of a shard with what it is and whether it can be used. Nothing is left out, nothing raises."""

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
    """Manifest of one shard: (n files) rows with MANIFEST.schema, in order of arrival.

    `inventory`: the shard's rows. `read(filename, image_id)` gives a photo's bytes and may raise OSError or PhotoChanged. `sources`: what
    is said of each photo's source, licence and consent. Photos that `previous` holds as inspected are not read again.
    """
    known = _inspected_before(previous)
    phases = current()

    def one(row: dict[str, Any]) -> dict[str, Any]:
        if row["state"] != "ok":
            found: dict[str, Any] = {"status": row["state"], "reason": row["reason"]}
            if row["state"] == "removed" and row["image_id"] in known:
                found = known[row["image_id"]] | found
        elif row["image_id"] in known:
            found = known[row["image_id"]]
        else:
            found = _inspect(lambda: read(row["filename"], row["image_id"]), max_pixels, phases)
        return {name: row.get(name) for name in MANIFEST.schema} | sources.of(row["filename"]) | found

    rows = inventory.to_dicts()
    with ThreadPoolExecutor(workers) as pool:
        made = list(track(pool.map(one, rows), "Checking photos", total=len(rows)))
    return pl.DataFrame(made, schema=MANIFEST.schema)


def live(manifest: pl.DataFrame) -> pl.DataFrame:
    """The rows that are images of the collection: status `ok`, one per image id."""
    return manifest.filter(pl.col("status") == "ok")


def _inspected_before(previous: pl.DataFrame | None) -> dict[str, dict[str, Any]]:
    if previous is None:
        return {}
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
    except PhotoChanged as problem:
        return {"status": "corrupt", "reason": str(problem)}
    except OSError as error:
        return {"status": "corrupt", "reason": f"cannot be read: {error.strerror}"}
    return {"width": info.width, "height": info.height, "format": info.format, "status": "ok", "reason": info.note}
