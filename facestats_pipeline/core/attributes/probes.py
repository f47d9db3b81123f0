"""The public names of probes (small calibrated models on embeddings, implemented in `probe_*.py`), and their out-of-fold tables."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from facestats_pipeline.core.attributes.attribute_table import OOF_SCHEMA
from facestats_pipeline.core.attributes.probe_age import TrainedAge, train_age
from facestats_pipeline.core.attributes.probe_classifier import TrainedProbe, train_classifier
from facestats_pipeline.core.training.provenance import Provenance, TrainingRefused

__all__ = [
    "OOF_SCHEMA",
    "Provenance",
    "TrainedAge",
    "TrainedProbe",
    "TrainingRefused",
    "oof_frame",
    "oof_of",
    "train_age",
    "train_classifier",
]


def oof_frame(probe: TrainedProbe | TrainedAge) -> pl.DataFrame:
    """Out-of-fold predictions of a probe's training rows: OOF_SCHEMA, with the most probable class and its probability."""
    base = probe.probe if isinstance(probe, TrainedAge) else probe
    proba = base.oof_proba
    if not len(proba):
        return pl.DataFrame(schema=OOF_SCHEMA)
    columns = {
        "image_id": list(base.image_ids),
        "attribute": [base.attribute] * len(proba),
        "value": [base.classes[i] for i in proba.argmax(axis=1).tolist()],
        "p": proba.max(axis=1),
    }
    return pl.DataFrame(columns, schema=OOF_SCHEMA)


def oof_of(*probes: TrainedProbe | TrainedAge | None) -> pl.DataFrame:
    """The concatenated `oof_frame` of several probes; None stands for a probe that was not trained."""
    return pl.concat([pl.DataFrame(schema=OOF_SCHEMA), *(oof_frame(p) for p in probes if p is not None)])


def known_predictions(probes: Sequence[TrainedProbe | TrainedAge | None]) -> dict[str, Any]:
    """The arguments `oof`, `seen` and `thresholds` of `attributes_with_predictions`; None stands for a probe that was not trained."""
    bases = [probe.probe if isinstance(probe, TrainedAge) else probe for probe in probes if probe is not None]
    seen = [{"image_id": image_id, "attribute": probe.attribute} for probe in bases for image_id in probe.image_ids]
    return {
        "oof": oof_of(*bases),
        "seen": pl.DataFrame(seen, schema={"image_id": pl.String(), "attribute": pl.String()}),
        "thresholds": {probe.attribute: probe.threshold for probe in bases},
    }
