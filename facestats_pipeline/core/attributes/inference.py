"""Infers the attributes of faces from embeddings, each with a probability, a source, and abstention (`unknown`)."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.attributes.attribute import UNKNOWN, Attribute
from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.attributes.probe_age import TrainedAge
from facestats_pipeline.core.attributes.probe_classifier import TrainedProbe
from facestats_pipeline.core.attributes.probe_store import check_encoder
from facestats_pipeline.core.attributes.zeroshot import ZeroShot

if TYPE_CHECKING:
    from facestats_pipeline.core.encoders.encoder import Encoder

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AttributeModels:
    """The models for inference. An attribute may have none; a probe takes precedence over zero-shot.

    Attributes:
        probes: attribute name → trained probe; None counts as absent.
        zeroshot: answers for attributes that have prompts but no probe.
    """

    probes: Mapping[str, TrainedProbe | TrainedAge | None] = field(default_factory=dict)
    zeroshot: ZeroShot | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "probes", {name: probe for name, probe in self.probes.items() if probe is not None})

    def completed(
        self,
        shipped: "AttributeModels",
        zeroshot: Callable[[], ZeroShot | None],
        worded: Collection[str] = BUILT_IN.names,
    ) -> "AttributeModels":
        """These models, completed by the shipped probes. `zeroshot` is called only if an attribute of `worded` still has no probe."""
        models = AttributeModels({**shipped.probes, **self.probes}, self.zeroshot)
        if models.zeroshot is None and not set(worded) <= set(models.probes):
            return replace(models, zeroshot=zeroshot())
        return models

    def classifier(self, name: str) -> TrainedProbe | None:
        """The classifier of an attribute, also of one with years; None without one."""
        found = self.probes.get(name)
        return found.probe if isinstance(found, TrainedAge) else found

    def years(self, name: str) -> TrainedAge | None:
        """The model of an attribute's years; None without one."""
        found = self.probes.get(name)
        return found if isinstance(found, TrainedAge) else None

    def check(self, encoder_id: str) -> None:
        """Raise EncoderMismatch unless every model reads embeddings of the encoder `encoder_id`."""
        for name in self.probes:
            if (probe := self.classifier(name)) is not None:
                check_encoder(f"the {name} probe", probe.encoder_id, encoder_id)
        if self.zeroshot is not None:
            check_encoder("zero-shot", self.zeroshot.encoder_id, encoder_id)


@dataclass(frozen=True)
class _Said:
    """The output of one model for n rows: probabilities (n, k), NaN for unusable rows; the threshold to answer; the source."""

    classes: tuple[str, ...]
    proba: Floats
    threshold: float
    source: str

    def columns(self) -> tuple[list[str], list[str | None], list[float | None]]:
        """(decisions, most probable classes, their probabilities), one per row; None for an unusable row."""
        if not self.classes:
            return [UNKNOWN] * len(self.proba), [None] * len(self.proba), [None] * len(self.proba)
        sure: list[bool] = np.asarray(np.isfinite(self.proba).all(axis=1)).tolist()
        p = np.where(sure, np.nan_to_num(self.proba).max(axis=1), np.nan)
        best = np.nan_to_num(self.proba).argmax(axis=1)
        top = [self.classes[i] if ok else None for i, ok in zip(best.tolist(), sure, strict=True)]
        decision = [
            name if name is not None and v >= self.threshold else UNKNOWN
            for name, v in zip(top, p.tolist(), strict=True)
        ]
        return decision, top, [v if ok else None for v, ok in zip(p.tolist(), sure, strict=True)]


