"""Fixtures that every test may use. Real photos and the face model live beside the checkout; where they are absent, tests skip."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from facestats_pipeline_tests.demo_collection import collection, copy_of_collection, first_run, more_faces
from facestats_pipeline_tests.examples import FULL
from facestats_pipeline_tests.postgres import postgres, postgres_server

__all__ = [
    "collection",
    "copy_of_collection",
    "first_run",
    "more_faces",
    "postgres",
    "postgres_server",
    "shared_data",
    "yunet_model",
]

settings.load_profile(FULL)  # `--hypothesis-profile` goes before it

SHARED = Path(__file__).resolve().parents[2] / "shared"
# The product never looks beside itself: weights from elsewhere are named by a setting.
if (SHARED / "models").is_dir():
    os.environ.setdefault("FACESTATS_WEIGHTS_DIR", str(SHARED / "models"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real photos with labels (`fairface_photos`, `london`, …)."""
    if not (SHARED / "data").is_dir():
        pytest.skip("no real photos: ../shared/data is not beside this checkout")
    return SHARED / "data"


@pytest.fixture(scope="session")
def yunet_model() -> Path:
    """The YuNet face detection model."""
    models = sorted((SHARED / "models").glob("face_detection_yunet*.onnx"))
    if not models:
        pytest.skip("no YuNet model: ../shared/models is not beside this checkout")
    return models[0]
