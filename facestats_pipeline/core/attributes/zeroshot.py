"""Zero-shot attributes: compares an image with sentences (Radford et al., 2021), for encoders with a trained text tower.

The temperature is fitted on labelled photos if available for the encoder (`fit_scale`), else it is the encoder's own, which is not
calibrated. Tables show the source `zeroshot`, decisions need high confidence, and a probe replaces zero-shot as soon as labels exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from facestats_pipeline.core.attributes.prompts import Prompts, prompts_from
from facestats_pipeline.core.statistics.calibration import softmax

LOGIT_SCALE = 100.0  # the limit to which CLIP clips its scale, and where training ends (Radford et al., 2021, §2.5)


class TextEncoder(Protocol):
    """The part of an encoder that zero-shot needs."""

    model_id: str
    trained: bool

    @property
    def has_text(self) -> bool:
        """Whether it can encode sentences."""
        ...

    @property
    def logit_scale(self) -> float:
        """The learned factor from cosines to logits."""
        ...

    def encode_text(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Unit-norm embeddings (n, d) of sentences."""
        ...


@dataclass(frozen=True)
class ZeroShot:
    """Text embeddings of an encoder. texts: attribute → (k class names, mean text embedding (k, d) of each class's sentences).

    scales: attribute → factor from cosines to logits (the inverse temperature).
    """

    encoder_id: str
    texts: dict[str, tuple[tuple[str, ...], npt.NDArray[np.float32]]]
    scales: dict[str, float] = field(default_factory=dict)

    def cosines(self, attribute: str, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(n, k) f64 cosines of unit-norm embeddings (n, d) with the classes' sentences."""
        return np.asarray(np.asarray(x, dtype=np.float64) @ self.texts[attribute][1].T.astype(np.float64))

    def predict_proba(self, attribute: str, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(n, k) f64 probabilities of unit-norm embeddings (n, d)."""
        return softmax(self.scales.get(attribute, LOGIT_SCALE) * self.cosines(attribute, x))


def build_zeroshot(
    encoder: TextEncoder, prompts: Prompts | None = None, scales: Mapping[str, float] | None = None
) -> ZeroShot | None:
    """Text embeddings for `infer_attributes`; None for an encoder that is untrained or has no text tower: it knows no words.

    `prompts`: by default those of the built-in attributes.
    `scales`: attribute → fitted factor between cosines and logits; without one, the encoder's own.
    """
    if not (encoder.trained and encoder.has_text):
        return None
    prompts = prompts_from() if prompts is None else prompts
    texts = {}
    for attribute, by_class in prompts.items():
        means = np.stack([encoder.encode_text(list(sentences)).mean(axis=0) for sentences in by_class.values()])
        texts[attribute] = (tuple(by_class), (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32))
    own = dict.fromkeys(prompts, encoder.logit_scale)
    return ZeroShot(encoder.model_id, texts, own | dict(scales or {}))


def fit_scale(cosines: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Temperature scaling (Guo et al., 2017): the factor from cosines (n, k) to logits that maximises the likelihood of labels y (n,)."""
    rows, target = np.asarray(cosines, dtype=np.float64), np.asarray(y, dtype=np.intp)

    def loss(log_scale: float) -> float:
        p = softmax(np.exp(log_scale) * rows)[np.arange(len(rows)), target]
        return -float(np.log(np.maximum(p, 1e-300)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 7.0), method="bounded").x))
