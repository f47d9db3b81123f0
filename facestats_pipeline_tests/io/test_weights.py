"""Where weights are looked for, what identifies them, and what `models list` says of them."""

import hashlib
from pathlib import Path

import pytest

from facestats_pipeline import config
from facestats_pipeline.config import Settings, SettingsError, load_settings, shipped_models
from facestats_pipeline.io.model_registry import known_models
from facestats_pipeline.io.weights import DETECTOR, MINI, detector_model, encoder_folder, identity, landmark_model


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder of an own data folder, on a machine without any weights."""
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path / "checkout")
    (tmp_path / "data" / "models").mkdir(parents=True)
    return tmp_path / "data" / "models"


def settings(models: Path, **overrides: object) -> Settings:
    return load_settings(environ={}, data_dir=models.parent, **overrides)


def write_mini(models: Path) -> None:
    (models / MINI).mkdir()
    (models / MINI / "weights.bin").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (models / MINI / "SHA256SUMS").write_text(f"{digest}  weights.bin\n")


def test_probes_that_come_with_the_encoder_count_for_it_alone(models: Path) -> None:
    mini, other = settings(models, **{"encoder.name": MINI}), settings(models, **{"encoder.name": "ViT-B-32/untrained"})
    before = identity(mini, "shipped_probes"), identity(other, "shipped_probes")
    (models / MINI / "probes").mkdir(parents=True)
    (models / MINI / "probes" / "gender_clf.json").write_text("{}")
    assert identity(mini, "shipped_probes") != before[0]
    assert identity(other, "shipped_probes") == before[1] == "none"


def test_without_weights_everything_is_said_to_be_absent(models: Path) -> None:
    found = settings(models)
    assert detector_model(found) is None
    assert landmark_model(found) is None
    assert encoder_folder(found) == shipped_models(), "what to place there is what comes with FaceStats"
    assert (identity(found, "detector"), identity(found, "landmarker")) == ("none", "none")
    states = {model.name: model for model in known_models(found)}
    assert {model.state for model in states.values()} == {"absent"}
    assert str(shipped_models() / MINI) in states[MINI].where


def test_a_face_model_in_the_folder_is_found_and_identified_by_its_bytes(models: Path) -> None:
    path = models / "face_detection_yunet_2026may.onnx"
    path.write_bytes(b"one")
    assert detector_model(settings(models)) == path
    one = identity(settings(models), "detector")
    path.write_bytes(b"two")
    assert len({"none", one, identity(settings(models), "detector")}) == 3
    assert {model.name: model.state for model in known_models(settings(models))}["YuNet"] == "other version"


def test_the_shipped_detector_is_the_default_and_yunet_is_taken_where_it_is_asked_for(models: Path) -> None:
    own, yunet = models / DETECTOR, models / "face_detection_yunet_2026may.onnx"
    with pytest.raises(SettingsError, match=r"preproc\.detector.*yunet"):
        detector_model(settings(models, **{"preproc.detector": "yunet"}))
    yunet.write_bytes(b"one")
    own.mkdir()
    (own / "SHA256SUMS").write_text("")
    chosen = {kind: settings(models, **{"preproc.detector": kind}) for kind in ("facestats", "yunet", "none")}
    assert [detector_model(each) for each in (settings(models), *chosen.values())] == [own, own, yunet, None]
    assert detector_model(settings(models, **{"preproc.detector_model": yunet})) == yunet
    assert len({identity(each, "detector") for each in chosen.values()}) == 3
    assert identity(chosen["none"], "detector") == "none"


def test_a_configured_face_model_must_be_there(models: Path) -> None:
    with pytest.raises(SettingsError, match=r"preproc\.detector_model.*nowhere\.onnx"):
        detector_model(settings(models, **{"preproc.detector_model": "nowhere.onnx"}))


def test_the_shipped_encoder_is_checked_by_its_sums(models: Path) -> None:
    write_mini(models)
    (models / MINI / "probes").mkdir()
    assert known_models(settings(models))[0].purpose.endswith("no probes")
    (models / MINI / "probes" / "gender_clf.skops").write_bytes(b"1")
    assert known_models(settings(models))[0].purpose.endswith("probes of gender")
    assert {model.name: model.state for model in known_models(settings(models))}[MINI] == "ok"
    (models / MINI / "weights.bin").write_bytes(b"weightz")
    assert {model.name: model.state for model in known_models(settings(models))}[MINI] == "damaged"


def test_an_encoder_is_identified_by_name_by_file_or_by_its_sums(models: Path, tmp_path: Path) -> None:
    assert identity(settings(models, **{"encoder.name": "ViT-B-32/tag"}), "encoder") == "ViT-B-32/tag"
    checkpoint = tmp_path / "own.safetensors"
    checkpoint.write_bytes(b"one")
    own = settings(models, **{"encoder.name": f"ViT-B-32/{checkpoint}"})
    one = identity(own, "encoder")
    checkpoint.write_bytes(b"other")
    assert identity(own, "encoder") != one
    write_mini(models)
    assert identity(settings(models, **{"encoder.name": MINI}), "encoder") not in ("none", MINI)


def test_models_trained_here_are_listed(models: Path) -> None:
    (models / "gender_clf.skops").write_bytes(b"1")
    (models / "gender_clf.json").write_text("{}")
    assert [model.name for model in known_models(settings(models))][4:] == ["gender_clf.skops"]
