"""On photos that nothing of a probe was made from, the error among the answered is the one that was aimed at."""

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.attributes import held_out
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.probes import train_age, train_classifier
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline_tests.classes import GENDERS, age_bin_of
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture

FACTS = {"encoder_id": "e@1", "provenance": Provenance("human", "labels.csv"), "kind": "logistic", "folds": 3}


def test_the_target_is_met_on_new_photos() -> None:
    y = [GENDERS[i % 2] for i in range(6000)]
    x = mixture(y, separation=1.4)
    tables = []
    for start in (0, 1000, 2000):
        rows = slice(start, start + 1000)
        probe = train_classifier(
            x[rows], y[rows], BUILT_IN["gender"], image_ids=ids_of(1000), target_error=0.1, **FACTS
        )  # type: ignore[arg-type]
        new = held_out.answers(probe, x[3000 + start : 4000 + start], y[rows])
        tables.append(new.with_columns(pl.col("row") + start))
    figures = held_out.classifier_figures(pl.concat(tables), 0.1, np.arange(3000))
    assert figures["n"] == 3000
    assert 0.2 < figures["coverage"]["value"] < 0.95
    assert figures["target_met"]
    assert figures["answered_error"]["ci_hi"] >= 0.1 * 0.8  # nor was it bought by answering far too seldom
    assert figures["ece"]["value"] <= 0.03
    assert figures["ece_by_chance"] <= 0.03
    strict = held_out.classifier_figures(pl.concat(tables), 0.01, np.arange(3000))
    assert not strict["target_met"]


def test_rows_without_label_or_embedding_are_left_out_and_strange_labels_are_wrong() -> None:
    y = ["White", "Black"] * 100
    x = mixture(y, separation=6)
    probe = train_classifier(x, y, BUILT_IN["ethnicity"], image_ids=ids_of(200), **FACTS)  # type: ignore[arg-type]
    new = x[:4].copy()
    new[3] = np.nan
    table = held_out.answers(probe, new, ["White", None, "Indian", "Black"])
    assert table["row"].to_list() == [0, 2]
    assert table["correct"].to_list() == [True, False]
    four = held_out.rolled_answers(probe, x[:2], ["Middle Eastern", "Black"])
    assert four["correct"].to_list() == [True, True]  # Middle Eastern rolls up to White
    silent = held_out.classifier_figures(table.with_columns(answered=False), 0.05, np.arange(4))
    assert silent["answered_error"] is None


@pytest.mark.parametrize("from_bins", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_years_of_new_photos_lie_in_their_intervals(from_bins: bool) -> None:
    rng = np.random.default_rng(3)
    years = rng.uniform(5, 75, 3000)
    x = np.stack([np.sin(years / 40), np.cos(years / 40)], axis=1) @ rng.normal(size=(2, 32)) + rng.normal(
        size=(3000, 32)
    )
    given: list[float | None] = [None] * 1000 if from_bins else years[:1000].tolist()
    bins = [age_bin_of(v) for v in years]
    age = train_age(x[:1000], given, bins[:1000], image_ids=ids_of(1000), **FACTS)  # type: ignore[arg-type]
    table = held_out.years(age, x[1000:], [None] * 2000 if from_bins else years[1000:].tolist(), bins[1000:])
    figures = held_out.years_figures(table, age.coverage, np.arange(2000))
    assert figures["interval_coverage"]["value"] == pytest.approx(0.9, abs=0.025)
    assert figures["mae"]["ci_lo"] < age.report["mae"]["value"] * 1.1
    assert sum(share["n"] for share in figures["by_bin"].values()) == 2000
