"""Locates the weights of models and identifies them without loading them."""

import hashlib
from pathlib import Path

from facestats_pipeline import config
from facestats_pipeline.config import Settings, SettingsError

MINI = "facestats-mini"
DETECTOR = "facestats-detector"
DETECTOR_PATTERN = "face_detection_yunet*.onnx"
LANDMARKER = "face_landmarker.task"


def detector_model(settings: Settings) -> Path | None:
    """The folder of FaceStats' own detector, or YuNet's file if the settings name YuNet; None when there is no detector.

    Raises SettingsError when the settings name YuNet and its file is missing.
    """
    asked = settings.preproc.detector
    if asked == "none":
        return None
    if asked == "facestats" and settings.preproc.detector_model is None:
        own = detector_folder(settings)
        # Until weights are shipped, YuNet is taken where it is there.
        return own if own is not None else yunet_model(settings)
    found = yunet_model(settings)
    if found is None:
        raise SettingsError(
            f"`preproc.detector` is yunet and there is no {DETECTOR_PATTERN} in {settings.weights}; "
            "place it there or name it in `preproc.detector_model`"
        )
    return found


def detector_folder(settings: Settings) -> Path | None:
    """The folder of the detector that FaceStats ships."""
    return next((folder / DETECTOR for folder in settings.model_folders if (folder / DETECTOR).is_dir()), None)


def yunet_model(settings: Settings) -> Path | None:
    """YuNet's file: the configured one, else the first in the model folders. Raises SettingsError when the configured one is missing."""
    configured = settings.preproc.detector_model
    if configured is not None:
        if not configured.is_file():
            raise SettingsError(
                f"`preproc.detector_model`: there is no file {configured}; give a YuNet ONNX file or leave it out"
            )
        return configured
    return next((path for folder in settings.model_folders for path in sorted(folder.glob(DETECTOR_PATTERN))), None)


def landmark_model(settings: Settings) -> Path | None:
    """MediaPipe's face landmarker file in a model folder; None when it is missing."""
    return next((folder / LANDMARKER for folder in settings.model_folders if (folder / LANDMARKER).is_file()), None)


def encoder_folder(settings: Settings) -> Path:
    """The model folder with the default encoder; the shipped folder when none has it."""
    return next((folder for folder in settings.model_folders if (folder / MINI).is_dir()), config.shipped_models())


def is_shipped(folder: Path) -> bool:
    """Whether this is the folder of the shipped encoder."""
    return folder.resolve() == (config.shipped_models() / MINI).resolve()


def shipped_probes(settings: Settings) -> Path:
    """Folder of the probes that are shipped with the encoder."""
    return encoder_folder(settings) / MINI / "probes"


def identity(settings: Settings, what: str) -> str:
    """A short text that changes when the weights of `detector`, `landmarker`, `encoder` or `shipped_probes` change."""
    if what == "detector":
        model = detector_model(settings)
        return _content(model / "SHA256SUMS" if model is not None and model.is_dir() else model)
    if what == "landmarker":
        return _content(landmark_model(settings))
    name = settings.encoder.name
    if what == "shipped_probes":  # probes fit only the encoder they were trained on
        return _folder(shipped_probes(settings)) if name == MINI else "none"
    if name == MINI:
        return _content(encoder_folder(settings) / MINI / "SHA256SUMS")
    _, _, place = name.partition("/")
    return _stat(Path(place)) if place and Path(place).is_file() else name


def _content(path: Path | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path is not None and path.is_file() else "none"


def _folder(path: Path) -> str:
    """Identity of probes: their JSON files, which hold the checksums of the other files."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.json")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _stat(path: Path) -> str:
    info = path.stat()
    return f"{path.name}:{info.st_size}:{info.st_mtime_ns}"
