"""Trains the probes that ship with an encoder: fitted on the encoder's training photos, calibrated on photos held out from it.

An encoder is surer of its training photos than of others, so out-of-fold probabilities on them would be overconfident. Only the models are
fitted on those photos; regularisation strength, temperature, threshold and all metrics come from the held-out photos.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.attributes.attribute import Attribute
from facestats_pipeline.core.attributes.catalogue import AGE, ETHNICITY, GENDER
from facestats_pipeline.core.attributes.inference import AttributeModels
from facestats_pipeline.core.attributes.probe_age import TrainedAge, with_years
from facestats_pipeline.core.attributes.probe_classifier import TrainedProbe, calibrated_probe
from facestats_pipeline.core.attributes.probe_models import STRENGTHS, ProbeModel, fit_logistic
from facestats_pipeline.core.attributes.probe_report import log_loss
from facestats_pipeline.core.attributes.zeroshot import build_zeroshot, fit_scale
from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.encoders.encoder import Encoder
from facestats_pipeline.core.preproc.detection import FaceDetector
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings, run_preprocessing
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.single_thread import single_threaded
from facestats_pipeline.core.statistics import calibration as cal
from facestats_pipeline.core.statistics.folds import make_folds
from facestats_pipeline.core.training.provenance import Provenance, TrainingRefused

Floats = npt.NDArray[np.float32]

PHOTO_SIDE = 256
"""Side of a preprocessed training photo, px: twice the 128 px of the source photos, and more than the shipped encoder's input."""
CHUNK = 1024
COLUMNS = {GENDER: "gender", ETHNICITY: "race", AGE: "age"}
"""Attribute → column of the training Parquet files (FairFace's names). Others have no labels there, so no probe of them ships."""


@dataclass(frozen=True)
class LabelledEmbeddings:
    """Embeddings x (n, d) f32, NaN rows for photos without a usable face; `labels` (gender, race, age); `held_out` (n,) bool."""

    x: Floats
    labels: pl.DataFrame
    held_out: npt.NDArray[np.bool_]
    provenance: Provenance


def held_out_mask(n: int, held_out: int, *, seed: int = 0) -> npt.NDArray[np.bool_]:
    """(n,) bool: the photos held out from the encoder's training, by the same split as `core.mini.data.open_split`."""
    if not 0 < held_out < n:
        raise ValueError(f"cannot hold out {held_out} of {n} photos")
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[:held_out]] = True
    return mask


def embed_labelled(
    parts: Sequence[Path],
    encoder: Encoder,
    detector: FaceDetector | None,
    *,
    held_out: int,
    source: str = "FairFace training images (CC BY 4.0)",
) -> LabelledEmbeddings:
    """Embed the column `jpeg` of Parquet `parts` by the pipeline's own steps: detect, align, encode. Raises ValueError without parts."""
    if not parts:
        raise ValueError("no Parquet file with training photos was given")
    table = pl.concat([pl.read_parquet(part, columns=["jpeg", *COLUMNS.values()]) for part in parts])
    settings = PreprocSettings(size=PHOTO_SIDE)
    x = np.full((table.height, encoder.dim), np.nan, dtype=np.float32)
    for start in track(range(0, table.height, CHUNK), "Embedding training photos"):
        data = table["jpeg"][start : start + CHUNK].to_list()
        photos = [(str(start + i), "", lambda d=d: d) for i, d in enumerate(data)]
        done = list(run_preprocessing(photos, settings, detector))
        rows = [start + i for i, one in enumerate(done) if one.row["status"] == "ok"]
        x[rows] = run_embedding([one.jpeg for one in done if one.jpeg and one.row["status"] == "ok"], encoder)
    digest = hashlib.sha256(b"".join(hashlib.sha256(part.read_bytes()).digest() for part in parts)).hexdigest()
    return LabelledEmbeddings(
        x,
        table.drop("jpeg"),
        held_out_mask(table.height, held_out),
        Provenance("human", source, digest, f"{table.height} photos, {held_out} of them held out for calibration"),
    )


@single_threaded
def train_shipped(
    data: LabelledEmbeddings, encoder_id: str, *, seed: int = 0, coverage: float = 0.9
) -> AttributeModels:
    """Probes of the attributes of COLUMNS, fitted on the other rows, and selected and calibrated on the held-out ones.

    The labels have age bins only; years assume a uniform age within a bin. Raises TrainingRefused if a part has fewer than two
    photos of a class.
    """
    probes: dict[str, TrainedProbe | TrainedAge] = {}
    for attribute in COLUMNS:
        probe, rows = _on_split(attribute, data, encoder_id, seed)
        if attribute.years is None:
            probes[attribute.name] = probe
        else:
            unknown = np.full(len(rows), np.nan)
            probes[attribute.name] = with_years(probe, rows, unknown, seed=seed, coverage=coverage, attribute=attribute)
    return AttributeModels(probes)


def fit_scales(data: LabelledEmbeddings, encoder: Encoder) -> dict[str, float]:
    """Attribute → temperature of zero-shot with the default prompts, fitted on the held-out rows; empty without a text tower."""
    zeroshot = build_zeroshot(encoder)
    if zeroshot is None:
        return {}
    scales = {}
    for attribute in COLUMNS:
        use, target = _labelled(attribute, data)
        use &= data.held_out
        scales[attribute.name] = fit_scale(zeroshot.cosines(attribute.name, data.x[use]), target[use])
    return scales


def _labelled(attribute: Attribute, data: LabelledEmbeddings) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Which rows have a label and an embedding (n,), and the class index of every row (n,), -1 without one."""
    numbers = {name: i for i, name in enumerate(attribute.classes)}
    target = np.array([numbers.get(label, -1) for label in data.labels[COLUMNS[attribute]]], dtype=np.intp)
    return (target >= 0) & np.isfinite(data.x).all(axis=1), target


def _on_split(
    attribute: Attribute, data: LabelledEmbeddings, encoder_id: str, seed: int
) -> tuple[TrainedProbe, Floats]:
    """(probe, embeddings (m, d) that it was calibrated on)."""
    classes = attribute.classes
    use, target = _labelled(attribute, data)
    fit, held = use & ~data.held_out, use & data.held_out
    for part, name in ((fit, "training"), (held, "held-out")):
        counts = np.bincount(target[part], minlength=len(classes))
        if counts.min() < 2:
            raise TrainingRefused(
                f"{attribute.name}: {classes[int(counts.argmin())]!r} has fewer than two {name} photos"
            )
    x, y, rows, right = data.x[fit], target[fit], data.x[held], target[held]
    fold = make_folds(right, 5, seed=seed)
    best: tuple[float, ProbeModel, npt.NDArray[np.float64]] | None = None
    for strength in track(STRENGTHS, f"Training {attribute.name}"):
        model = fit_logistic(x, y, len(classes), strength=strength)
        logits = model.logits(rows)
        loss = log_loss(cal.crossfit_calibration(logits, right, fold), right)
        if best is not None and loss >= best[0]:
            break  # along the path the loss falls, then rises
        best = (loss, model, logits)
    assert best is not None
    _, chosen, logits = best
    probe = calibrated_probe(
        {"logistic": (lambda: chosen, logits)},
        right,
        fold,
        classes,
        attribute=attribute,
        encoder_id=encoder_id,
        provenance=data.provenance,
        facts={"trained_on": len(y), "calibrated_on": len(right), "dropped_classes": {}, "seed": seed},
    )
    return probe, rows
