"""Search in a collection: the faces nearest to a text or to the face in a photo."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.embeddings.index import EmbeddingIndex
from facestats_pipeline.core.encoders.encoder import Encoder
from facestats_pipeline.core.encoders.new_photo import embed_new_photo
from facestats_pipeline.core.preproc.detection import FaceDetector
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings


class SearchRefused(Exception):
    """The query cannot be embedded. The message gives the reason and the remedy."""


@dataclass(frozen=True)
class Hit:
    """One search result. `rank` counts from 1; `cosine` is the similarity of its embedding to the query's."""

    rank: int
    cosine: float
    filename: str
    image_id: str
    shard: str


def text_vector(text: str, encoder: Encoder) -> npt.NDArray[np.float32]:
    """(d,) embedding of a text. Raises SearchRefused for an empty text or an encoder without a usable text tower."""
    if not text.strip():
        raise SearchRefused('the text is empty; say what to look for, for example "an elderly man"')
    if not encoder.trained:
        raise SearchRefused(
            f"the encoder {encoder.model_id} is untrained and cannot relate words to pictures; search by a picture, or run with a "
            "trained encoder: "
            "`facestats run --encoder facestats-mini`"
        )
    if not encoder.has_text:
        raise SearchRefused(
            f"the encoder {encoder.model_id} has no usable text tower; search by a picture, or run with another "
            "encoder: `facestats run --encoder facestats-mini`"
        )
    vector: npt.NDArray[np.float32] = encoder.encode_text([text])[0]
    return vector


def photo_vector(
    photo: bytes | Path, encoder: Encoder, detector: FaceDetector | None, settings: PreprocSettings
) -> npt.NDArray[np.float32]:
    """(d,) embedding of the largest face in a photo. Raises SearchRefused without a face or when the photo is unusable."""
    row, vector = embed_new_photo(photo, encoder, detector, settings)
    if row["status"] != "ok":
        raise SearchRefused(f"{row['status']}: {row['reason']}; give a photo that shows a face")
    if not np.isfinite(vector).all():
        raise SearchRefused("the photo could not be embedded")
    embedding: npt.NDArray[np.float32] = vector[0]
    return embedding


def nearest(
    index: EmbeddingIndex, vector: npt.NDArray[np.float32], live: pl.DataFrame | pl.LazyFrame, k: int
) -> list[Hit]:
    """The `k` nearest faces among `live` (image_id, filename, shard), nearest first; fewer if there are fewer.

    Images that are in the index but no longer in `live` are skipped. Only the matching rows of `live` are read.
    Raises ValueError for `k` below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    asked = k
    while True:
        near = index.search(vector, asked)[0]
        rows = live.lazy().filter(pl.col("image_id").is_in([id_ for id_, _ in near]))
        place = {row["image_id"]: row for row in rows.select("image_id", "filename", "shard").collect().to_dicts()}
        found = [(id_, cosine) for id_, cosine in near if id_ in place]
        if len(found) >= k or asked >= len(index):
            break
        asked = min(2 * asked, len(index))  # some neighbours were removed images: ask for more
    return [
        Hit(rank, round(cosine, 4), place[id_]["filename"], id_, place[id_]["shard"])
        for rank, (id_, cosine) in enumerate(found[:k], start=1)
    ]
