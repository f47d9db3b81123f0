"""A collection of demo faces, as small as all stages allow."""

from pathlib import Path

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline.config import load_settings

FACES = 60
QUICK = {
    "encoder.name": "facestats-test-tiny/untrained",
    "shard_size": 24,
    "preproc.size": 224,
    "attributes.classifier": "logistic",
    "attractiveness.epochs": 10,
}
"""Settings under which everything is made, and made quickly."""


def opened(data_dir: Path, **overrides: object) -> Pipeline:
    """The pipeline of a data folder, as `facestats run` opens it."""
    settings = load_settings(environ={}, data_dir=data_dir, **overrides)
    return Pipeline(settings, open_instance(data_dir / ".dagster"))
