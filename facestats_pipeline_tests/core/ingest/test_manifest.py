"""The manifest: a row for every file, with a status and a reason; nothing raises and nothing is read twice."""

import io
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from facestats_pipeline.core.ingest.identity import PhotoChanged, image_id
from facestats_pipeline.core.ingest.inventory_table import RAW_PHOTOS, STATUSES
from facestats_pipeline.core.ingest.manifest import build_manifest, live
from facestats_pipeline.core.ingest.manifest_table import MANIFEST
from facestats_pipeline.core.ingest.sources import Sources
from facestats_pipeline_tests.core.small_shards import ADDED

PROVENANCE = {"source": "made by the tests", "licence": "CC0-1.0", "consent": None}
SOURCES = Sources(otherwise=PROVENANCE)


def jpeg(seed: int, size: tuple[int, int] = (40, 30), orientation: int = 1) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(buffer, "JPEG", exif=exif.tobytes())
    return buffer.getvalue()


class Folder:
    """Files by name, an inventory of them, and a count of what was read."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.read_names: list[str] = []

    def read(self, filename: str, expected: str) -> bytes:
        self.read_names.append(filename)
        data = self.files[filename]
        if data == b"locked":
            raise PermissionError(13, "Permission denied", f"/home/someone/{filename}")
        if image_id(data) != expected:
            raise PhotoChanged("the file changed after it was listed")
        return data

    def inventory(self, **states: str) -> pl.DataFrame:
        rows = [
            {
                "filename": name,
                "image_id": None if states.get(name) == "corrupt" else image_id(data),
                "bytes": len(data),
                "mtime_ns": 1,
                "state": states.get(name, "ok"),
                "reason": f"because {states[name]}" if name in states else "",
                "added_at": ADDED,
                "shard": "shard-00000",
            }
            for name, data in self.files.items()
        ]
        return pl.DataFrame(rows, schema=RAW_PHOTOS.schema)

    def manifest(self, previous: pl.DataFrame | None = None, max_pixels: int = 10**6, **states: str) -> pl.DataFrame:
        return build_manifest(self.inventory(**states), self.read, SOURCES, max_pixels=max_pixels, previous=previous)


def test_a_good_photo_has_its_facts() -> None:
    folder = Folder(a=jpeg(0, (40, 30)), b=jpeg(1, (40, 30), orientation=6))
    made = folder.manifest()
    assert dict(made.schema) == MANIFEST.schema
    assert made.select("status", "reason", "format").rows() == [("ok", "", "JPEG")] * 2
    assert made.select("width", "height").rows() == [(40, 30), (30, 40)], "as a viewer shows it"
    assert made.select("source", "licence", "consent").unique().rows() == [("made by the tests", "CC0-1.0", None)]
    assert made["added_at"].to_list() == [ADDED] * 2


def test_every_file_has_a_row_in_order_of_arrival_with_status_and_reason() -> None:
    folder = Folder(
        good=jpeg(0), cut=jpeg(1)[:200], text=b"hello", big=jpeg(2, (200, 200)), locked=b"locked", twice=jpeg(0)
    )
    made = folder.manifest(max_pixels=10_000, twice="duplicate")
    assert made["filename"].to_list() == list(folder.files)
    assert made["status"].to_list() == ["ok", "corrupt", "unsupported", "too_large", "corrupt", "duplicate"]
    assert set(made["status"]) <= set(STATUSES)
    reasons = dict(made.select("filename", "reason").iter_rows())
    assert all(reasons[name] for name in folder.files if name != "good")
    assert "Permission denied" in reasons["locked"]
    assert not any("/home" in reason for reason in reasons.values()), "no path of the machine"
    assert "twice" not in folder.read_names
    assert live(made)["filename"].to_list() == ["good"]


def test_a_file_that_changed_since_it_was_listed_is_not_taken() -> None:
    folder = Folder(a=jpeg(0))
    listed = folder.inventory()
    folder.files["a"] = jpeg(1)
    made = build_manifest(listed, folder.read, SOURCES, max_pixels=10**6)
    assert made["status"].to_list() == ["corrupt"]
    assert "changed after it was listed" in made["reason"][0]


def test_what_was_inspected_is_not_read_again() -> None:
    folder = Folder(a=jpeg(0), b=jpeg(1))
    first = folder.manifest()
    folder.files["c"] = jpeg(2)
    folder.read_names.clear()
    second = folder.manifest(previous=first)
    assert folder.read_names == ["c"]
    assert second.head(2).equals(first)


def test_what_was_corrupt_is_looked_at_again() -> None:
    """A file that could not be read for a while becomes a photo when it can be."""
    folder = Folder(a=b"locked")
    good = jpeg(0)
    listed = folder.inventory().with_columns(image_id=pl.lit(image_id(good)))
    first = build_manifest(listed, folder.read, SOURCES, max_pixels=10**6)
    folder.files["a"] = good
    second = build_manifest(listed, folder.read, SOURCES, max_pixels=10**6, previous=first)
    assert (first["status"][0], second["status"][0]) == ("corrupt", "ok")


def test_a_removed_photo_is_a_tombstone_that_keeps_what_was_known() -> None:
    folder = Folder(a=jpeg(0), b=jpeg(1))
    first = folder.manifest()
    folder.read_names.clear()
    second = folder.manifest(previous=first, a="removed")
    row = second.row(0, named=True)
    assert (row["status"], row["reason"], row["width"]) == ("removed", "because removed", 40)
    assert live(second)["filename"].to_list() == ["b"]
    assert folder.read_names == []


def test_an_empty_shard_has_the_columns(tmp_path: Path) -> None:
    made = build_manifest(pl.DataFrame(schema=RAW_PHOTOS.schema), Folder().read, SOURCES, max_pixels=1)
    assert dict(made.schema) == MANIFEST.schema
    assert made.is_empty()
