"""Shipped probes: probes that come with an encoder, so that attributes work without labels. They hold no data of single images."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.attributes.inference import AttributeModels
from facestats_pipeline.core.attributes.probe_age import TrainedAge
from facestats_pipeline.core.attributes.probe_classifier import TrainedProbe
from facestats_pipeline.core.attributes.probe_store import ProbeError, load_probe, save_probe

if TYPE_CHECKING:
    from facestats_pipeline.core.encoders.encoder import Encoder

logger = logging.getLogger(__name__)

SCALES_FILE = "zeroshot.json"


def save_shipped(
    models: AttributeModels,
    scales: dict[str, float],
    encoder_id: str,
    folder: Path,
    catalogue: Catalogue = BUILT_IN,
) -> list[Path]:
    """Write the trained probes and the temperatures of zero-shot, and return the paths. Ids of training images are left out.

    `folder`: the folder `probes` beside the encoder's weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for attribute in catalogue:
        if (probe := models.probes.get(attribute.name)) is not None:
            written += save_probe(probe, folder, attribute.model_stem, with_rows=False)
    card = {"encoder": encoder_id, "scales": {name: round(scale, 4) for name, scale in scales.items()}}
    (folder / SCALES_FILE).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return [*written, folder / SCALES_FILE]


def shipped_models(encoder: "Encoder", models_dir: Path | None = None) -> AttributeModels:
    """The probes shipped with a loaded encoder; empty if it has none. Raises ProbeError like `load_shipped`."""
    from facestats_pipeline.core.encoders.checkpoints import resolve_model

    weights = resolve_model(encoder.name, models_dir).weights
    return load_shipped(weights.parent / "probes", encoder.model_id) if weights is not None else AttributeModels()


def load_shipped(folder: Path, encoder_id: str, catalogue: Catalogue = BUILT_IN) -> AttributeModels:
    """The probes in `folder` for embeddings of `encoder_id`, with source "shipped". A probe for another encoder is skipped with a warning.

    Raises ProbeError for a damaged probe: it is never skipped silently.
    """
    probes: dict[str, TrainedProbe | TrainedAge] = {}
    for attribute in catalogue:
        stem = attribute.model_stem
        made_for = _encoder_of(folder / f"{stem}.json")
        if made_for == encoder_id:
            probes[attribute.name] = load_probe(folder, stem, encoder_id=encoder_id, source="shipped")
        elif made_for is not None and made_for.partition("@")[0] == encoder_id.partition("@")[0]:
            logger.warning(
                "%s is for %s, but the encoder is %s: it is not used. `facestats train-encoder --probes-only` trains one that fits.",
                folder / f"{stem}.json",
                made_for,
                encoder_id,
            )
    return AttributeModels(probes)


def shipped_scales(folder: Path, encoder_id: str) -> dict[str, float]:
    """Attribute → fitted scale of zero-shot for `encoder_id`; empty without one. Raises ProbeError for a damaged file."""
    path = folder / SCALES_FILE
    if _encoder_of(path) != encoder_id:
        return {}
    try:
        scales = {str(name): float(scale) for name, scale in json.loads(path.read_text("utf-8"))["scales"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProbeError(f"{path}: not the temperatures of zero-shot ({type(error).__name__}: {error})") from error
    if not all(0 < scale < 1e4 for scale in scales.values()):
        raise ProbeError(f"{path}: a scale is not a positive number")
    return scales


def _encoder_of(path: Path) -> str | None:
    """The model_id of the encoder that a probe's JSON was made for; None without the file. Raises ProbeError."""
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["encoder"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProbeError(f"{path}: does not say which encoder it is for ({type(error).__name__}: {error})") from error
