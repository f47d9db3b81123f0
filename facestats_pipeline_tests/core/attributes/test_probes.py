import json

import numpy as np
import pytest

from facestats_pipeline.core.attributes import probe_classifier
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.duplicate_groups import duplicate_groups
from facestats_pipeline.core.attributes.probes import (
    TrainedProbe,
    TrainingRefused,
    oof_frame,
    oof_of,
    train_age,
    train_classifier,
)
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline_tests.classes import AGE_BINS, AGE_EDGES, ETHNICITIES, UNKNOWN, age_bin_of
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, labels, mixture

HUMAN = Provenance("human", "labels.csv")


def train(x: np.ndarray, y: list[str] | list[str | None], **changes: object) -> TrainedProbe:
    """By three folds, which take half as long as the default five."""
    options = {
        "folds": 3,
        "attribute": BUILT_IN["gender"],
        "image_ids": ids_of(len(x)),
        "encoder_id": "e@1",
        "provenance": HUMAN,
        "kind": "logistic",
    }
    return train_classifier(x, y, **(options | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, list[str]]:
    y = labels(4000, {"Female": 0.7, "Male": 0.3})
    return mixture(y, separation=1.2), y


@pytest.fixture(scope="module")
def gender(world: tuple[np.ndarray, list[str]]) -> TrainedProbe:
    return train(world[0][:1500], world[1][:1500], folds=5)


def test_probabilities_hold_on_rows_it_never_saw(gender: TrainedProbe, world: tuple[np.ndarray, list[str]]) -> None:
    x, y = world[0][1500:], np.array(world[1][1500:])
    p = gender.predict_proba(x)
    top, ok = p.max(axis=1), np.array(gender.classes)[p.argmax(axis=1)] == y
    assert p.sum(axis=1) == pytest.approx(1)
    assert probe_classifier.cal.expected_calibration_error(top, ok) <= 0.03
    assert p[:, 1].mean() == pytest.approx(
        (y == "Male").mean(), abs=0.03
    )  # balanced in the fit, true frequencies after it
    answered = top >= gender.threshold
    low, high = probe_classifier.cal.wilson((~ok[answered]).sum(), answered.sum())
    assert answered.mean() > 0.1
    assert low <= gender.target_error  # not above the target, as far as these rows can tell
    assert high >= gender.target_error / 2  # nor so far below it that it could have answered far more


def test_report_agrees_with_new_rows_and_is_json(gender: TrainedProbe, world: tuple[np.ndarray, list[str]]) -> None:
    report = json.loads(json.dumps(gender.report, allow_nan=False))
    p = gender.predict_proba(world[0][1500:])
    accuracy = (np.array(gender.classes)[p.argmax(axis=1)] == np.array(world[1][1500:])).mean()
    assert report["accuracy"]["ci_lo"] - 0.02 <= accuracy <= report["accuracy"]["ci_hi"] + 0.02
    assert report["accuracy"]["ci_lo"] > report["majority_share"]
    assert report["n"] == report["accuracy"]["n"] == 1500
    assert sum(map(sum, report["confusion"]["counts"])) == 1500
    assert all(isinstance(v, int | float | str) for v in gender.metrics.values())


def test_labels_of_noise_are_not_learned() -> None:
    y = labels(600, {"Female": 0.5, "Male": 0.5})
    probe = train(mixture(["x"] * 600), y)
    assert abs(probe.report["accuracy"]["value"] - 0.5) < 0.07  # in-sample it would be near 0.8
    assert probe.report["coverage"]["value"] < 0.05
    assert any("not clearly better" in w for w in probe.report["warnings"])


def test_out_of_fold_means_that_a_row_does_not_shape_its_own_prediction(world: tuple[np.ndarray, list[str]]) -> None:
    x, y = world[0][:200], list(world[1][:200])
    before = train(x, y)
    flipped = list(y)
    flipped[7] = "Male" if y[7] == "Female" else "Female"
    folds = before.oof_fold
    after = train(x, flipped)
    if (after.oof_fold == folds).all():  # same folds: its own probability moves only through the shared calibration
        assert after.oof_proba[7] == pytest.approx(before.oof_proba[7], abs=0.05)
    assert oof_frame(before)["image_id"].to_list() == ids_of(200)


def test_the_same_arguments_give_the_same_probe(world: tuple[np.ndarray, list[str]]) -> None:
    a, b = (train(world[0][:300], world[1][:300]) for _ in range(2))
    assert (a.oof_proba == b.oof_proba).all()
    assert (a.predict_proba(world[0]) == b.predict_proba(world[0])).all()


def test_unlabelled_unknown_and_unembedded_rows_are_left_out(world: tuple[np.ndarray, list[str]]) -> None:
    x, y = world[0][:300].copy(), list(world[1][:300])
    y[0], y[1] = None, UNKNOWN  # type: ignore[call-overload]
    x[2, 5] = np.nan
    probe = train(x, y)
    assert probe.image_ids == tuple(ids_of(300)[3:])
    assert UNKNOWN not in probe.classes
    assert any("no embedding" in w for w in probe.report["warnings"])
    assert np.isnan(probe.predict_proba(x)[2]).all()


def test_small_classes_are_dropped_and_said() -> None:
    y = ["White"] * 60 + ["Black"] * 60 + ["Indian"] * 4
    probe = train_classifier(
        mixture(y),
        y,
        BUILT_IN["ethnicity"],
        image_ids=ids_of(124),
        encoder_id="e",
        provenance=HUMAN,
        kind="logistic",
    )
    assert probe.classes == ("White", "Black")
    assert probe.report["dropped_classes"] == {"Indian": 4}
    assert len(probe.image_ids) == 120
    assert probe.rollup is not None
    assert probe.rollup.classes == ("White", "Black")


def test_refusals() -> None:
    y = ["Female"] * 50 + ["Male"] * 4
    x = mixture(y)
    with pytest.raises(TrainingRefused, match="too few of: 4 Male"):
        train(x, y)
    with pytest.raises(TrainingRefused, match="provenance"):
        train(x, y, provenance=None)
    with pytest.raises(TrainingRefused, match="kind 'model'"):
        train(x, y, provenance=Provenance("model", "attributes.parquet"))
    with pytest.raises(TrainingRefused):
        train(x[:0], [])
    ten = ["Female"] * 50 + ["Male"] * 10
    with pytest.raises(TrainingRefused, match="too few of: 1 Male"):  # ten photos of one man are one example
        train(mixture(ten), ten, groups=[None] * 50 + ["him"] * 10)


def test_arguments_that_do_not_fit() -> None:
    y = ["Female", "Male"] * 20
    x = mixture(y)
    with pytest.raises(ValueError, match="listed twice"):
        train(x, y, image_ids=["a"] * 40)
    with pytest.raises(ValueError, match="outside the vocabulary"):
        train(x, ["Feline", *y[1:]])
    with pytest.raises(ValueError, match="no kind of probe"):
        train(x, y, kind="forest")


def test_auto_compares_both_and_keeps_the_better(world: tuple[np.ndarray, list[str]]) -> None:
    x, y = world[0][:600], world[1][:600]
    linear = train(x, y, kind="auto")
    assert linear.report["chosen"] == "logistic"
    assert set(linear.report["candidates"]) == {"logistic", "lightgbm"}
    middle = np.abs(x[:, :6]).max(axis=1)  # no line separates the far from the near, a tree does
    probe = train(x, ["Male" if v > np.median(middle) else "Female" for v in middle], kind="auto")
    assert probe.report["chosen"] == probe.model.kind == "lightgbm"
    assert probe.report["accuracy"]["ci_lo"] > 0.55


def test_a_slow_lightgbm_is_given_up(world: tuple[np.ndarray, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_classifier, "LIGHTGBM_LIMIT_S", 0.0)
    probe = train(world[0][:600], world[1][:600], kind="auto")
    assert probe.report["chosen"] == "logistic"
    assert probe.report["candidates"]["lightgbm"] == {"not_compared": "it needs more than 0 s of processor time here"}
    assert any("was not compared" in w for w in probe.report["warnings"])


def test_folds_keep_groups_together(world: tuple[np.ndarray, list[str]]) -> None:
    y = [v for v in world[1][:100] for _ in range(3)]
    x = np.repeat(world[0][:100], 3, axis=0)
    probe = train(x, y, groups=[f"g{i // 3}" for i in range(300)])
    assert (probe.oof_fold.reshape(100, 3) == probe.oof_fold.reshape(100, 3)[:, :1]).all()
    assert probe.report["groups"] == 100


def test_ethnicity_rolls_up_with_a_threshold_of_its_own() -> None:
    y = labels(900, dict(zip(ETHNICITIES, (0.2, 0.15, 0.15, 0.15, 0.15, 0.1, 0.1), strict=True)))
    merged = ["Asian" if "Asian" in v else v for v in y]  # the two Asian classes cannot be told apart
    probe = train_classifier(
        mixture(merged, separation=4),
        y,
        BUILT_IN["ethnicity"],
        image_ids=ids_of(900),
        encoder_id="e",
        provenance=HUMAN,
        kind="logistic",
        target_error=0.05,
    )
    four = probe.report["rollup4"]
    assert four["accuracy"]["value"] > 0.95 > probe.report["accuracy"]["value"]
    assert four["coverage"]["value"] > probe.report["coverage"]["value"] + 0.1
    assert four["ece"] <= 0.03


@pytest.fixture(scope="module")
def ages() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(77)
    years = rng.uniform(1, 85, size=8000)
    direction = rng.normal(size=(2, 64))
    x = np.stack([np.sin(years / 40), np.cos(years / 40)], axis=1) @ direction + rng.normal(size=(8000, 64)) * 0.6
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), years


@pytest.mark.slow
def test_age_in_years_covers_what_it_promises(ages: tuple[np.ndarray, np.ndarray]) -> None:
    x, years = ages
    held = slice(3000, 8000)
    inside = []
    for start in (0, 1000, 2000):
        rows = slice(start, start + 1000)
        age = train_age(
            x[rows],
            years[rows].tolist(),
            [None] * 1000,
            image_ids=ids_of(1000),
            encoder_id="e",
            provenance=HUMAN,
            kind="logistic",
        )
        predicted, low, high = age.predict_years(x[held], age.probe.predict_proba(x[held]))
        inside.append(((low <= years[held]) & (years[held] <= high)).mean())
    assert np.mean(inside) == pytest.approx(0.9, abs=0.02)
    report = json.loads(json.dumps(age.report, allow_nan=False))
    assert report["interval"]["coverage"]["value"] == pytest.approx(0.9, abs=0.02)
    assert report["basis"] == "years"
    error = np.abs(predicted - years[held]).mean()
    assert error == pytest.approx(report["mae"]["value"], rel=0.1)
    assert error < 0.6 * np.abs(years - years.mean()).mean()
    assert (low <= predicted).all()
    assert (predicted <= high).all()
    assert (low >= 0).all()


def test_age_from_bins_alone(ages: tuple[np.ndarray, np.ndarray]) -> None:
    x, years = ages[0][:900], ages[1][:900]
    names = [AGE_BINS[next(i for i, (_, end) in enumerate(AGE_EDGES) if y < end)] for y in years]
    age = train_age(x, None, names, image_ids=ids_of(900), encoder_id="e", provenance=HUMAN, kind="logistic")
    assert age.report["basis"].startswith("bins")
    new, truth = ages[0][900:], ages[1][900:]
    predicted, low, high = age.predict_years(new, age.probe.predict_proba(new))
    assert np.corrcoef(predicted, truth)[0, 1] > 0.7
    assert (
        (low <= truth) & (truth <= high)
    ).mean() >= 0.89  # an age drawn within its bin is harder to hit than the true one
    assert oof_of(None, age, None).height == 900
    unseen = age.predict_years(np.full((1, 64), np.nan), np.full((1, len(age.probe.classes)), np.nan))
    assert np.isnan(unseen).all()


def test_copies_of_a_photo_share_a_fold_and_the_report_says_so(world: tuple[np.ndarray, list[str]]) -> None:
    x, y = np.repeat(world[0][:150], 2, axis=0), [v for v in world[1][:150] for _ in range(2)]
    alike = duplicate_groups(ids_of(300), x=x)
    leaky, honest = train(x, y), train(x, y, duplicates=alike)
    assert (honest.oof_fold[::2] == honest.oof_fold[1::2]).all()
    found = honest.report["duplicates"]
    assert (found["pairs"], found["photos"], found["pairs_across_folds"]) == (150, 300, 0)
    assert found["pairs_across_folds_without_grouping"] == (leaky.oof_fold[::2] != leaky.oof_fold[1::2]).sum() > 80
    assert honest.report["groups"] == 150
    assert leaky.report["accuracy"]["value"] > honest.report["accuracy"]["value"]  # what leakage would have promised
    with pytest.raises(ValueError, match="the groups to them"):
        train(x, y, duplicates=alike, groups=[None] * 300)
    with pytest.raises(ValueError, match="of the same 298 rows"):
        train(x[:298], y[:298], duplicates=alike)


def test_both_candidates_are_reported_with_intervals(world: tuple[np.ndarray, list[str]]) -> None:
    report = train(world[0][:300], world[1][:300], kind="auto").report
    assert set(report["candidates"]) == {"logistic", "lightgbm"}
    for figures in report["candidates"].values():
        for name in ("accuracy", "balanced_accuracy", "log_loss", "ece"):
            assert figures[name]["ci_lo"] < figures[name]["value"] < figures[name]["ci_hi"], name
    best = min(report["candidates"], key=lambda name: report["candidates"][name]["log_loss"]["value"])
    assert report["chosen"] == best
    less = report["candidates"]["lightgbm"]["log_loss_less_that_of_logistic"]
    assert less["ci_lo"] < less["value"] < less["ci_hi"]
    assert (less["value"] > 0) == (best == "logistic")
    assert 0 < report["ece_by_chance"] < 0.1
    few = train(world[0][:60], world[1][:60], kind="auto").report
    assert few["candidates"]["lightgbm"] == {"not_compared": "60 labelled photos, fewer than 100"}


def test_years_of_the_rows_it_learned_from_are_out_of_fold(ages: tuple[np.ndarray, np.ndarray]) -> None:
    x, years = ages[0][:400], ages[1][:400]
    given = [None if i < 20 else v for i, v in enumerate(years.tolist())]
    bins = [age_bin_of(v) for v in years]
    age = train_age(x, given, bins, image_ids=ids_of(400), encoder_id="e", provenance=HUMAN, kind="logistic")
    middle, low, high = age.oof_years.T
    inside = (low <= years) & (years <= high)
    assert inside[20:].mean() == pytest.approx(age.report["interval"]["coverage"]["value"], abs=1e-9)
    assert inside.mean() == pytest.approx(0.9, abs=0.05)
    fitted = age.predict_years(x, age.probe.predict_proba(x))[0]
    assert np.abs(fitted - years).mean() < np.abs(middle - years).mean() * 0.95  # in-sample years flatter the model
    assert age.report["intervals"]["mae"]["value"] == pytest.approx(age.report["mae"]["value"])
    shares = age.report["interval"]
    for by in ("by_bin", "by_predicted_bin"):
        assert sum(share["n"] for share in shares[by].values()) == 380
