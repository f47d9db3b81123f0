"""The shipped probes on photos that neither they nor their encoder have seen: calibrated, and wrong as often as they aim at.

The whole set: `python -m facestats_pipeline_tests.benchmarks.report_attributes`.
"""

from pathlib import Path

import numpy as np
import pytest

from facestats_pipeline.config import load_settings
from facestats_pipeline.core.attributes import held_out
from facestats_pipeline.core.attributes.shipped_probes import load_shipped
from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.encoders.encoder import load_model
from facestats_pipeline.core.labels.labels_file import read_labels
from facestats_pipeline.core.preproc.detection import load_detector
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings, run_preprocessing
from facestats_pipeline.io.weights import encoder_folder, shipped_probes

N = 400


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_error_among_the_answered_is_the_one_aimed_at(shared_data: Path, yunet_model: Path, tmp_path: Path) -> None:
    settings = load_settings(environ={}, data_dir=tmp_path)
    encoder = load_model(settings.encoder.name, models_dir=encoder_folder(settings))
    shipped = load_shipped(shipped_probes(settings), encoder.model_id)
    gender, age = shipped.classifier("gender"), shipped.years("age_bin")
    if gender is None or age is None:
        pytest.skip(f"no probes are shipped for {encoder.model_id}")
    photos = shared_data / "fairface_photos"
    labels = read_labels(photos / "labels.csv").frame.gather_every(7).head(N)
    files = [(file, file, photos / file) for file in labels["file"]]
    done = list(run_preprocessing(files, PreprocSettings(), load_detector(yunet_model)))
    found = [i for i, one in enumerate(done) if one.row["status"] == "ok"]
    x = np.full((N, encoder.dim), np.nan, dtype=np.float32)
    x[found] = run_embedding([one.jpeg for one in done if one.jpeg and one.row["status"] == "ok"], encoder)
    assert len(found) > 0.9 * N
    for probe, attribute in ((gender, "gender"), (age.probe, "age_bin")):
        table = held_out.answers(probe, x, labels[attribute].to_list())
        figures = held_out.classifier_figures(table, probe.target_error, np.arange(N))
        assert figures["target_met"], figures
        assert figures["coverage"]["value"] > 0.5
        assert figures["ece"]["value"] - figures["ece_by_chance"] <= 0.03, figures
    years = held_out.years(age, x, [None] * N, labels["age_bin"].to_list())
    interval = held_out.years_figures(years, age.coverage, np.arange(N))["interval_coverage"]
    chance = (age.coverage * (1 - age.coverage) / N) ** 0.5
    assert abs(interval["value"] - age.coverage) <= 3 * chance, interval
