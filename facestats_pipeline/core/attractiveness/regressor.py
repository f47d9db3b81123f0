"""Public names of the attractiveness regressor: network (`regressor_model`), training (`regressor_training`), refusals (`provenance`)."""

from facestats_pipeline.core.attractiveness.regressor_model import (
    CHECKPOINT_FORMAT,
    AttractivenessRegressor,
    CheckpointError,
    EmbeddingDataset,
    RegressorConfig,
    load_regressor,
    predict_scores,
)
from facestats_pipeline.core.attractiveness.regressor_training import TrainingResult, run_training
from facestats_pipeline.core.training.provenance import Provenance, TrainingRefused

__all__ = [
    "CHECKPOINT_FORMAT",
    "AttractivenessRegressor",
    "CheckpointError",
    "EmbeddingDataset",
    "Provenance",
    "RegressorConfig",
    "TrainingRefused",
    "TrainingResult",
    "load_regressor",
    "predict_scores",
    "run_training",
]
