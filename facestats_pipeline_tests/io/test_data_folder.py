"""What the setting `use` withholds, as assets and commands ask the data folder for it."""

from pathlib import Path

import polars as pl

from facestats_pipeline.config import load_settings
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.recipes import Recipe

PHOTOS = pl.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "filename": ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        "source": ["x", "x", "y", None],
        "licence": ["CC BY 4.0", "CC BY 4.0", "MIT", None],
        "consent": ["yes", "No", None, "withdrawn"],
        "status": ["ok", "ok", "ok", "corrupt"],
    }
)


def data_folder_in(place: Path, **overrides: object) -> DataFolder:
    folder = DataFolder(load_settings(environ={}, data_dir=place, **overrides), load_graph=list)
    for name in ("manifest", "master"):
        folder.store.write_table(name, "shard-00000", PHOTOS, Recipe(name, "1", "family"))
    return folder


def test_by_default_a_refusal_withholds_and_silence_does_not(tmp_path: Path) -> None:
    folder = data_folder_in(tmp_path)
    assert folder.live_filenames == ["a.jpg", "b.jpg", "c.jpg"]
    assert folder.withheld == {"b.jpg"}
    assert folder.usable_rows(folder.store.scan("master")).collect()["image_id"].to_list() == ["a", "c"]
    (kept,) = folder.learnable([PHOTOS])
    assert kept["filename"].to_list() == ["a.jpg", "c.jpg", "d.jpg"]


def test_every_photo_may_be_used_when_that_is_set(tmp_path: Path) -> None:
    assert data_folder_in(tmp_path, use=()).withheld == set()
    assert data_folder_in(tmp_path, use=("consent=yes",)).withheld == {"b.jpg", "c.jpg"}
