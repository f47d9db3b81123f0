"""The registry of known model weights: source, licence, checksum, and whether they are on this machine."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from facestats_pipeline.config import Settings
from facestats_pipeline.io.weights import (
    DETECTOR,
    DETECTOR_PATTERN,
    LANDMARKER,
    MINI,
    detector_folder,
    encoder_folder,
    landmark_model,
    yunet_model,
)

YUNET_SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"


@dataclass(frozen=True)
class ModelState:
    """One line of `facestats models list`."""

    name: str
    purpose: str
    licence: str
    source: str
    state: str  # ok · other version · damaged · absent
    where: str


def known_models(settings: Settings) -> list[ModelState]:
    """The known weights, then the models trained in this data folder."""
    folder = settings.models
    mini = encoder_folder(settings) / MINI
    listed = [
        ModelState(
            MINI,
            f"default encoder, offline; {_shipped_probes(mini)}",
            "CC BY 4.0 (trained on FairFace)",
            "shipped with FaceStats",
            *_folder_state(mini),
        ),
        ModelState(
            DETECTOR,
            "face detection, offline",
            "CC BY 4.0 (trained on FairFace)",
            "shipped with FaceStats",
            *_folder_state(detector_folder(settings) or folder / DETECTOR),
        ),
        _single(
            "YuNet",
            "face detection, where `detector: yunet` asks for it",
            "MIT",
            "opencv_zoo",
            yunet_model(settings),
            YUNET_SHA256,
            settings.weights / DETECTOR_PATTERN,
        ),
        _single(
            "face landmarker",
            "478 landmarks: face_geometry, warped composites",
            "Apache-2.0",
            "MediaPipe",
            landmark_model(settings),
            LANDMARKER_SHA256,
            settings.weights / LANDMARKER,
        ),
    ]
    trained = sorted(
        path for path in folder.glob("*") if path.suffix in {".pt", ".skops", ".txt", ".safetensors", ".npy"}
    )
    return listed + [
        ModelState(path.name, "trained here", "yours", "this data folder", "ok", str(path)) for path in trained
    ]


def _single(
    name: str, purpose: str, licence: str, source: str, path: Path | None, sha256: str, place: Path
) -> ModelState:
    if path is None:
        return ModelState(name, purpose, licence, source, "absent", f"place it as {place}")
    same = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    return ModelState(name, purpose, licence, source, "ok" if same else "other version", str(path))


def _shipped_probes(folder: Path) -> str:
    names = sorted({path.stem.partition("_")[0] for path in (folder / "probes").glob("*.skops")})
    return f"probes of {', '.join(names)}" if names else "no probes"


def _folder_state(folder: Path) -> tuple[str, str]:
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return "absent", f"place it as {folder}"
    for line in sums.read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        path = folder / name.strip()
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            return "damaged", str(path)
    return "ok", str(folder)
