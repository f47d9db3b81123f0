import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facestats_pipeline.core.attractiveness.regressor import (
    AttractivenessRegressor,
    CheckpointError,
    EmbeddingDataset,
    RegressorConfig,
    TrainingRefused,
    TrainingResult,
    predict_scores,
    run_training,
)
from facestats_pipeline.core.attractiveness.regressor_model import make_checkpoint
from facestats_pipeline.core.attractiveness.regressor_training import rating_weights
from facestats_pipeline.core.attributes.probe_store import EncoderMismatch
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture

HUMAN = Provenance("human", "ratings.csv")
QUICK = RegressorConfig(max_epochs=15, patience=4, folds=3, members=2)


def world(n: int, dim: int = 32, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = mixture(["x"] * n, dim=dim, separation=0.5, seed=seed)
    rng = np.random.default_rng(seed + 1)
    return x, 3 + 4 * x[:, 0] - 3 * x[:, 1] + rng.normal(size=n) * noise


def fit(x: np.ndarray, y: np.ndarray, **changes: object) -> TrainingResult:
    options = {"image_ids": ids_of(len(x)), "encoder_id": "e@1", "provenance": HUMAN, "config": QUICK}
    return run_training(x, y, **(options | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> TrainingResult:
    return fit(*world(300))


def test_it_predicts_rows_it_never_saw_and_the_interval_holds(trained: TrainingResult) -> None:
    x, y = world(2300)
    raw, low, high = predict_scores(trained.checkpoint, x[300:], encoder_id="e@1")
    assert raw.dtype == np.float32
    assert np.corrcoef(raw, y[300:])[0, 1] == pytest.approx(trained.metrics["pearson"]["value"], abs=0.06)
    assert trained.metrics["pearson"]["ci_lo"] > 0.6
    assert ((low <= y[300:]) & (y[300:] <= high)).mean() == pytest.approx(0.9, abs=0.04)
    assert trained.metrics["interval"]["coverage"]["value"] == pytest.approx(0.9, abs=0.02)


def test_noise_is_not_learned() -> None:
    x, _ = world(150)
    result = fit(x, np.random.default_rng(9).normal(3, 1, 150))
    assert abs(result.metrics["pearson"]["value"]) < 0.25  # in-sample it would be near 1
    assert any("not clearly better" in w for w in result.metrics["warnings"])


def test_the_network_learns_what_a_line_cannot() -> None:
    x, _ = world(900, dim=16)
    y = 3 + 6 * np.abs(x[:, 0]) + np.random.default_rng(0).normal(size=900) * 0.1
    metrics = fit(x, y, config=RegressorConfig(max_epochs=40, folds=3, members=1)).metrics
    linear = metrics["linear"]["pearson"]["value"]
    for kind in ("mlp", "kernel_ridge"):
        assert metrics["candidates"][kind]["pearson"]["value"] > linear + 0.3, kind
    assert metrics["chosen"] != "ridge"
    assert metrics["pearson"]["value"] > linear + 0.3


def test_same_arguments_same_model(trained: TrainingResult) -> None:
    torch.manual_seed(123)  # whatever state torch is in
    again = fit(*world(300))
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.checkpoint["state_dict"].values(), trained.checkpoint["state_dict"].values(), strict=True)
    )
    assert (again.oof == trained.oof).all()
    before = torch.random.get_rng_state()
    fit(*world(40))
    assert torch.equal(before, torch.random.get_rng_state())


def test_checkpoint_is_tensors_and_plain_values(trained: TrainingResult) -> None:
    buffer = io.BytesIO()
    torch.save(trained.checkpoint, buffer)
    buffer.seek(0)
    back = torch.load(buffer, weights_only=True)
    x, _ = world(20)
    assert all(
        (a == b).all() for a, b in zip(predict_scores(back, x), predict_scores(trained.checkpoint, x), strict=True)
    )
    facts = {k: v for k, v in back.items() if k != "state_dict"}
    json.dumps(facts, allow_nan=False)
    assert facts["format"] == "facestats-attractiveness/1"
    assert facts["provenance"]["kind"] == "human"
    assert facts["image_ids"] == ids_of(300)
    assert facts["encoder_id"] == "e@1"


@pytest.mark.parametrize("kind", ["mlp", "mlp_mean", "ridge", "kernel_ridge"])
def test_a_checkpoint_of_each_kind_predicts_what_the_model_did(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from facestats_pipeline.core.attractiveness import regressor_training as training

    made = {}
    fit_all = training.fit_candidates

    def watched(*arguments: object) -> object:
        models, curves = fit_all(*arguments)  # type: ignore[arg-type]
        made.update(models)
        return models, curves

    monkeypatch.setattr(training, "fit_candidates", watched)
    monkeypatch.setattr(training, "choose", lambda ratings, *_: (kind, ratings[kind]))
    x, y = world(60, dim=8)
    result = fit(x, y, config=RegressorConfig(max_epochs=2, folds=2, members=2))
    assert result.checkpoint["kind"] == result.metrics["chosen"] == kind
    assert set(result.metrics["candidates"]) == {"mlp", "mlp_mean", "ridge", "kernel_ridge"}
    assert result.metrics["pearson"] == result.metrics["candidates"][kind]["pearson"]
    buffer = io.BytesIO()
    torch.save(result.checkpoint, buffer)
    buffer.seek(0)
    with torch.inference_mode():
        expected = made[kind](torch.from_numpy(x.astype(np.float32))).numpy()
    raw = predict_scores(torch.load(buffer, weights_only=True), x)[0]
    np.testing.assert_allclose(raw, expected, atol=1e-4)
    alone = [predict_scores(result.checkpoint, row)[0][0] for row in x]
    assert alone == raw.tolist()  # to the last bit, however many are predicted together


def test_an_unknown_kind_is_refused_and_none_is_a_network(trained: TrainingResult) -> None:
    x, _ = world(2)
    with pytest.raises(CheckpointError, match="its kind of model is 'forest'"):
        predict_scores(trained.checkpoint | {"kind": "forest"}, x)
    network = make_checkpoint(
        AttractivenessRegressor(32),
        RegressorConfig(),
        conformal={"half_width": 1.0},
        encoder_id="e@1",
        rating_scale=[1, 7],
    )
    del network["kind"]
    assert np.isfinite(predict_scores(network, x)[0]).all()


def test_learning_curve_starts_at_the_linear_model(trained: TrainingResult) -> None:
    assert [r["epoch"] for r in trained.curves] == list(range(len(trained.curves)))
    assert set(trained.curves[0]) == {"epoch", "train_loss", "val_loss", "val_pearson"}
    assert trained.curves[0]["val_loss"] < 0.6  # the ratings' variance is 1


@pytest.mark.parametrize(
    ("y", "changes", "message"),
    [
        (np.full(60, 3.0), {}, "all 60 ratings are 3"),
        (np.arange(60.0), {"provenance": None}, "no provenance"),
        (np.arange(60.0), {"provenance": Provenance("model", "scores.parquet")}, "kind 'model'"),
        (np.arange(60.0), {"provenance": Provenance("file_name", "hash")}, "kind 'file_name'"),
        (np.arange(60.0), {"files": [f"{i}.jpg" for i in range(60)]}, "function of the file names"),
        (np.r_[np.arange(29.0), np.full(31, np.nan)], {}, "29 rated photo"),
    ],
)
def test_refusals(y: np.ndarray, changes: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingRefused, match=message):
        fit(mixture(["x"] * 60, dim=8), y, **changes)


def test_rows_without_rating_or_embedding_are_left_out() -> None:
    x, y = world(80)
    x[0, 0], y[1] = np.nan, np.nan
    result = fit(x, y, sd=[None] * 80, n=[3] * 80)
    assert result.image_ids == tuple(ids_of(80)[2:])
    raw, low, high = predict_scores(result.checkpoint, x[:3])
    assert np.isnan([raw[0], low[0], high[0]]).all()
    assert np.isfinite(raw[1:]).all()


def test_noisy_ratings_weigh_less_and_missing_figures_are_typical() -> None:
    y = np.random.default_rng(0).normal(3, 1, 100)
    n = np.r_[np.full(50, 2.0), np.full(50, 200.0)]
    weight, noise = rating_weights(y, np.full(100, 1.5), n)
    assert weight[:50].max() < 0.5 * weight[50:].min()
    assert weight.mean() == pytest.approx(1)
    assert noise == pytest.approx(1.5**2 * (1 / 2 + 1 / 200) / 2, rel=0.01)
    assert rating_weights(y, None, n)[0].tolist() == [1.0] * 100
    assert rating_weights(y, np.full(100, 1.5), None)[1] is None
    even, _ = rating_weights(y, np.full(100, np.nan), n)
    assert even.tolist() == [1.0] * 100


def test_weights_help_when_some_ratings_are_noise() -> None:
    x, y = world(400, noise=0.05)
    rng = np.random.default_rng(3)
    n = np.where(np.arange(400) % 2, 1.0, 400.0)
    noisy = y + rng.normal(size=400) * 3.0 / np.sqrt(n)
    new, truth = world(1200, noise=0.0)[0][400:], world(1200, noise=0.0)[1][400:]
    errors = []
    for given in (n, None):
        result = fit(x, noisy, sd=np.full(400, 3.0) if given is not None else None, n=given)
        errors.append(np.abs(predict_scores(result.checkpoint, new)[0] - truth).mean())
    assert errors[0] < errors[1]


def test_a_published_split_is_trained_and_measured_as_it_is() -> None:
    x, y = world(200)
    fold = np.where(np.arange(200) < 120, -1, 0)
    result = fit(x, y, fold_of=fold)
    assert np.isnan(result.oof[:120]).all()
    assert np.isfinite(result.oof[120:]).all()
    assert (result.metrics["folds"], result.metrics["n"], result.metrics["measured"]) == (1, 200, 80)
    coverage = result.metrics["interval"]["coverage"]  # of each half of the test rows, by the errors of the other half
    assert coverage["n"] == 80 and coverage["ci_lo"] <= 0.9 <= coverage["ci_hi"] and coverage["value"] < 1
    reach = [r for r in result.checkpoint["oof"]["reach"] if r is not None]
    assert len(reach) == 80 and len(set(reach)) == 2


def test_coverage_and_error_are_reported_for_each_group() -> None:
    x, y = world(600)
    noisy = np.arange(600) % 3 == 0  # a third of the photos is rated at random: the interval is too narrow for them
    y = y + noisy * np.random.default_rng(5).normal(size=600) * 3
    gender = ["Female" if one else "Male" for one in noisy]
    age = [None if i % 2 else ("20-29" if i < 590 else "70+") for i in range(600)]
    metrics = fit(x, y, kinds={"gender": gender, "age_bin": age}).metrics
    assert metrics["interval"]["coverage"]["value"] == pytest.approx(0.9, abs=0.02)
    women, men = metrics["by_group"]["gender"]["Female"], metrics["by_group"]["gender"]["Male"]
    assert (women["n"], men["n"]) == (200, 400)
    assert women["coverage"]["ci_hi"] < 0.9 < men["coverage"]["ci_lo"]
    assert women["mae"]["value"] > 2 * men["mae"]["value"] > 4 * women["mae"]["se"]
    overall = (200 * women["coverage"]["value"] + 400 * men["coverage"]["value"]) / 600
    assert overall == pytest.approx(metrics["interval"]["coverage"]["value"])
    assert metrics["by_group"]["age_bin"] == {"20-29": metrics["by_group"]["age_bin"]["20-29"], "70+": {"n": 5}}
    json.dumps(metrics, allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_is_within_two_points_of_nominal_on_photos_never_used(coverage: float) -> None:
    for seed in range(3):
        x, y = world(3200, seed=seed)
        config = RegressorConfig(max_epochs=8, patience=3, coverage=coverage)
        result = fit(x[:1200], y[:1200], config=config, seed=seed)
        _, low, high = predict_scores(result.checkpoint, x[1200:])
        assert ((low <= y[1200:]) & (y[1200:] <= high)).mean() == pytest.approx(
            coverage, abs=0.03
        )  # 2 points and 2,000 photos
        assert result.metrics["interval"]["coverage"]["value"] == pytest.approx(coverage, abs=0.02)


def test_groups_share_a_fold() -> None:
    x, y = world(60)
    result = fit(np.repeat(x, 2, axis=0), np.repeat(y, 2), groups=[f"p{i // 2}" for i in range(120)])
    assert result.oof[::2] == pytest.approx(result.oof[1::2], abs=1e-5)  # twins are predicted by the same fold's model


def test_other_encoders_and_broken_checkpoints_are_refused(trained: TrainingResult) -> None:
    x, _ = world(2)
    with pytest.raises(EncoderMismatch, match="'e@1' and cannot read those of 'e@2'"):
        predict_scores(trained.checkpoint, x, encoder_id="e@2")
    with pytest.raises(CheckpointError, match="format"):
        predict_scores({"format": "other"}, x)
    for part in ("state_dict", "config", "conformal", "dim", "encoder_id"):
        with pytest.raises(CheckpointError, match="missing or changed"):
            predict_scores({k: v for k, v in trained.checkpoint.items() if k != part}, x)
    bad = dict(trained.checkpoint)
    bad["state_dict"] = {k: torch.full_like(v, float("nan")) for k, v in bad["state_dict"].items()}
    with pytest.raises(CheckpointError, match="not finite"):
        predict_scores(bad, x)


def test_bounds_stay_on_the_scale() -> None:
    x, y = world(100)
    result = fit(x, y, rating_scale=(2.5, 3.5))
    raw, low, high = predict_scores(result.checkpoint, x * 3)
    assert (low <= raw).all()
    assert (raw <= high).all()
    assert low[raw > 2.5].min() >= 2.5
    assert high[raw < 3.5].max() <= 3.5


def test_without_a_known_scale_an_interval_may_go_beyond_what_was_seen() -> None:
    x, y = world(100)
    raw, low, high = predict_scores(fit(x, y).checkpoint, x)
    assert low[np.argmin(raw)] < y.min() and high[np.argmax(raw)] > y.max()
    assert np.ptp(high - low) < 1e-4


def test_dataset_and_module_shapes() -> None:
    data = EmbeddingDataset(np.zeros((3, 8)), [1, 2, 3])
    assert len(data) == 3
    assert [tuple(t.shape) for t in data[1]] == [(8,), (), ()]
    assert AttractivenessRegressor(8)(data.x).shape == (3,)
    with pytest.raises(ValueError, match="2 targets"):
        EmbeddingDataset(np.zeros((3, 8)), [1, 2])


def test_london_has_enough_ratings(shared_data: Path) -> None:
    from facestats_pipeline.core.labels.ratings import read_ratings

    ratings = read_ratings(shared_data / "london" / "labels.csv")
    frame = ratings.frame
    x = mixture(["x"] * frame.height, dim=64)
    result = fit(
        x,
        frame["rating"].to_numpy(),
        sd=frame["sd"].to_numpy(),
        n=frame["n"].to_numpy(),
        provenance=ratings.provenance,
        files=frame["file"].to_list(),
        rating_scale=(1, 7),
    )
    assert result.metrics["n"] == 102
    assert result.metrics["noise_ceiling_pearson"] > 0.99
    assert abs(result.metrics["pearson"]["value"]) < 0.4  # these embeddings are noise
