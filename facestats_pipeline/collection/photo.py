"""One photo of the collection: its row of the master table and its preprocessed picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import ROOT

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class StoredPhoto:
    """A photo of the collection.

    Attributes:
        image_id: 32 hexadecimal digits.
        filename: path in the raw folder.
        shard: the shard of its rows.
        values: its row of the master table, column → value.
        path: the preprocessed picture, a square JPEG; None if there is none.
    """

    image_id: str
    filename: str
    shard: str
    values: Mapping[str, Any]
    path: Path | None

    @property
    def image(self) -> "Image":
        """The preprocessed picture, RGB. Raises FaceStatsError if there is none."""
        from PIL import Image

        if self.path is None:
            raise FaceStatsError(f"{self.filename} has no preprocessed picture: {self.values['preproc_status']}")
        with Image.open(self.path) as picture:
            return picture.convert("RGB")


def image_id_of(folder: DataFolder, image: str | Path) -> str:
    """The id of a live image, given its id or its path in the raw folder. Raises FaceStatsError if there is no such image."""
    text = str(image)
    listed = folder.store.read_table(ROOT, columns=["image_id", "filename", "state"]).filter(
        pl.col("state") != "removed"
    )
    for column, value in (("image_id", text.lower()), ("filename", Path(text).as_posix())):
        found = listed.filter(pl.col(column) == value)
        if found.height and found["image_id"][0] is not None:
            return str(found["image_id"][0])
    raise FaceStatsError(f"the collection has no image {text}; give an image id or a path as in `master`")


def stored_photo(folder: DataFolder, image: str | Path) -> StoredPhoto:
    """The photo with an image id or a path in the raw folder. Raises FaceStatsError if it is not in the master table."""
    image_id, store = image_id_of(folder, image), folder.store
    rows = store.scan("master")
    found = rows.filter(pl.col("image_id") == image_id).collect() if store.shards("master") else pl.DataFrame()
    if found.is_empty():
        raise FaceStatsError(f"{image} is not in the master table yet: `facestats run` makes it")
    values = found.row(0, named=True)
    picture = store.jpeg_path(values["shard"], image_id)
    return StoredPhoto(image_id, values["filename"], values["shard"], values, picture if picture.is_file() else None)
