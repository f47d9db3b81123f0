"""A cache as `labels`, `drawn` and `backgrounds` leave it, small enough to be made at once: discs with five dots for faces."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facestats_pipeline.core.detector.data import Sets, open_sets
from facestats_pipeline.core.detector.labels import FIVE

LANDMARKS = np.array([(48, 52), (80, 52), (64, 70), (52, 88), (76, 88)], np.float32)


def disc(rng: np.random.Generator) -> np.ndarray:
    """A photo of 128 px: a disc of 40 px radius in its middle, with dots where LANDMARKS are."""
    photo = rng.integers(0, 90, (128, 128, 3), dtype=np.uint8)
    cv2.circle(photo, (64, 68), 40, (220, 180, 150), -1)
    for x, y in LANDMARKS:
        cv2.circle(photo, (int(x), int(y)), 4, (20, 20, 20), -1)
    return photo


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector_cache")
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    points = np.stack([64 + 40 * np.cos(angles), 68 + 40 * np.sin(angles)], axis=1).astype(np.float32)
    points[list(FIVE)] = LANDMARKS
    for prefix, name in (("", "photos"), ("drawn_", "drawn")):
        np.save(folder / f"{name}.npy", np.stack([disc(rng) for _ in range(36)]))
        labelled = np.repeat(points[None], 36, axis=0)
        spread = np.full(36, 0.02, np.float32)
        labelled[::9], spread[::9] = np.nan, np.nan  # no face was found there
        np.save(folder / f"{prefix}points.npy", labelled)
        np.save(folder / f"{prefix}spread.npy", spread)
    np.save(folder / "backgrounds.npy", rng.integers(0, 256, (400, 16, 16, 3), dtype=np.uint8))
    return folder


@pytest.fixture(scope="session")
def sets(cache: Path) -> Sets:
    return open_sets(cache)[0]
