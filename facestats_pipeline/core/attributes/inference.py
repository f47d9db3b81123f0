"""Gender, ethnicity and age of each face from its embedding, each with a probability, a source, and the right to say `unknown`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.probe_age import TrainedAge
from facestats_pipeline.core.attributes.probe_classifier import TrainedProbe
from facestats_pipeline.core.attributes.probe_report import Rollup
from facestats_pipeline.core.attributes.probe_store import check_encoder
from facestats_pipeline.core.attributes.zeroshot import THRESHOLDS, ZeroShot
from facestats_pipeline.core.labels.vocabulary import AGE_BINS, AGE_EDGES, ETHNICITY_TO_4, UNKNOWN

if TYPE_CHECKING:
    from facestats_pipeline.core.encoders.encoder import Encoder

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AttributeModels:
    """What there is to infer attributes with; every part may be missing, and a probe goes before zero-shot."""

    gender: TrainedProbe | None = None
    ethnicity: TrainedProbe | None = None
    age: TrainedAge | None = None
    zeroshot: ZeroShot | None = None

    def completed(self, shipped: "AttributeModels", zeroshot: Callable[[], ZeroShot | None]) -> "AttributeModels":
        """These models; where an attribute has none, the shipped probe; where it has none either, zero-shot, made only then."""
        models = AttributeModels(
            self.gender or shipped.gender, self.ethnicity or shipped.ethnicity, self.age or shipped.age, self.zeroshot
        )
        if None in (models.gender, models.ethnicity, models.age) and models.zeroshot is None:
            return replace(models, zeroshot=zeroshot())
        return models

    def classifier(self, attribute: str) -> TrainedProbe | None:
        """The probe of "gender", "ethnicity" or (of its bins) "age"; None where there is none."""
        found = getattr(self, attribute)
        return found.probe if isinstance(found, TrainedAge) else found

    def check(self, encoder_id: str) -> None:
        """Raise EncoderMismatch unless every model reads embeddings of the encoder `encoder_id`."""
        for name in ("gender", "ethnicity", "age"):
            if (probe := self.classifier(name)) is not None:
                check_encoder(f"the {name} probe", probe.encoder_id, encoder_id)
        if self.zeroshot is not None:
            check_encoder("zero-shot", self.zeroshot.encoder_id, encoder_id)


@dataclass(frozen=True)
class _Said:
    """One attribute of n rows: probabilities (n, k), NaN where there is none; from which on to answer; who says so."""

    classes: tuple[str, ...]
    proba: Floats
    threshold: float
    source: str

    def columns(self) -> tuple[list[str], list[str | None], list[float | None]]:
        """Decision, most probable class, and its probability, for each row."""
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
) -> pl.DataFrame:
    """`attribute_table` for the rows of `ids` (image_id, filename) and their embeddings (n, d).

    A row that is not `usable` (no face) or has no finite embedding abstains: "unknown", and null for every number. Without a model
    an attribute is "unknown" and its source "none". Years of a row that the age model learned from are those of the folds that left it
    out: no table shows a fit as a prediction (bins and classes have their out-of-fold values in `attributes_with_predictions`).
    `ethnicity4` follows `ethnicity` where that answers; where it abstains the
    four-class roll-up may still be sure. encoder_id: the embeddings' model_id; a model for another one raises EncoderMismatch.
    """
    n = ids.height
    rows = np.asarray(embeddings, dtype=np.float32).reshape(n, -1) if n else np.zeros((0, 1), np.float32)
    if encoder_id is not None:
        models.check(encoder_id)
    good = np.isfinite(rows).all(axis=1) & (np.abs(rows).sum(axis=1) > 0)
    if usable is not None:
        good &= np.asarray(usable, dtype=bool)
    gender = _say("gender", models.gender, models.zeroshot, rows, good)
    ethnicity = _say("ethnicity", models.ethnicity, models.zeroshot, rows, good)
    age = _say("age_bin", models.age.probe if models.age else None, models.zeroshot, rows, good)
    years = _years(models.age, age, rows)
    if models.age is not None:
        years = _out_of_fold(models.age, ids["image_id"], years, good)

    decided, top, p = ethnicity.columns()
    four = _rolled(ethnicity, models.ethnicity.rollup if models.ethnicity else None)
    decided4 = [ETHNICITY_TO_4.get(e, f) for e, f in zip(decided, four, strict=True)]
    data: dict[str, object] = {"image_id": ids["image_id"], "filename": ids["filename"]}
    data["gender"], data["gender_top"], data["gender_p"] = gender.columns()
    data |= {"ethnicity": decided, "ethnicity4": decided4, "ethnicity_top": top, "ethnicity_p": p}
    data["age_bin"], data["age_bin_top"], data["age_p"] = age.columns()
    for name, values in zip(("age", "age_lo", "age_hi"), years, strict=True):
        data[name] = pl.Series(values, dtype=pl.Float32).fill_nan(None)
    for name, said in (("gender", gender), ("ethnicity", ethnicity), ("age", age)):
        data[f"{name}_source"] = [said.source] * n
    return pl.DataFrame({name: data[name] for name in attribute_table().schema}, schema=attribute_table().schema)


@dataclass(frozen=True)
class Answer:
    """One attribute of one face: the calibrated probability of each class, from which probability on it is answered, and who says so."""

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    threshold: float
    source: str


def class_probabilities(embedding: npt.ArrayLike, models: AttributeModels) -> dict[str, Answer]:
    """gender, ethnicity and age_bin of one face from its embedding (d,), class by class; an attribute without a model has no classes."""
    row = np.asarray(embedding, dtype=np.float32).reshape(1, -1)
    good = np.ones(1, dtype=bool)
    said = {
        "gender": _say("gender", models.gender, models.zeroshot, row, good),
        "ethnicity": _say("ethnicity", models.ethnicity, models.zeroshot, row, good),
        "age_bin": _say("age_bin", models.age.probe if models.age else None, models.zeroshot, row, good),
    }
    return {
        name: Answer(each.classes, tuple(each.proba[0].tolist()), each.threshold, each.source)
        for name, each in said.items()
    }


def get_embedding(path: Path | str, encoder: "Encoder") -> npt.NDArray[np.float32]:
    """The (d,) f32 unit-norm embedding of one image file (the original's name for `get_clip_embedding`)."""
    from facestats_pipeline.core.encoders.embedding import get_clip_embedding

    return get_clip_embedding(Path(path), encoder)


def _say(
    attribute: str,
    probe: TrainedProbe | None,
    zeroshot: ZeroShot | None,
    rows: npt.NDArray[np.float32],
    good: npt.NDArray[np.bool_],
) -> _Said:
    if probe is not None:
        proba = np.full((len(rows), len(probe.classes)), np.nan)
        proba[good] = probe.predict_proba(rows[good])
        return _Said(probe.classes, proba, probe.threshold, probe.source)
    if zeroshot is not None and attribute in zeroshot.texts:
        classes = zeroshot.texts[attribute][0]
        proba = np.full((len(rows), len(classes)), np.nan)
        proba[good] = zeroshot.predict_proba(attribute, rows[good])
        return _Said(classes, proba, THRESHOLDS[attribute], "zeroshot")
    return _Said((), np.full((len(rows), 0), np.nan), np.inf, "none")


def _rolled(ethnicity: _Said, rollup: Rollup | None) -> list[str]:
    """The four-class decision of every row by the roll-up's own threshold; "unknown" without a roll-up."""
    if rollup is None:
        return [UNKNOWN] * len(ethnicity.proba)
    return _Said(rollup.classes, rollup.apply(ethnicity.proba, ethnicity.classes), rollup.threshold, "").columns()[0]


def _out_of_fold(
    model: TrainedAge, image_ids: pl.Series, years: tuple[Floats, Floats, Floats], good: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """`years` with the rows that `model` learned from replaced by its out-of-fold years."""
    place = {image_id: i for i, image_id in enumerate(model.probe.image_ids)} if len(model.oof_years) else {}
    at = np.array([place.get(image_id, -1) for image_id in image_ids], dtype=np.intp)
    seen = (at >= 0) & good
    replaced = [np.array(values) for values in years]
    for i, values in enumerate(replaced):
        values[seen] = model.oof_years[at[seen], i]
    return replaced[0], replaced[1], replaced[2]


def _years(model: TrainedAge | None, said: _Said, rows: npt.NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    """Age and its interval; zero-shot gives the expected value of the bins' middles and no interval, since nothing was measured."""
    none = np.full(len(rows), np.nan)
    if model is not None:
        return model.predict_years(rows, said.proba)
    if said.classes:
        middles = np.array([np.mean(AGE_EDGES[AGE_BINS.index(c)]) for c in said.classes])
        return said.proba @ middles, none, none
    return none, none, none
