"""Cards: the header is Hugging Face's, the figures are the run's, and nobody's photo is named."""

import polars as pl
import pytest
from huggingface_hub import DatasetCard, ModelCard

from facestats_pipeline.core.metadata.merge import MASTER_SCHEMA
from facestats_pipeline.core.metadata.table_inputs import conform
from facestats_pipeline.core.reports.bias import Audit, bias_audit
from facestats_pipeline.core.reports.card_text import cell, licence_id, table
from facestats_pipeline.core.reports.cards import data_card, model_card

N = 40
REPORT = {
    "attribute": "gender",
    "classes": ["Female", "Male"],
    "n": 321,
    "folds": 5,
    "encoder": "facestats-mini@abc",
    "provenance": "human labels: labels.csv sha256 0123456789ab",
    "image_ids": ["f00dfeed", "deadbeef"],
    "accuracy": {"value": 0.9511, "ci_lo": 0.93, "ci_hi": 0.968, "n": 321},
    "mae": {"value": 4.0, "se": 0.5},
    "ece": 0.0123,
    "recall": {"Female": {"value": 0.94, "ci_lo": 0.9, "ci_hi": 0.97, "n": 150}},
    "over_folds": {"accuracy": {"mean": 0.95, "sd": 0.01}},
    "interval": {"coverage": {"value": 0.9, "ci_lo": 0.85, "ci_hi": 0.93, "n": 321}, "by_bin": {}},
    "reliability": [{"lo": 0.5, "hi": 0.6, "n": 3, "file": "secret.jpg"}],
    "candidates": {"lightgbm": {"ece": 0.7777}},
    "warnings": ["the class 'x' has 3 labels"],
}


def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    manifest = pl.DataFrame(
        {
            "image_id": [f"c0ffee{i:03}" for i in range(N)] + [None],
            "filename": [f"holiday/person_{i}.jpg" for i in range(N)] + ["holiday/broken_person.jpg"],
            "source": ["Studio A"] * 30 + [None] * 11,
            "licence": ["CC BY 4.0"] * 41,
            "consent": ["research"] * 30 + [None] * 11,
            "bytes": [100_000] * 41,
            "format": ["JPEG"] * 40 + [None],
            "status": ["ok"] * 40 + ["corrupt"],
        }
    )
    master = (
        manifest.head(N)
        .select("image_id", "filename")
        .with_columns(
            gender_final=pl.lit("Female"),
            gender_final_source=pl.lit("manual"),
            ethnicity_final=pl.lit("unknown"),
            age_bin_final=pl.lit("20-29"),
            flagged=pl.int_range(N) < 4,
            reasons=pl.when(pl.int_range(N) < 4).then(pl.lit(["dark"])).otherwise(pl.lit([], dtype=pl.List(pl.String))),
            model_id=pl.lit("facestats-mini@abc"),
        )
    )
    return manifest, conform(master, MASTER_SCHEMA)


@pytest.mark.parametrize("lazy", [False, True])
def test_data_card_counts_what_is_there(lazy: bool) -> None:
    manifest, master = tables()
    text = data_card(manifest.lazy(), master.lazy()) if lazy else data_card(manifest, master, name="Holiday")
    assert "| corrupt | 1 |" in text and "| ok | 40 |" in text
    assert "| Studio A | CC BY 4.0 | research | 30 |" in text
    assert "| not stated | CC BY 4.0 | not stated | 10 |" in text
    assert "For 10 of 40 photos licence or consent is not stated" in text
    assert "| Female | 40 | 100.0% |" in text and "| unknown | 40 | 100.0% |" in text
    assert "Said by: manual 40." in text
    assert "4 of 40 photos are flagged (10.0%)" in text
    assert "facestats-mini@abc" in text
    for word in ("No identification", "Consent", "Erasure", "raw folder"):
        assert word in text


def test_data_card_header_is_read_by_hugging_face() -> None:
    manifest, master = tables()
    header = DatasetCard(data_card(manifest, master, name="Holiday")).data
    assert (header.license, header.pretty_name, header.size_categories) == ("cc-by-4.0", "Holiday", ["n<1K"])


def test_an_empty_collection_has_a_card_too() -> None:
    manifest, master = tables()
    text = data_card(manifest.head(0), master.head(0))
    assert "0 photos" in text and DatasetCard(text).data.size_categories == ["n<1K"]


def test_no_photo_is_named_in_any_card() -> None:
    manifest, master = tables()
    text = data_card(manifest, master) + model_card(REPORT, name="Gender")
    for word in ("c0ffee", "person_", ".jpg", "f00dfeed", "deadbeef", "secret"):
        assert word not in text


def test_model_card_shows_figures_with_their_intervals() -> None:
    text = model_card(REPORT, name="Gender", licence="CC BY 4.0")
    assert "| Accuracy | 0.951 | 0.93 to 0.968 |" in text
    assert "| Mean absolute error | 4 | 3.02 to 4.98 |" in text
    assert "| Expected calibration error | 0.0123 |" in text
    assert "| Over folds: accuracy | 0.95 | standard deviation over folds 0.01 |" in text
    assert "| Interval: share answered | 0.9 |" not in text or "0.85 to 0.93" in text
    assert "| Female | 150 | 0.94 | 0.9 to 0.97 |" in text
    assert "human labels: labels.csv sha256 0123456789ab" in text
    assert "the class 'x' has 3 labels" in text and "0.778" not in text
    assert "Not audited" in text
    for heading in ("Intended use", "Out of scope", "Responsible use"):
        assert f"## {heading}" in text


def test_model_card_header_is_read_by_hugging_face() -> None:
    card = ModelCard(model_card(REPORT, name="Gender", licence="CC BY 4.0"))
    assert card.data.license == "cc-by-4.0"
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["accuracy"] == 0.9511


def test_model_card_lists_groups_and_leaves_small_ones_without_figures() -> None:
    frame = pl.DataFrame({"gender": ["Female"] * 60 + ["Male"] * 5, "said": ["Female"] * 65})
    bias = bias_audit(frame, [Audit("gender", "said", "gender")], groups=[("gender",)])
    text = model_card(REPORT, name="Gender", bias=bias)
    assert "| Female | 60 | 1 | 0.94 to 1 | – | – |" in text
    assert "| Male | 5 | – | n = 5 is below 30: no figure | – | – |" in text


def test_cells_cannot_break_a_table() -> None:
    assert cell("a|b\nc") == "a\\|b c"
    assert (cell(None), cell(12345), cell(float("nan")), cell(0.12345)) == ("–", "12,345", "–", "0.123")
    assert table(("x", "n"), [("a", 1)]).splitlines()[1] == "| :-- | --: |"


def test_licences_become_identifiers() -> None:
    assert [licence_id(x) for x in ([], ["CC BY 4.0"], ["a", "b"])] == ["unknown", "cc-by-4.0", "other"]
