"""Published splits: who is trained on and tested is what the list says, and figures are those of exactly these photos."""

import json

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.attractiveness.published_splits import split_figures
from facestats_pipeline.core.attractiveness.regressor import Provenance, RegressorConfig, TrainingRefused, run_training
from facestats_pipeline.core.labels.splits import TRAIN
from facestats_pipeline.core.training.training_rows import TrainingRows
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture

OPTIONS = {
    "provenance": Provenance("human", "ratings.csv"),
    "seed": 0,
    "config": RegressorConfig(max_epochs=6, patience=2),
    "rating_scale": (0.0, 6.0),
}
N = 200


def rated() -> TrainingRows:
    x = mixture(["x"] * N, dim=16, separation=0.5)
    y = 3 + 4 * x[:, 0] + np.random.default_rng(1).normal(size=N) * 0.2
    table = pl.DataFrame({"image_id": ids_of(N), "filename": [f"in/{i}.jpg" for i in range(N)], "rating": y})
    return TrainingRows(x, table.with_columns(sd=pl.lit(None, pl.Float32), n=pl.lit(None, pl.Int32)), "e@1")


def listed(split: str, folds: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"file": [f"{i}.jpg" for i in range(len(folds))], "split": split, "fold": folds})


def test_figures_are_of_the_photos_that_a_split_tests() -> None:
    rows = rated()
    sixty = [TRAIN if i % 5 < 3 else "test" for i in range(N)]
    splits = pl.concat([listed("60_40", sixty), listed("five", [str(i % 5) for i in range(N)])])
    filenames = rows.table["filename"].to_list()
    figures = split_figures(rows, splits, filenames, OPTIONS)
    assert list(figures) == ["60_40", "five"]
    one, five = figures["60_40"], figures["five"]
    assert (one["listed"], one["trained_only"], one["n"], one["measured"], one["folds"]) == (200, 120, 200, 80, 1)
    assert (five["measured"], five["folds"], five["trained_only"]) == (200, 5, 0)
    by_hand = run_training(
        rows.x,
        rows.table["rating"].to_numpy(),
        image_ids=rows.image_ids,
        encoder_id="e@1",
        fold_of=[-1 if fold == TRAIN else 0 for fold in sixty],
        **OPTIONS,
    )
    tested = np.isfinite(by_hand.oof)
    assert tested.tolist() == [fold != TRAIN for fold in sixty]
    error = by_hand.oof[tested] - by_hand.oof_target[tested]
    assert one["mae"]["value"] == pytest.approx(np.abs(error).mean())
    assert one["rmse"]["value"] == pytest.approx(np.sqrt((error**2).mean()))
    assert one["pearson"]["value"] == pytest.approx(np.corrcoef(by_hand.oof[tested], by_hand.oof_target[tested])[0, 1])
    assert five["over_folds"]["pearson"]["mean"] > 0.8
    json.dumps(figures, allow_nan=False)


def test_what_is_learned_does_not_depend_on_the_ratings_of_test_photos() -> None:
    rows = rated()
    splits = listed("60_40", [TRAIN if i % 5 < 3 else "test" for i in range(N)])
    filenames = rows.table["filename"].to_list()
    plain = split_figures(rows, splits, filenames, OPTIONS)["60_40"]
    tested = np.arange(N) % 5 >= 3
    shifted = rows.table.with_columns(rating=pl.col("rating") + pl.Series(tested.astype(float)))
    moved = split_figures(TrainingRows(rows.x, shifted, "e@1"), splits, filenames, OPTIONS)["60_40"]
    assert moved["pearson"]["value"] == pytest.approx(plain["pearson"]["value"], abs=1e-9)
    assert moved["mae"]["value"] == pytest.approx(1, abs=0.1)


def test_photos_without_a_face_are_counted_and_an_untestable_split_is_refused() -> None:
    rows = rated()
    filenames = rows.table["filename"].to_list()
    folds = [TRAIN if i % 5 < 3 else "test" for i in range(N + 20)]
    found = split_figures(rows, listed("x", folds), filenames, OPTIONS)["x"]
    assert (found["listed"], found["n"]) == (220, 200)
    nobody = listed("y", [TRAIN] * N + ["test"] * 20)
    with pytest.raises(TrainingRefused, match="'y' tests"):
        split_figures(rows, nobody, filenames, OPTIONS)
