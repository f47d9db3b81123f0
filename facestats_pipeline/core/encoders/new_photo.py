"""Embeds a photo from outside the collection by the pipeline's own steps: detect, align, encode."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.encoders.encoder import Encoder
from facestats_pipeline.core.preproc.detection import FaceDetector
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings, preprocess_photo


def embed_new_photo(
    source: bytes | Path, encoder: Encoder, detector: FaceDetector | None, settings: PreprocSettings | None = None
) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
    """(row of the preproc table, embedding (1, d) float32). The row's `status` is "ok", "no_face" or the problem; NaN unless ok."""
    photo = ("photo", "photo", source if isinstance(source, Path) else lambda: source)
    preprocessed = preprocess_photo(photo, settings or PreprocSettings(), detector)
    vector = np.full((1, encoder.dim), np.nan, dtype=np.float32)
    if preprocessed.row["status"] == "ok" and preprocessed.jpeg is not None:
        # The encoded JPEG, not the pixels before compression: only then does a photo of the collection get its stored embedding.
        vector = run_embedding([preprocessed.jpeg], encoder, workers=1)
    return preprocessed.row, vector
