"""One photo that is not in the collection, by the same steps as those that are: found, aligned, embedded."""

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
    """Its row of the preproc table (`status` is "ok", "no_face", or why it cannot be used), and its embedding (1, d), NaN unless ok."""
    photo = ("photo", "photo", source if isinstance(source, Path) else lambda: source)
    done = preprocess_photo(photo, settings or PreprocSettings(), detector)
    vector = np.full((1, encoder.dim), np.nan, dtype=np.float32)
    if done.row["status"] == "ok" and done.jpeg is not None:
        vector = run_embedding([done.jpeg], encoder, workers=1)
    return done.row, vector
