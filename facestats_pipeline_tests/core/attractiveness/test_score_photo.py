import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facestats_pipeline.core.attractiveness.regressor import RegressorConfig, predict_scores, run_training
from facestats_pipeline.core.attractiveness.score_photo import score_image
from facestats_pipeline.core.attractiveness.scoring import build_reference, percentile
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.inference import AttributeModels
from facestats_pipeline.core.attributes.probe_store import EncoderMismatch
from facestats_pipeline.core.attributes.probes import train_classifier
from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.encoders.encoder import Encoder, load_model
from facestats_pipeline.core.images.decoding import encode_jpeg
from facestats_pipeline.core.preproc.detection import load_detector
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings, run_preprocessing
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline_tests.classes import GENDERS, UNKNOWN
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture

HUMAN = Provenance("human", "labels.csv")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_model("facestats-test-tiny/untrained", precision="fp32")


def checkpoint(encoder_id: str) -> dict[str, object]:
    x = mixture(["x"] * 60, dim=512)
    y = 3 + x[:, 0]
    config = RegressorConfig(max_epochs=1, folds=2)
    return run_training(x, y, image_ids=ids_of(60), encoder_id=encoder_id, provenance=HUMAN, config=config).checkpoint


def photo(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return encode_jpeg(Image.fromarray(pixels))


def test_the_same_path_as_the_collection(encoder: Encoder, tmp_path: Path) -> None:
    settings = PreprocSettings(size=64)
    model = checkpoint(encoder.model_id)
    (done,) = run_preprocessing([("i", "i.jpg", photo)], settings, None)
    assert done.jpeg is not None
    vector = run_embedding([done.jpeg], encoder)
    raw, low, high = predict_scores(model, vector)
    reference = build_reference([raw[0] - 0.1, raw[0] + 0.1, raw[0] + 0.2, raw[0] + 0.3])
    (tmp_path / "p.jpg").write_bytes(photo())
    for source in (photo(), tmp_path / "p.jpg"):
        result = score_image(
            source, encoder=encoder, detector=None, settings=settings, checkpoint=model, reference=reference
        )
        assert [result[f"attractiveness_{k}"] for k in ("raw", "lo", "hi")] == pytest.approx(
            [raw[0], low[0], high[0]], abs=1e-5
        )
        assert result["attractiveness_pct"] == percentile(raw, reference)[0] == 0.25
        assert result["attractiveness"] == 3
        assert result["status"] == "ok"
        assert result["encoder_trained"] is False
        assert result["gender_source"] == "none"
        json.dumps(result, allow_nan=False)


def test_without_ratings_or_reference_there_is_no_score(encoder: Encoder) -> None:
    result = score_image(photo(), encoder=encoder, detector=None)
    assert result["attractiveness_raw"] is result["attractiveness"] is None
    result = score_image(photo(), encoder=encoder, detector=None, checkpoint=checkpoint(encoder.model_id))
    assert result["attractiveness_raw"] is not None
    assert result["attractiveness_pct"] is None


def test_a_photo_that_cannot_be_read_says_why(encoder: Encoder, tmp_path: Path) -> None:
    for source in (b"not a photo", tmp_path / "none.jpg"):
        result = score_image(source, encoder=encoder, detector=None, checkpoint=checkpoint(encoder.model_id))
        assert result["status"] != "ok"
        assert result["reason"]
        assert result["gender"] == UNKNOWN
        assert result["attractiveness_raw"] is None


def test_models_of_another_encoder_are_refused_even_without_a_face(encoder: Encoder) -> None:
    with pytest.raises(EncoderMismatch):
        score_image(b"no photo", encoder=encoder, detector=None, checkpoint=checkpoint("other@1"))


def test_no_face_abstains_and_a_face_is_judged(encoder: Encoder, yunet_model: Path, shared_data: Path) -> None:
    y = [GENDERS[i % 2] for i in range(80)]
    gender = train_classifier(
        mixture(y, dim=512),
        y,
        BUILT_IN["gender"],
        image_ids=ids_of(80),
        encoder_id=encoder.model_id,
        provenance=HUMAN,
        kind="logistic",
    )
    given = {"encoder": encoder, "detector": load_detector(yunet_model), "models": AttributeModels({"gender": gender})}
    given |= {"checkpoint": checkpoint(encoder.model_id), "reference": [1.0, 2.0]}
    none = score_image(photo(), **given)  # type: ignore[arg-type]
    assert (none["status"], none["gender"], none["gender_top"], none["attractiveness"]) == (
        "no_face",
        UNKNOWN,
        None,
        None,
    )
    assert "no" in none["reason"]
    face = score_image(shared_data / "london" / "images" / "001_03.jpg", **given)  # type: ignore[arg-type]
    assert (face["status"], face["face_count"]) == ("ok", 1)
    assert face["gender_top"] in GENDERS
    assert face["attractiveness"] in range(1, 11)
