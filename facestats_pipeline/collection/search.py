"""Searches faces with the index and the encoder of a data folder, which are loaded once."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.embeddings.index import EmbeddingIndex, IndexUnreadable, load_index
from facestats_pipeline.core.embeddings.search import SearchRefused, nearest, photo_vector, text_vector
from facestats_pipeline.core.encoders.errors import EncoderUnavailable
from facestats_pipeline.core.ingest.photo_source import PHOTO_ENDINGS
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.layout import INDEX

HITS = pl.Schema(
    {"rank": pl.Int64(), "cosine": pl.Float64(), "filename": pl.String(), "image_id": pl.String(), "shard": pl.String()}
)


def is_picture(query: str) -> bool:
    """Whether a query is a picture file rather than a text. Raises FaceStatsError if it looks like a picture file that is missing."""
    with contextlib.suppress(OSError):  # a text may be too long to be a path
        if Path(query).is_file():
            return True
    if query.lower().endswith(PHOTO_ENDINGS):
        raise FaceStatsError(
            f"there is no picture {query}; a query that ends like a picture file is not searched as a text"
        )
    return False


class Searcher:
    """Finds the nearest faces among the photos that satisfy `use` (by default the setting).

    Every method returns one row per face, nearest first: rank (from 1), cosine, filename, image_id, shard. On failure it raises
    FaceStatsError with the next step.
    """

    def __init__(self, folder: DataFolder, use: Sequence[str] | None = None) -> None:
        self.folder = folder
        self.use = use

    def by_text(self, text: str, k: int) -> pl.DataFrame:
        """The `k` faces nearest to a text."""
        self._check()
        try:
            return self.near(text_vector(text, self.folder.encoder), k)
        except SearchRefused as refusal:
            raise FaceStatsError(str(refusal)) from None

    def by_picture(self, photo: bytes | Path, k: int) -> pl.DataFrame:
        """The `k` faces nearest to the largest face of a photo."""
        self._check()
        folder = self.folder
        try:
            vector = photo_vector(photo, folder.encoder, folder.detector, folder.preproc_settings)
        except SearchRefused as refusal:
            raise FaceStatsError(f"{photo}: {refusal}" if isinstance(photo, Path) else str(refusal)) from None
        return self.near(vector, k)

    def near(self, vector: npt.NDArray[np.float32], k: int) -> pl.DataFrame:
        """The `k` faces nearest to an embedding of shape (d,) from the collection's encoder."""
        self._check()
        live = self.folder.usable_rows(self.folder.store.scan("master"), self.use).filter(
            pl.col("preproc_status") == "ok"
        )
        return pl.DataFrame([asdict(hit) for hit in nearest(self.index, vector, live, k)], schema=HITS)

    @cached_property
    def index(self) -> EmbeddingIndex:
        """The index of the collection, memory-mapped: the vectors stay in the file."""
        store = self.folder.store
        record = store.record("embedding_index")
        if record is None or INDEX not in record.files or not store.shards("master"):
            raise FaceStatsError("there are no embeddings to search in yet: `facestats run` makes them")
        try:
            return load_index(store.file("embedding_index", INDEX), view=True)
        except IndexUnreadable as problem:
            raise FaceStatsError(str(problem)) from None

    def _check(self) -> None:
        index = self.index
        try:
            encoder = self.folder.encoder
        except EncoderUnavailable as problem:
            raise FaceStatsError(str(problem)) from None
        if index.model_id != encoder.model_id:
            raise FaceStatsError(
                f"the collection was embedded by {index.model_id}, the encoder in the settings is {encoder.model_id}: "
                "`facestats run` brings the embeddings up to date"
            )
