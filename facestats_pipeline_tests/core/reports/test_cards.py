"""Cards: the header is Hugging Face's, the figures are the run's, and nobody's photo is named."""

import polars as pl
import pytest
from huggingface_hub import DatasetCard, ModelCard

from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline.core.reports.bias import Audit, bias_audit
from facestats_pipeline.core.reports.card_inputs import CardInput, licence_fields, photo_inputs
from facestats_pipeline.core.reports.card_text import cell, licence_id, table
from facestats_pipeline.core.reports.cards import data_card, model_card

N = 40
INPUTS = [
    CardInput("photos", "Studio A", "CC BY 4.0", "30 photos, consent: research"),
    CardInput("labels", "labels.csv", "CC BY 4.0", "given by people, sha256 0123456789ab"),
    CardInput("encoder", "facestats-mini@abc", "CC BY 4.0 (trained on FairFace)", "shipped with FaceStats"),
]
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
    return manifest, conform(master, master_table().schema)


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
    text = model_card(REPORT, name="Gender", inputs=INPUTS)
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
    card = ModelCard(model_card(REPORT, name="Gender", inputs=INPUTS))
    assert (card.data.license, card.data.library_name, card.data.model_name) == ("cc-by-4.0", "facestats", "Gender")
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert (results["accuracy"], results["mae"]) == (0.9511, 4.0)
    assert not [name for name in results if ":" in name or " " in name]


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
    known = ([], ["CC BY 4.0"], ["Apache-2.0"], ["a", "b"], ["public domain"], ["ask me"])
    assert [licence_id(x) for x in known] == ["unknown", "cc-by-4.0", "apache-2.0", "other", "other", "other"]


def test_a_card_is_no_freer_than_its_inputs() -> None:
    assert licence_fields(INPUTS) == {"license": "cc-by-4.0"}
    assert licence_fields([]) == licence_fields([CardInput("labels", "labels.csv")]) == {"license": "unknown"}
    narrow = CardInput("ratings", "ratings.csv", "non-commercial research only")
    assert licence_fields([narrow]) == {"license": "other", "license_name": "non-commercial research only"}
    assert licence_fields([*INPUTS, narrow])["license_name"] == "CC BY 4.0; non-commercial research only"
    silent = licence_fields([*INPUTS, CardInput("labels", "labels.csv")])
    assert silent == {"license": "other", "license_name": "CC BY 4.0; inputs without a stated licence"}
    card = ModelCard(model_card(REPORT, name="Gender", inputs=[*INPUTS, narrow]))
    assert (card.data.license, card.data.license_name) == ("other", "CC BY 4.0; non-commercial research only")


def test_every_input_is_listed_with_licence_and_origin() -> None:
    manifest, master = tables()
    for text in (data_card(manifest, master, inputs=INPUTS), model_card(REPORT, name="Gender", inputs=INPUTS)):
        assert "## Inputs" in text
        assert "| labels | labels.csv | CC BY 4.0 | given by people, sha256 0123456789ab |" in text
        assert "| encoder | facestats-mini@abc | CC BY 4.0 (trained on FairFace) | shipped with FaceStats |" in text
    assert "## Inputs" not in data_card(manifest, master)


@pytest.mark.parametrize("lazy", [False, True])
def test_photos_are_counted_by_where_they_come_from(lazy: bool) -> None:
    manifest, _ = tables()
    found = photo_inputs(manifest.lazy() if lazy else manifest)
    assert found == [
        CardInput("photos", "Studio A", "CC BY 4.0", "30 photos, consent: research"),
        CardInput("photos", "not stated", "CC BY 4.0", "10 photos, consent: not stated"),
    ]
    few = photo_inputs(manifest, ["c0ffee000", "c0ffee001", "c0ffee039"])
    assert [each.origin.split()[0] for each in few] == ["2", "1"]
    many = pl.concat([manifest.head(40).with_columns(source=pl.format("s{}", pl.int_range(40)))])
    assert len(photo_inputs(many)) == 21
    assert photo_inputs(many)[-1] == CardInput("photos", "20 more sources", "CC BY 4.0", "20 photos")


def test_groups_of_a_regressor_are_listed_with_their_coverage() -> None:
    mean = {"value": 0.4, "se": 0.05}
    women = {"n": 60, "coverage": {"value": 0.9, "ci_lo": 0.8, "ci_hi": 0.95, "n": 60}, "mae": mean, "mean_error": mean}
    report = {"n": 65, "by_group": {"gender": {"Female": women, "Male": {"n": 5}}}, "mae": {"value": 0.4, "se": 0.05}}
    report |= {
        "over_folds": {"pearson": {"mean": 0.6, "sd": 0.1}},
        "interval": {"nominal": 0.9, "coverage": women["coverage"]},
        "chosen": "kernel_ridge",
        "candidates": {"kernel_ridge": {"pearson": {"value": 0.7, "ci_lo": 0.6, "ci_hi": 0.8}}, "mlp": {}},
    }
    text = model_card(report, name="Score", kind="regression")
    assert "| Method | kernel_ridge |" in text
    assert "| kernel ridge | 0.7 (0.6 to 0.8) | – | – |" in text
    assert "| mlp | – | – | – |" in text
    assert "| gender | Female | 60 | 0.9 (0.8 to 0.95) | 0.4 (0.302 to 0.498) | 0.4 (0.302 to 0.498) |" in text
    assert "| gender | Male | 5 | – | – | – |" in text
    assert "| Over folds: Pearson's r | 0.6 | standard deviation over folds 0.1 |" in text
    assert "| Interval: share of photos whose truth it holds | 0.9 | 0.8 to 0.95 |" in text
