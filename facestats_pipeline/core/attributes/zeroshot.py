"""Attributes from words alone, by comparing an image with sentences (Radford et al., 2021): for encoders with a trained text tower.

There are no labels to calibrate on, so these probabilities are the encoder's own opinion of itself. Tables say `zeroshot` for that
reason, decisions ask for high confidence, and a probe takes over as soon as there are labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.attributes.calibration import softmax
from facestats_pipeline.core.labels.vocabulary import AGE_BINS, ETHNICITIES, GENDERS

Prompts = Mapping[str, Mapping[str, Sequence[str]]]
"""attribute → class → sentences."""

_ETHNICITY_WORDS = dict(
    zip(
        ETHNICITIES,
        ("White", "Black", "Latino", "East Asian", "Southeast Asian", "Indian", "Middle Eastern"),
        strict=True,
    )
)
_AGE_WORDS = (
    "a baby",
    "a young child",
    "a teenager",
    *(f"a person in their {n}s" for n in (20, 30, 40, 50, 60)),
    "an old person over 70",
)
PROMPTS: Prompts = {
    "gender": {
        "Female": ("a photo of the face of a woman", "a portrait of a girl or a woman"),
        "Male": ("a photo of the face of a man", "a portrait of a boy or a man"),
    },
    "ethnicity": {
        k: (f"a photo of the face of a {w} person", f"a portrait of a {w} person") for k, w in _ETHNICITY_WORDS.items()
    },
    "age_bin": {
        k: (f"a photo of the face of {w}", f"a portrait of {w}") for k, w in zip(AGE_BINS, _AGE_WORDS, strict=True)
    },
}
THRESHOLDS = {"gender": 0.9, "ethnicity": 0.8, "age_bin": 0.6}
LOGIT_SCALE = 100.0  # what CLIP's temperature is clipped to and ends at (Radford et al., 2021, §2.5)


class TextEncoder(Protocol):
    """What zero-shot needs of an encoder."""

    model_id: str
    trained: bool
    has_text: bool

    def encode_text(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Unit-norm embeddings (n, d) of sentences."""
        ...


@dataclass(frozen=True)
class ZeroShot:
    """Class names and the mean text embedding (k, d) of each class's sentences, by attribute, for one encoder."""

    encoder_id: str
    texts: dict[str, tuple[tuple[str, ...], npt.NDArray[np.float32]]]

    def predict_proba(self, attribute: str, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Uncalibrated probabilities (n, k) f64 for unit-norm embeddings (n, d)."""
        return softmax(LOGIT_SCALE * np.asarray(x, dtype=np.float64) @ self.texts[attribute][1].T.astype(np.float64))


def build_zeroshot(encoder: TextEncoder, prompts: Prompts = PROMPTS) -> ZeroShot | None:
    """Text embeddings for `infer_attributes`; None for an encoder that is untrained or has no text tower: it knows no words."""
    if not (encoder.trained and encoder.has_text):
        return None
    unknown = [c for by_class in prompts.values() for c in by_class if c not in (GENDERS + ETHNICITIES + AGE_BINS)]
    if unknown:
        raise ValueError(f"prompts for classes outside the vocabulary: {unknown}")
    texts = {}
    for attribute, by_class in prompts.items():
        means = np.stack([encoder.encode_text(list(sentences)).mean(axis=0) for sentences in by_class.values()])
        texts[attribute] = (tuple(by_class), (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32))
    return ZeroShot(encoder.model_id, texts)
