"""Scores one new photo by the same steps as the collection: preprocess, embed, infer attributes, score, rank."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.attractiveness.regressor_model import predict_scores
from facestats_pipeline.core.attractiveness.scoring import decile, percentile, snap
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.attributes.inference import AttributeModels, infer_attributes
from facestats_pipeline.core.encoders.encoder import Encoder
from facestats_pipeline.core.encoders.new_photo import embed_new_photo
from facestats_pipeline.core.preproc.detection import FaceDetector
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings

_IDS = ("image_id", "filename")


def score_image(
    source: bytes | Path,
    *,
    encoder: Encoder,
    detector: FaceDetector | None,
    settings: PreprocSettings | None = None,
    models: AttributeModels | None = None,
    checkpoint: Mapping[str, Any] | None = None,
    reference: npt.ArrayLike | None = None,
    catalogue: Catalogue = BUILT_IN,
) -> dict[str, Any]:
    """Attributes and score of one photo, as plain JSON-able values.

    The keys are status ("ok", "no_face", or the problem), reason, face_count, face_score, detector, encoder, encoder_trained; the columns
    of `infer_attributes`; attractiveness_raw, _lo, _hi, _pct (rank in `reference`, the collection's stored distribution) and attractiveness
    (decile). Without a face or for an unreadable photo, all attributes are "unknown", all numbers None, and `reason` explains it. Raises
    EncoderMismatch when a model was trained on another encoder's embeddings.
    """
    row, vector = embed_new_photo(source, encoder, detector, settings)
    return judge(row, vector, encoder, models or AttributeModels(), checkpoint, reference, catalogue)


def judge(
    row: Mapping[str, Any],
    vector: npt.NDArray[np.float32],
    encoder: Encoder,
    models: AttributeModels,
    checkpoint: Mapping[str, Any] | None,
    reference: npt.ArrayLike | None,
    catalogue: Catalogue = BUILT_IN,
) -> dict[str, Any]:
    """The result of `score_image` for a photo that `embed_new_photo` processed: its row of the preproc table and its embedding (1, d)."""
    ids = pl.DataFrame({name: ["photo"] for name in _IDS})
    attributes = infer_attributes(
        ids, vector, models, usable=[row["status"] == "ok"], encoder_id=encoder.model_id, catalogue=catalogue
    )
    result: dict[str, Any] = {name: row[name] for name in ("status", "reason", "face_count", "face_score", "detector")}
    result |= {"encoder": encoder.model_id, "encoder_trained": encoder.trained}
    result |= attributes.drop(_IDS).row(0, named=True)
    return result | _score(vector, checkpoint, reference, encoder.model_id)


def _score(
    vector: npt.NDArray[np.float32],
    checkpoint: Mapping[str, Any] | None,
    reference: npt.ArrayLike | None,
    encoder_id: str,
) -> dict[str, Any]:
    names = ("attractiveness_raw", "attractiveness_lo", "attractiveness_hi")
    found: dict[str, Any] = dict.fromkeys((*names, "attractiveness_pct", "attractiveness"))
    if checkpoint is None:
        return found
    raw, low, high = predict_scores(checkpoint, vector, encoder_id=encoder_id)
    if not np.isfinite(raw[0]):
        return found
    found |= {name: float(value[0]) for name, value in zip(names, (raw, low, high), strict=True)}
    if reference is not None and len(np.asarray(reference)):
        pct = percentile(snap(raw, reference), reference)
        found |= {"attractiveness_pct": float(pct[0]), "attractiveness": int(decile(pct)[0])}
    return found
