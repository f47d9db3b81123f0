"""The registry of export layouts, by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from facestats_pipeline.core.export import csv_folder, fiftyone_json, hugging_face, webdataset_tar
from facestats_pipeline.core.export.photos import ExportedPhoto


@dataclass(frozen=True)
class Layout:
    """One export layout.

    Attributes:
        write: (photos, columns, folder) → number of photos written; the folder exists and is empty.
        reading: Markdown with code that reads the export; `{folder}` and `{last}`, the number of the last tar, are filled in.
    """

    write: Callable[[Iterable[ExportedPhoto], pl.Schema, Path], int]
    reading: str

    def how_to_read(self, folder: Path | str, written: int) -> str:
        """`reading`, filled in for an export in `folder` with `written` photos."""
        return self.reading.format(folder=folder, last=max(0, written - 1) // webdataset_tar.PER_TAR)


LAYOUTS: dict[str, Layout] = {
    "huggingface": Layout(hugging_face.write_hugging_face, hugging_face.READ),
    "fiftyone": Layout(fiftyone_json.write_fiftyone, fiftyone_json.READ),
    "webdataset": Layout(webdataset_tar.write_webdataset, webdataset_tar.READ),
    "csv": Layout(csv_folder.write_csv_folder, csv_folder.READ),
}