def infer_attributes(
    ids: pl.DataFrame,
    embeddings: npt.ArrayLike,
    models: AttributeModels,
    *,
    usable: npt.ArrayLike | None = None,
    encoder_id: str | None = None,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """The `attribute_table` for rows of `ids` (image_id, filename) and their embeddings (n, d).

    A row that is not `usable` (no face) or lacks a finite embedding gets "unknown" and null numbers. An attribute without a model is
    "unknown" with the source "none". For training rows of the age model, the years are out-of-fold predictions, because no table may show a
    fit as a prediction (classes have their out-of-fold values in `attributes_with_predictions`). A roll-up (`ethnicity4`) follows its
    attribute's decision; if that abstains, the coarser classes may still be sure enough.
    encoder_id: the model_id of the embeddings; a model for another encoder raises EncoderMismatch.
    """
    n = ids.height
    rows = np.asarray(embeddings, dtype=np.float32).reshape(n, -1) if n else np.zeros((0, 1), np.float32)
    if encoder_id is not None:
        models.check(encoder_id)
    good = np.isfinite(rows).all(axis=1) & (np.abs(rows).sum(axis=1) > 0)
    if usable is not None:
        good &= np.asarray(usable, dtype=bool)
    data: dict[str, object] = {"image_id": ids["image_id"], "filename": ids["filename"]}
    for attribute in catalogue:
        said = _say(attribute, models, rows, good)
        decided, data[attribute.top_column], data[attribute.p_column] = said.columns()
        data[attribute.name], data[attribute.source_column] = decided, [said.source] * n
        if attribute.rollup is not None:
            coarse = _rolled(attribute, models, said)
            data[attribute.rollup.name] = [
                attribute.rollup.of.get(name, other) for name, other in zip(decided, coarse, strict=True)
            ]
        if attribute.years is not None:
            years = _years(attribute, models, said, rows, ids["image_id"], good)
            for name, values in zip(attribute.year_columns, years, strict=True):
                data[name] = pl.Series(values, dtype=pl.Float32).fill_nan(None)
    schema = attribute_table(catalogue).schema
    return pl.DataFrame({name: data[name] for name in schema}, schema=schema)


@dataclass(frozen=True)
class Answer:
    """One attribute of one face: calibrated probability of each class, the threshold to answer, and the source."""

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    threshold: float
    source: str


def class_probabilities(
    embedding: npt.ArrayLike, models: AttributeModels, catalogue: Catalogue = BUILT_IN
) -> dict[str, Answer]:
    """Attribute name → `Answer` for one face, from its embedding (d,). An attribute without a model has no classes."""
    row = np.asarray(embedding, dtype=np.float32).reshape(1, -1)
    said = {attribute.name: _say(attribute, models, row, np.ones(1, dtype=bool)) for attribute in catalogue}
    return {
        name: Answer(each.classes, tuple(each.proba[0].tolist()), each.threshold, each.source)
        for name, each in said.items()
    }


def get_embedding(path: Path | str, encoder: "Encoder") -> npt.NDArray[np.float32]:
    """(d,) f32 unit-norm embedding of one image file. It is the name that FaceStats 4 used for `get_clip_embedding`."""
    from facestats_pipeline.core.encoders.embedding import get_clip_embedding

    return get_clip_embedding(Path(path), encoder)


def _say(
    attribute: Attribute, models: AttributeModels, rows: npt.NDArray[np.float32], good: npt.NDArray[np.bool_]
) -> _Said:
    probe, zeroshot = models.classifier(attribute.name), models.zeroshot
    if probe is not None:
        proba = np.full((len(rows), len(probe.classes)), np.nan)
        proba[good] = probe.predict_proba(rows[good])
        return _Said(probe.classes, proba, probe.threshold, probe.source)
    if zeroshot is not None and attribute.name in zeroshot.texts:
        classes = zeroshot.texts[attribute.name][0]
        proba = np.full((len(rows), len(classes)), np.nan)
        proba[good] = zeroshot.predict_proba(attribute.name, rows[good])
        return _Said(classes, proba, attribute.threshold, "zeroshot")
    return _Said((), np.full((len(rows), 0), np.nan), np.inf, "none")


def _rolled(attribute: Attribute, models: AttributeModels, said: _Said) -> list[str]:
    """The decision of each row in the coarser classes, by the roll-up's own threshold; "unknown" without a fitted roll-up."""
    probe = models.classifier(attribute.name)
    if probe is None or probe.rollup is None or attribute.rollup is None:
        return [UNKNOWN] * len(said.proba)
    proba = probe.rollup.apply(said.proba, said.classes, attribute.rollup.of)
    return _Said(probe.rollup.classes, proba, probe.rollup.threshold, "").columns()[0]


def _years(
    attribute: Attribute,
    models: AttributeModels,
    said: _Said,
    rows: npt.NDArray[np.float32],
    image_ids: pl.Series,
    good: npt.NDArray[np.bool_],
) -> tuple[Floats, Floats, Floats]:
    """(years, lower, upper). Zero-shot gives the expected bin centre and no interval, because its errors were never measured."""
    none = np.full(len(rows), np.nan)
    model = models.years(attribute.name)
    if model is not None:
        return _out_of_fold(model, image_ids, model.predict_years(rows, said.proba), good)
    if said.classes and attribute.years is not None:
        middles = np.array([np.mean(attribute.years[attribute.classes.index(name)]) for name in said.classes])
        return said.proba @ middles, none, none
    return none, none, none


def _out_of_fold(
    model: TrainedAge, image_ids: pl.Series, years: tuple[Floats, Floats, Floats], good: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Replace the years of the model's training rows by its out-of-fold predictions."""
    place = {image_id: i for i, image_id in enumerate(model.probe.image_ids)} if len(model.oof_years) else {}
    at = np.array([place.get(image_id, -1) for image_id in image_ids], dtype=np.intp)
    seen = (at >= 0) & good
    replaced = [np.array(values) for values in years]
    for i, values in enumerate(replaced):
        values[seen] = model.oof_years[at[seen], i]
    return replaced[0], replaced[1], replaced[2]
