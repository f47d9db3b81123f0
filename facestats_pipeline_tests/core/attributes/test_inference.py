from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.inference import AttributeModels, infer_attributes
from facestats_pipeline.core.attributes.probe_store import EncoderMismatch
from facestats_pipeline.core.attributes.probes import TrainedProbe, train_age, train_classifier
from facestats_pipeline.core.attributes.prompts import prompts_from
from facestats_pipeline.core.attributes.zeroshot import LOGIT_SCALE, ZeroShot, build_zeroshot, fit_scale
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline_tests.classes import AGE_BINS, AGE_EDGES, ETHNICITIES, ETHNICITY_TO_4, GENDERS, UNKNOWN
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture

N = 400
ETHNICITY = [ETHNICITIES[i % 7] for i in range(N)]
GENDER = [GENDERS[(i // 7) % 2] for i in range(N)]
AGE = [AGE_BINS[(i // 14) % 9] for i in range(N)]
X = mixture([f"{e}{g}{a}" for e, g, a in zip(ETHNICITY, GENDER, AGE, strict=True)], separation=1.0)
X = np.concatenate(
    [X, mixture(ETHNICITY, separation=3.0), mixture(GENDER, seed=1), mixture(AGE, separation=6, seed=2)], axis=1
)


@pytest.fixture(scope="module")
def models() -> AttributeModels:
    facts = {
        "image_ids": ids_of(N),
        "encoder_id": "e@1",
        "provenance": Provenance("human", "labels.csv"),
        "kind": "logistic",
        "folds": 3,
    }
    years = [float(np.mean(AGE_EDGES[AGE_BINS.index(a)])) for a in AGE]
    return AttributeModels(
        {
            "gender": train_classifier(X, GENDER, BUILT_IN["gender"], **facts),  # type: ignore[arg-type]
            "ethnicity": train_classifier(X, ETHNICITY, BUILT_IN["ethnicity"], **facts),  # type: ignore[arg-type]
            "age_bin": train_age(X, years, AGE, **facts),  # type: ignore[arg-type]
        }
    )


def probe_of(models: AttributeModels, name: str) -> TrainedProbe:
    probe = models.classifier(name)
    assert probe is not None
    return probe


def ids(n: int = N) -> pl.DataFrame:
    return pl.DataFrame(
        {"image_id": ids_of(n), "filename": [f"{i}.jpg" for i in range(n)]},
        schema={"image_id": pl.String, "filename": pl.String},
    )


def test_schema_is_constant(models: AttributeModels) -> None:
    for given in (models, AttributeModels()):
        for n in (0, 3):
            frame = infer_attributes(ids(n), X[:n], given)
            assert dict(frame.schema) == attribute_table().schema
            assert frame.height == n


def test_decisions_follow_probability_and_threshold(models: AttributeModels) -> None:
    frame = infer_attributes(ids(), X, models, encoder_id="e@1")
    gender = probe_of(models, "gender")
    age = models.years("age_bin")
    assert age is not None
    for name, p, threshold in (
        ("gender", "gender_p", gender.threshold),
        ("age_bin", "age_p", age.probe.threshold),
    ):
        answered = frame[p] >= np.float32(threshold)
        assert (frame.filter(answered)[name] == frame.filter(answered)[f"{name}_top"]).all()
        assert (frame.filter(~answered)[name] == UNKNOWN).all()
    assert frame.select((pl.col("age_lo") <= pl.col("age")) & (pl.col("age") <= pl.col("age_hi"))).to_series().all()
    assert frame.select("gender_source", "ethnicity_source", "age_source").unique().rows() == [("probe",) * 3]
    assert (frame["gender_top"] == pl.Series(GENDER)).mean() > 0.9


def test_the_roll_up_agrees_with_ethnicity_and_may_answer_alone(models: AttributeModels) -> None:
    frame = infer_attributes(ids(), X, models)
    said = frame.filter(pl.col("ethnicity") != UNKNOWN)
    assert said.height > 0
    assert (said["ethnicity4"] == said["ethnicity"].replace_strict(ETHNICITY_TO_4)).all()
    assert set(frame["ethnicity4"]) <= {*ETHNICITY_TO_4.values(), UNKNOWN}


def test_no_face_and_no_embedding_abstain(models: AttributeModels) -> None:
    x = X[:5].copy()
    x[1, 3] = np.nan
    x[2] = 0
    frame = infer_attributes(ids(5), x, models, usable=[False, True, True, True, True])
    judged = [c for c in frame.columns if c not in ("image_id", "filename") and not c.endswith("_source")]
    for row in range(3):
        values = set(frame.select(judged).row(row))
        assert values == {UNKNOWN, None}
    assert frame["gender_top"][3:].null_count() == 0
    alone = infer_attributes(ids(5)[3:], x[3:], models)
    assert frame[3:].equals(alone)  # a row does not depend on its neighbours


def test_no_models_say_none() -> None:
    frame = infer_attributes(ids(3), X[:3], AttributeModels())
    assert set(frame["gender"]) == set(frame["ethnicity4"]) == set(frame["age_bin"]) == {UNKNOWN}
    assert set(frame["age_source"]) == {"none"}


def test_another_encoder_is_refused(models: AttributeModels) -> None:
    with pytest.raises(EncoderMismatch, match="gender probe"):
        infer_attributes(ids(1), X[:1], models, encoder_id="e@2")


class Words:
    """A text tower that puts each class's sentences on an axis of its own."""

    model_id = "words@1"
    trained = True
    has_text = True
    logit_scale = LOGIT_SCALE

    def encode_text(self, texts: list[str]) -> np.ndarray:
        classes = [sentences for by_class in prompts_from().values() for sentences in by_class.values()]
        places = [next(i for i, sentences in enumerate(classes) if text in sentences) for text in texts]
        return np.eye(64, dtype=np.float32)[places]


def test_zero_shot_answers_where_there_is_no_probe(models: AttributeModels) -> None:
    zeroshot = build_zeroshot(Words())
    assert isinstance(zeroshot, ZeroShot)
    x = (np.eye(64)[1] + np.eye(64)[2] + np.eye(64)[9 + 4]) / 3**0.5  # Male, White, the fifth age bin
    frame = infer_attributes(
        ids(1), x[None].astype(np.float32), AttributeModels(zeroshot=zeroshot), encoder_id="words@1"
    )
    row = frame.row(0, named=True)
    assert (row["gender"], row["ethnicity"], row["ethnicity4"], row["age_bin"]) == ("Male", "White", "White", "30-39")
    assert (row["gender_source"], row["age_lo"], row["age_hi"]) == ("zeroshot", None, None)
    assert row["age"] == pytest.approx(35, abs=1)
    with pytest.raises(EncoderMismatch, match="zero-shot"):
        infer_attributes(ids(1), x[None], AttributeModels(zeroshot=zeroshot), encoder_id="e@1")


def test_an_encoder_that_knows_no_words_gives_no_zero_shot() -> None:
    untrained, mute = Words(), Words()
    untrained.trained = False
    mute.has_text = False
    assert build_zeroshot(untrained) is None
    assert build_zeroshot(mute) is None


def test_a_trained_probe_goes_before_a_shipped_one_and_that_before_zero_shot(models: AttributeModels) -> None:
    gender = probe_of(models, "gender")
    shipped = AttributeModels(
        {
            "gender": replace(gender, source="shipped"),
            "ethnicity": replace(probe_of(models, "ethnicity"), source="shipped"),
        }
    )
    zeroshot = ZeroShot("e@1", {"age_bin": (AGE_BINS, np.eye(9, X.shape[1], dtype=np.float32))})
    chosen = AttributeModels({"gender": gender}).completed(shipped, lambda: zeroshot)
    row = infer_attributes(ids(1), X[:1], chosen, encoder_id="e@1").row(0, named=True)
    assert (row["gender_source"], row["ethnicity_source"], row["age_source"]) == ("probe", "shipped", "zeroshot")


def test_zero_shot_is_made_only_where_a_probe_is_missing(models: AttributeModels) -> None:
    def never() -> ZeroShot | None:
        raise AssertionError("the encoder was asked for words")

    assert models.completed(AttributeModels(), never) == models
    assert AttributeModels().completed(models, never) == models
    assert (
        AttributeModels({"gender": probe_of(models, "gender")})
        .completed(AttributeModels(), lambda: None)
        .years("age_bin")
        is None
    )


def test_a_fitted_temperature_makes_zero_shot_as_sure_as_it_is_right() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=3000)
    cosines = 0.2 + 0.02 * rng.normal(size=(3000, 2)) + 0.03 * np.eye(2)[truth]
    scale = fit_scale(cosines, truth)
    assert scale == pytest.approx(0.03 / 0.02**2, rel=0.15)  # the log odds of two normals
    texts = {"gender": (GENDERS, np.eye(2, dtype=np.float32))}
    right = {}
    for name, scales in (("own", {}), ("fitted", {"gender": scale})):
        p = ZeroShot("e", texts, scales).predict_proba("gender", cosines)
        right[name] = abs(p.max(1).mean() - (p.argmax(1) == truth).mean())
    assert right["fitted"] < 0.01 < right["own"]


def test_without_a_fitted_temperature_it_is_the_encoders_own() -> None:
    cool = Words()
    cool.logit_scale = 12.0
    made = build_zeroshot(cool, scales={"gender": 40.0})
    assert made is not None
    assert made.scales == {"gender": 40.0, "ethnicity": 12.0, "age_bin": 12.0}


def test_get_embedding_is_the_encoders(tmp_path: Path) -> None:
    from PIL import Image

    from facestats_pipeline.core.attributes.inference import get_embedding
    from facestats_pipeline.core.encoders.encoder import load_model

    Image.new("RGB", (40, 30), (200, 30, 90)).save(tmp_path / "a.png")
    vector = get_embedding(tmp_path / "a.png", load_model("facestats-test-tiny/untrained", precision="fp32"))
    assert vector.shape == (512,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


def test_years_of_photos_that_the_age_model_learned_from_are_out_of_fold(models: AttributeModels) -> None:
    age = models.years("age_bin")
    assert age is not None
    frame = infer_attributes(ids(), X, models)
    assert frame.select("age", "age_lo", "age_hi").to_numpy() == pytest.approx(age.oof_years)
    strangers = ids().with_columns(image_id=pl.col("image_id").str.replace("^0", "f"))
    fitted = infer_attributes(strangers, X, models)["age"].to_numpy()
    assert fitted == pytest.approx(age.predict_years(X, age.probe.predict_proba(X))[0], rel=1e-5)
    assert np.abs(fitted - frame["age"].to_numpy()).max() > 0.1
    hidden = infer_attributes(ids(), X, models, usable=np.arange(N) != 5)
    assert hidden["age"][5] is None
