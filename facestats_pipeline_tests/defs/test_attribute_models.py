"""What attributes are inferred with: one's own probe, a shipped one, zero-shot; the encoder is loaded for the last alone."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from facestats_pipeline import config
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.inference import AttributeModels
from facestats_pipeline.core.attributes.probes import TrainedProbe, train_classifier
from facestats_pipeline.core.attributes.shipped_probes import save_shipped
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline.defs.graph import nodes_of
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline_tests.classes import GENDERS
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture
from facestats_pipeline_tests.defs.small_settings import settings_in

Y = [GENDERS[i % 2] for i in range(100)]


class Words:
    """An encoder that counts how often it was asked for words."""

    model_id, trained, has_text, logit_scale = "words@1", True, True, 50.0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_text(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.eye(8, dtype=np.float32)[[len(text) % 8 for text in texts]]


@pytest.fixture(scope="module")
def gender() -> TrainedProbe:
    return train_classifier(
        mixture(Y, dim=8),
        Y,
        BUILT_IN["gender"],
        image_ids=ids_of(100),
        encoder_id="words@1",
        provenance=Provenance("human", "labels.csv"),
        kind="logistic",
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    """A folder whose encoder is `Words`, on a machine without shipped weights."""
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path / "checkout")
    made = DataFolder(settings_in(tmp_path / "data", **{"zeroshot.gender": ["{}!"]}), load_graph=list)
    made.__dict__["encoder"] = Words()
    return made


def ship(folder: DataFolder, gender: TrainedProbe) -> None:
    folder = folder.settings.models / "facestats-mini" / "probes"
    save_shipped(AttributeModels({"gender": gender}), {"age_bin": 7.0}, "words@1", folder)


def test_ones_own_then_shipped_then_zero_shot(folder: DataFolder, gender: TrainedProbe) -> None:
    ship(folder, gender)
    models = folder.attribute_models(AttributeModels(), "words@1")
    shipped = models.classifier("gender")
    assert shipped is not None
    assert shipped.source == "shipped"
    assert models.classifier("ethnicity") is None
    assert models.zeroshot is not None
    assert models.zeroshot.scales == {"gender": 50.0, "ethnicity": 50.0, "age_bin": 7.0}
    own = folder.attribute_models(AttributeModels({"gender": gender}), "words@1")
    assert own.classifier("gender") is gender


def test_sentences_come_from_the_settings_and_are_encoded_once(folder: DataFolder) -> None:
    for _ in range(3):
        assert folder.attribute_models(AttributeModels(), "words@1").zeroshot is not None
    assert folder.encoder.asked[:2] == ["a woman!", "a female person!"]  # type: ignore[attr-defined]
    assert len(folder.encoder.asked) == len(set(folder.encoder.asked))  # type: ignore[attr-defined]


@pytest.mark.parametrize("model_id", [None, "facestats-test-tiny/untrained@0"])
def test_the_encoder_is_not_loaded_where_it_cannot_help(folder: DataFolder, model_id: str | None) -> None:
    del folder.__dict__["encoder"]
    assert folder.attribute_models(AttributeModels(), model_id) == AttributeModels()
    assert "encoder" not in folder.__dict__


def test_the_encoder_is_not_loaded_where_every_attribute_has_a_probe(folder: DataFolder, gender: TrainedProbe) -> None:
    del folder.__dict__["encoder"]
    everything = AttributeModels(
        {"gender": gender, "ethnicity": replace(gender, attribute="ethnicity"), "age_bin": object()}  # type: ignore[dict-item]
    )
    assert folder.attribute_models(everything, "words@1") == everything
    assert "encoder" not in folder.__dict__


def test_zero_shot_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path / "checkout")
    folder = DataFolder(settings_in(tmp_path, **{"zeroshot.enabled": False}), load_graph=list)
    assert folder.attribute_models(AttributeModels(), "words@1") == AttributeModels()


def test_other_sentences_or_other_shipped_probes_make_attributes_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gender: TrainedProbe
) -> None:
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path / "checkout")

    def digests(**overrides: object) -> dict[str, str]:
        made = build_definitions(settings_in(tmp_path, **{"encoder.name": "facestats-mini"} | overrides))
        freshness = (made.resources or {})["folder"].freshness
        return {
            name: freshness.code_digest(name)
            for name in ("embeddings_clip", "gender_classifier", "attributes", "master")
        }

    before = digests()
    worded = digests(**{"zeroshot.gender": ["{}!"]})
    ship(DataFolder(settings_in(tmp_path), load_graph=list), gender)
    shipped = digests()
    for now, changed in (
        (worded, set()),
        (shipped, {"gender_classifier"}),
    ):  # a probe of one's own starts from the shipped one
        assert {name for name in before if now[name] != before[name]} == {"attributes", "master"} | changed


def test_models_read_hashes_of_the_photos_and_nothing_that_models_made(definitions: dg.Definitions) -> None:
    nodes = {node.name: node for node in nodes_of(definitions)}
    for name in ("gender_classifier", "ethnicity_classifier", "age_model", "attractiveness_regressor"):
        parents = set(nodes[name].parents)
        assert nodes[name].refits
        assert {"embeddings_clip", "image_quality"} <= parents
        tables = parents - {parent for parent in parents if parent.endswith("_csv")}
        assert tables == {"embeddings_clip", "image_quality"}  # of sharded tables a refit counts the images alone
        assert all(nodes[parent].sharded for parent in tables)


def test_an_extra_attribute_makes_what_shows_it_stale_and_no_model_of_another(tmp_path: Path) -> None:
    def digests(**overrides: object) -> dict[str, str]:
        made = build_definitions(settings_in(tmp_path, **overrides))
        freshness = (made.resources or {})["folder"].freshness
        return {name: freshness.code_digest(name) for name in freshness.graph}

    before, glasses = digests(), {"name": "glasses", "classes": ["no glasses", "glasses"]}
    assert digests(**{"attributes.extra": []}) == before
    extra = digests(**{"attributes.extra": [glasses]})
    changed = {name for name in before if extra[name] != before[name]}
    assert {"attributes", "master", "bias_audit", "composites", "fairface_label_structure"} <= changed
    assert not changed & {"gender_classifier", "age_model", "attractiveness_regressor", "embeddings_clip"}
    assert set(extra) - set(before) == {"glasses_classifier"}
    other = digests(**{"attributes.extra": [glasses, {"name": "hat", "classes": ["no hat", "hat"]}]})
    assert other["glasses_classifier"] == extra["glasses_classifier"]
    aimed = digests(**{"attributes.extra": [glasses | {"target_error": 0.2}]})
    assert aimed["glasses_classifier"] != extra["glasses_classifier"]
