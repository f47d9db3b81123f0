"""The faces of a collection that are nearest to a sentence or to another face."""

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
    """There is nothing to search by; the message says why and what to do."""


@dataclass(frozen=True)
class Hit:
    """One face that was found; `rank` counts from 1, `cosine` is of its embedding with the query's."""

    rank: int
    cosine: float
    filename: str
    image_id: str
    shard: str


def text_vector(text: str, encoder: Encoder) -> npt.NDArray[np.float32]:
    """(d,) embedding of a sentence. Raises SearchRefused where the encoder knows no words."""
    if not text.strip():
        raise SearchRefused('the text is empty; say what to look for, for example "an elderly man"')
    if not encoder.trained:
        raise SearchRefused(
            f"the encoder {encoder.model_id} is untrained and knows no words; search by a picture, or run with a trained encoder: "
            "`facestats run --encoder facestats-mini`"
        )
    if not encoder.has_text:
        raise SearchRefused(
            f"the encoder {encoder.model_id} has no text tower that can be used here; search by a picture, or run with another "
            "encoder: `facestats run --encoder facestats-mini`"
        )
    vector: npt.NDArray[np.float32] = encoder.encode_text([text])[0]
    return vector


def photo_vector(
    photo: bytes | Path, encoder: Encoder, detector: FaceDetector | None, settings: PreprocSettings
) -> npt.NDArray[np.float32]:
    """(d,) embedding of the largest face of a photo. Raises SearchRefused where there is no face or no photo."""
    row, vector = embed_new_photo(photo, encoder, detector, settings)
    if row["status"] != "ok":
        raise SearchRefused(f"{row['status']}: {row['reason']}; give a photo that shows a face")
    if not np.isfinite(vector).all():
        raise SearchRefused("the photo could not be embedded")
    found: npt.NDArray[np.float32] = vector[0]
    return found


def nearest(
    index: EmbeddingIndex, vector: npt.NDArray[np.float32], live: pl.DataFrame | pl.LazyFrame, k: int
) -> list[Hit]:
    """The `k` nearest faces among `live` (image_id, filename, shard), nearest first; fewer where there are fewer.

    An image that the index still has and `live` has not (it was removed since) is passed over. Of `live` only the rows of what was
    found are read.
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
        asked = min(2 * asked, len(index))
    return [
        Hit(rank, round(cosine, 4), place[id_]["filename"], id_, place[id_]["shard"])
        for rank, (id_, cosine) in enumerate(found[:k], start=1)
    ]
