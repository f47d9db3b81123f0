"""Probes that come with an encoder: trained on one part of its photos, calibrated on the other, given away without any person's row."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.attributes.inference import AttributeModels, infer_attributes
from facestats_pipeline.core.attributes.probe_store import ProbeError, load_probe, save_probe
from facestats_pipeline.core.attributes.probes import known_predictions
from facestats_pipeline.core.attributes.shipped_probes import load_shipped, save_shipped, shipped_scales
from facestats_pipeline.core.attributes.shipped_training import LabelledEmbeddings, held_out_mask, train_shipped
from facestats_pipeline.core.mini.data import open_split
from facestats_pipeline.core.statistics.calibration import expected_calibration_error
from facestats_pipeline.core.training.provenance import Provenance, TrainingRefused
from facestats_pipeline_tests.classes import AGE_BINS, ETHNICITIES, GENDERS
from facestats_pipeline_tests.core.synthetic_embeddings import mixture

N, HELD_OUT = 2400, 700
RNG = np.random.default_rng(0)
LABELS = pl.DataFrame(
    {
        "gender": RNG.choice(GENDERS, N),
        "race": RNG.choice(ETHNICITIES, N),
        "age": RNG.choice(AGE_BINS, N),
    }
)


def embeddings() -> LabelledEmbeddings:
    """Three labels, each in dimensions of its own; rows that are not held out are separated far better: the encoder knows them."""
    held = held_out_mask(N, HELD_OUT)
    parts = []
    for seed, (column, separation) in enumerate((("gender", 1.0), ("race", 2.0), ("age", 2.0))):
        known, new = (
            mixture(LABELS[column].to_list(), dim=24, separation=s, seed=seed) for s in (4 * separation, separation)
        )
        parts.append(np.where(held[:, None], new, known))
    x = np.concatenate(parts, axis=1) / np.sqrt(3)
    x[5] = np.nan  # a photo without a face
    return LabelledEmbeddings(x.astype(np.float32), LABELS, held, Provenance("human", "photos", "0" * 64))


@pytest.fixture(scope="module")
def data() -> LabelledEmbeddings:
    return embeddings()


@pytest.fixture(scope="module")
def trained(data: LabelledEmbeddings) -> AttributeModels:
    return train_shipped(data, "mini@1")


@pytest.fixture
def folder(trained: AttributeModels, tmp_path: Path) -> Path:
    save_shipped(trained, {"gender": 33.3}, "mini@1", tmp_path)
    return tmp_path


def test_the_split_is_that_of_the_encoders_training(tmp_path: Path) -> None:
    np.save(tmp_path / "photos.npy", np.zeros((50, 2, 2, 3), np.uint8))
    np.save(tmp_path / "labels.npy", np.zeros((50, 3), np.int64))
    fitted, held = open_split(tmp_path, held_out=12, seed=0)
    mask = held_out_mask(50, 12)
    assert np.flatnonzero(mask).tolist() == held.rows.tolist()
    assert np.flatnonzero(~mask).tolist() == fitted.rows.tolist()


def test_probabilities_hold_on_photos_that_the_encoder_has_not_seen(
    data: LabelledEmbeddings, trained: AttributeModels
) -> None:
    gender = trained.classifier("gender")
    assert gender is not None
    p = gender.predict_proba(data.x[data.held_out])
    right = np.array(GENDERS)[p.argmax(1)] == LABELS["gender"].to_numpy()[data.held_out]
    assert expected_calibration_error(p.max(1), right) < 0.05
    sure = gender.model.logits(data.x[data.held_out])
    assert abs(1 / (1 + np.exp(-np.ptp(sure, axis=1))) - p.max(1)).mean() > 0.01, "calibration had something to do"
    report = gender.report
    assert (report["trained_on"], report["calibrated_on"]) == (N - HELD_OUT - 1, HELD_OUT)
    assert gender.labelled == N - HELD_OUT - 1
    assert report["accuracy"]["n"] == HELD_OUT


def test_years_and_their_interval_come_with_the_bins(data: LabelledEmbeddings, trained: AttributeModels) -> None:
    years = trained.years("age_bin")
    assert years is not None
    assert years.report["interval"]["coverage"]["value"] == pytest.approx(0.9, abs=0.04)


def test_a_class_without_held_out_photos_is_refused(data: LabelledEmbeddings) -> None:
    labels = LABELS.with_columns(
        gender=pl.when(pl.Series(data.held_out)).then(pl.lit("Female")).otherwise("gender").alias("gender")
    )
    with pytest.raises(TrainingRefused, match="'Male' has fewer than two held-out photos"):
        train_shipped(LabelledEmbeddings(data.x, labels, data.held_out, data.provenance), "mini@1")


def test_what_ships_is_small_and_holds_no_row_of_anyone(folder: Path, trained: AttributeModels) -> None:
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert {"gender_clf.json", "ethnicity_clf.skops", "age_model.json", "zeroshot.json"} <= set(files)
    assert not any("oof" in name for name in files)
    assert sum(files.values()) < 1_000_000
    card = json.loads((folder / "gender_clf.json").read_text())
    assert "image_ids" not in card
    assert card["n"] == N - HELD_OUT - 1
    assert card["provenance"]["source"] == "photos"

    def longest(value: object) -> int:
        if isinstance(value, dict):
            return max(map(longest, value.values()), default=0)
        return max([len(value), *map(longest, value)]) if isinstance(value, list) else 0

    assert longest(card) <= 101, "a list as long as the photos"


def test_shipped_probes_answer_as_they_did_and_say_so(
    folder: Path, trained: AttributeModels, data: LabelledEmbeddings
) -> None:
    loaded = load_shipped(folder, "mini@1")
    ids = pl.DataFrame({"image_id": ["a", "b"], "filename": ["a", "b"]})
    now = infer_attributes(ids, data.x[:2], loaded, encoder_id="mini@1")
    before = infer_attributes(ids, data.x[:2], trained)
    sources = ["gender_source", "ethnicity_source", "age_source"]
    assert now.select(sources).unique().rows() == [("shipped",) * 3]
    assert now.drop(sources).equals(before.drop(sources))
    assert known_predictions([loaded.probes["gender"], loaded.probes["age_bin"]])["seen"].is_empty()
    assert shipped_scales(folder, "mini@1") == {"gender": 33.3}


def test_another_encoder_gets_nothing(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_shipped(folder, "ViT-B-32/x@2") == AttributeModels() == load_shipped(tmp_path / "absent", "mini@1")
    assert caplog.text == ""
    assert load_shipped(folder, "mini@2") == AttributeModels()
    assert "is for mini@1, but the encoder is mini@2" in caplog.text, (
        "the same encoder of another version is worth a word"
    )
    assert shipped_scales(folder, "mini@2") == {} == shipped_scales(tmp_path / "absent", "mini@1")


@pytest.mark.parametrize(
    ("name", "content"),
    [("gender_clf.json", "{"), ("gender_clf.json", "[]"), ("ethnicity_clf.skops", "PK")],
)
def test_a_damaged_probe_is_named_and_never_left_out(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ProbeError, match=name):
        load_shipped(folder, "mini@1")


@pytest.mark.parametrize("scales", [{"gender": -1}, {"gender": "many"}, [3]])
def test_damaged_temperatures_are_named(folder: Path, scales: object) -> None:
    (folder / "zeroshot.json").write_text(json.dumps({"encoder": "mini@1", "scales": scales}))
    with pytest.raises(ProbeError, match="zeroshot"):
        shipped_scales(folder, "mini@1")


def test_ones_own_probe_keeps_its_rows(trained: AttributeModels, tmp_path: Path) -> None:
    gender = trained.classifier("gender")
    assert gender is not None
    files = {path.name for path in save_probe(gender, tmp_path, "x", with_rows=False)}
    assert files == {"x.skops", "x.json"}
    assert load_probe(tmp_path, "x").image_ids == ()  # type: ignore[union-attr]
