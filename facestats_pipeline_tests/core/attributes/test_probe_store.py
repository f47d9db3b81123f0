import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from skops.io import dumps

from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.probe_store import EncoderMismatch, ProbeError, load_probe, oof_of, save_probe
from facestats_pipeline.core.attributes.probes import TrainedAge, TrainedProbe, oof_frame, train_age, train_classifier
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline_tests.classes import ETHNICITIES, GENDERS
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture

HUMAN = Provenance("human", "labels.csv", "0" * 64)
Y = [ETHNICITIES[i % 3] for i in range(120)]
X = mixture(Y)


@cache
def trained(kind: str = "logistic") -> TrainedProbe:
    """One of each kind: storing it changes nothing of it."""
    return train_classifier(
        X,
        Y,
        BUILT_IN["ethnicity"],
        image_ids=ids_of(120),
        encoder_id="e@1",
        provenance=HUMAN,
        kind=kind,  # type: ignore[arg-type]
        folds=3,
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_probe(trained(), tmp_path, "ethnicity_clf")
    return tmp_path


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "ethnicity_clf.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(("kind", "model"), [("logistic", "ethnicity_clf.skops"), ("lightgbm", "ethnicity_clf.txt")])
def test_round_trip(tmp_path: Path, kind: str, model: str) -> None:
    probe = trained(kind)
    files = {p.name for p in save_probe(probe, tmp_path, "ethnicity_clf")}
    assert files == {model, "ethnicity_clf.json", "ethnicity_clf_oof.parquet"} == {p.name for p in tmp_path.iterdir()}
    back = load_probe(tmp_path, "ethnicity_clf", encoder_id="e@1")
    assert isinstance(back, TrainedProbe)
    assert (back.predict_proba(X) == probe.predict_proba(X)).all()
    for name in (
        "classes",
        "calibration",
        "threshold",
        "rollup",
        "provenance",
        "image_ids",
        "report",
        "created_by",
        "metrics",
    ):
        assert getattr(back, name) == getattr(probe, name), name
    assert oof_frame(back).equals(oof_frame(probe))


def test_round_trip_of_two_classes_by_lightgbm(tmp_path: Path) -> None:
    y = [GENDERS[i % 2] for i in range(120)]
    probe = train_classifier(
        X, y, BUILT_IN["gender"], image_ids=ids_of(120), encoder_id="e", provenance=HUMAN, kind="lightgbm"
    )
    save_probe(probe, tmp_path, "gender_clf")
    back = load_probe(tmp_path, "gender_clf")
    assert isinstance(back, TrainedProbe)
    assert (back.predict_proba(X) == probe.predict_proba(X)).all()


def test_round_trip_of_age(tmp_path: Path) -> None:
    years = np.random.default_rng(0).uniform(5, 60, size=120)
    x = (X + years[:, None] / 30 * np.ones(64)).astype(np.float32)
    age = train_age(
        x, years.tolist(), [None] * 120, image_ids=ids_of(120), encoder_id="e", provenance=HUMAN, kind="logistic"
    )
    assert age.ridge is not None
    save_probe(age, tmp_path, "age_model")
    back = load_probe(tmp_path, "age_model")
    assert isinstance(back, TrainedAge)
    p = age.probe.predict_proba(x)
    assert np.array_equal(back.predict_years(x, p), age.predict_years(x, p))
    assert back.metrics == age.metrics
    assert np.array_equal(back.oof_years, age.oof_years)
    assert len(back.oof_years) == 120
    save_probe(age, tmp_path / "given", "age_model", with_rows=False)
    bare = load_probe(tmp_path / "given", "age_model")
    assert isinstance(bare, TrainedAge)
    assert bare.oof_years.shape == (0, 3)


def test_nothing_is_pickled(saved: Path) -> None:
    for path in saved.iterdir():
        assert b"\x80\x04" not in path.read_bytes()[:2]
        assert path.suffix in (".skops", ".json", ".parquet")
    card = json.loads((saved / "ethnicity_clf.json").read_text())
    assert card["image_ids"] == ids_of(120)
    assert card["provenance"]["kind"] == "human"
    assert card["encoder"] == "e@1"


def test_another_encoder_is_a_clear_error(saved: Path) -> None:
    with pytest.raises(EncoderMismatch, match=r"'e@1' and cannot read those of 'other@2'"):
        load_probe(saved, "ethnicity_clf", encoder_id="other@2")


def test_a_foreign_model_is_refused(saved: Path) -> None:
    forest = dumps(RandomForestClassifier(2).fit(X, Y))
    (saved / "ethnicity_clf.skops").write_bytes(forest)
    with pytest.raises(ProbeError, match="checksum"):
        load_probe(saved, "ethnicity_clf")
    rewrite(saved, files={"ethnicity_clf.skops": hashlib.sha256(forest).hexdigest()})
    with pytest.raises(
        ProbeError, match=r"not a StandardScaler and LogisticRegression|types that a probe does not need"
    ):
        load_probe(saved, "ethnicity_clf")


class Stranger:
    """A type that no probe needs."""


def test_a_type_that_is_not_expected_is_refused_before_it_is_built(saved: Path) -> None:
    data = dumps(Stranger())
    (saved / "ethnicity_clf.skops").write_bytes(data)
    rewrite(saved, files={"ethnicity_clf.skops": hashlib.sha256(data).hexdigest()})
    with pytest.raises(ProbeError, match=r"types that a probe does not need \(.*Stranger"):
        load_probe(saved, "ethnicity_clf")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not really", b"\x80\x04K\x01."])
def test_a_file_that_is_no_skops_is_refused(saved: Path, data: bytes) -> None:
    (saved / "ethnicity_clf.skops").write_bytes(data)
    rewrite(saved, files={"ethnicity_clf.skops": hashlib.sha256(data).hexdigest()})
    with pytest.raises(ProbeError, match=r"ethnicity_clf\.skops: not a skops file"):
        load_probe(saved, "ethnicity_clf")


def test_a_lightgbm_text_that_is_none_is_refused(tmp_path: Path) -> None:
    save_probe(trained("lightgbm"), tmp_path, "ethnicity_clf")
    (tmp_path / "ethnicity_clf.txt").write_bytes(b"tree\n")
    rewrite(tmp_path, files={"ethnicity_clf.txt": hashlib.sha256(b"tree\n").hexdigest()})
    with pytest.raises(ProbeError, match="not a LightGBM model"):
        load_probe(tmp_path, "ethnicity_clf")


def test_json_that_is_wrong(saved: Path) -> None:
    with pytest.raises(ProbeError, match="no such file"):
        load_probe(saved, "gender_clf")
    rewrite(saved, files={"../../etc/x.skops": "0"})
    with pytest.raises(ProbeError, match="as its own"):
        load_probe(saved, "ethnicity_clf")
    rewrite(saved, format="facestats-probe/99")
    with pytest.raises(ProbeError, match="facestats-probe/99"):
        load_probe(saved, "ethnicity_clf")
    for text in ("{}", "[]", "not json", "\x00"):
        (saved / "ethnicity_clf.json").write_text(text)
        with pytest.raises(ProbeError, match="not a stored probe"):
            load_probe(saved, "ethnicity_clf")


def test_classes_that_do_not_fit_the_model(saved: Path) -> None:
    rewrite(saved, classes=["White", "Black"])
    with pytest.raises(ProbeError, match="not trained for the 2 classes"):
        load_probe(saved, "ethnicity_clf")


def test_out_of_fold_rows_of_another_run_are_refused_and_missing_ones_are_none(saved: Path) -> None:
    rewrite(saved, image_ids=ids_of(119))
    with pytest.raises(ProbeError, match="another training run"):
        load_probe(saved, "ethnicity_clf")
    (saved / "ethnicity_clf_oof.parquet").unlink()
    back = load_probe(saved, "ethnicity_clf")
    assert oof_of(back, None).is_empty()
