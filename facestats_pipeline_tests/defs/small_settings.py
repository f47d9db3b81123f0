"""Settings of a folder for tests of definitions."""

from pathlib import Path

from facestats_pipeline.config import Settings, load_settings


def settings_in(folder: Path, **overrides: object) -> Settings:
    """Settings without the caller's environment and without a facestats.yaml."""
    return load_settings(environ={}, data_dir=folder, **{"encoder.name": "facestats-test-tiny/untrained"} | overrides)
