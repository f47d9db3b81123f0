"""A whole training on a handful of pictures: begun, resumed, exported as an encoder that loads, given its probes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facestats_pipeline.core.attributes.shipped_probes import load_shipped, shipped_scales
from facestats_pipeline.core.encoders.encoder import load_model
from facestats_pipeline.core.mini.encoder_training import (
    EncoderTrainingRefused,
    add_probes,
    chosen_settings,
    export_encoder,
    recorded_settings,
    run_training,
    training_parts,
)
from facestats_pipeline.core.mini.train import Settings
from facestats_pipeline.core.progress import listening
from facestats_pipeline_tests.training_photos import write_parts

QUICK = chosen_settings(
    epochs=1, photos=20, processes=1, sides=((0.0, 32),), warmup=1, text_captions=4, held_out=90, ema=0.5
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_parts(tmp_path_factory.mktemp("parts"), 150)


@pytest.fixture(scope="module")
def finished(
    parts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[tuple[str, int, int | None]]]:
    """Work folder of a run in this process, and what it reported."""
    work = tmp_path_factory.mktemp("work")
    told: list[tuple[str, int, int | None]] = []
    with listening(lambda *each: told.append(each)):
        run_training(QUICK, parts, work, work / "run")
    return work, told


def test_a_run_reports_and_leaves_a_checkpoint_with_its_settings(
    finished: tuple[Path, list[tuple[str, int, int | None]]],
) -> None:
    work, told = finished
    assert ("Training FaceStats-Mini", 3, 3) in told
    assert recorded_settings(work / "run") == QUICK
    assert recorded_settings(work / "another") is None
    assert [path.name for path in work.glob("photos-*/*.npy")]
    assert (work / "run" / "training.txt").stat().st_size > 0


def test_a_finished_run_is_not_trained_again(
    finished: tuple[Path, list[tuple[str, int, int | None]]], parts: list[Path]
) -> None:
    checkpoint = finished[0] / "run" / "checkpoint.pt"
    before = checkpoint.read_bytes()
    run_training(QUICK, parts, finished[0], finished[0] / "run")
    assert checkpoint.read_bytes() == before


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_several_processes_end_in_one_encoder_and_report_too(parts: list[Path], tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    settings = chosen_settings(QUICK, processes=2)
    with listening(lambda *each: told.append(each)):
        run_training(settings, parts, tmp_path, tmp_path / "run")
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == 3
    assert ("Training FaceStats-Mini", 3, 3) in told


def test_what_is_given_goes_before_what_was_begun_and_that_before_the_defaults() -> None:
    assert chosen_settings() == Settings()
    assert chosen_settings(epochs=None, photos=None) == Settings()
    assert (chosen_settings(QUICK, epochs=7.0).epochs, chosen_settings(QUICK, epochs=7.0).photos) == (7.0, 20)


def test_a_folder_without_photos_and_photos_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(EncoderTrainingRefused, match="no Parquet file"):
            training_parts(folder)
    (part,) = write_parts(tmp_path, 4, parts=1)
    import polars as pl

    pl.read_parquet(part).with_columns(race=pl.lit("Martian")).write_parquet(part)
    with pytest.raises(EncoderTrainingRefused, match=r"row 0 "):
        run_training(QUICK, [part], tmp_path / "work", tmp_path / "work" / "run")


def test_a_damaged_record_of_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").touch()
    (tmp_path / "settings.json").write_text('{"epochs": 3}')
    with pytest.raises(EncoderTrainingRefused, match=r"settings\.json"):
        recorded_settings(tmp_path)


def test_the_encoder_loads_knows_words_and_gets_its_probes(
    finished: tuple[Path, list[tuple[str, int, int | None]]], parts: list[Path], tmp_path: Path
) -> None:
    folder = export_encoder(finished[0] / "run", tmp_path)
    encoder = load_model("facestats-mini", models_dir=tmp_path)
    assert (encoder.dim, encoder.trained, encoder.has_text) == (512, True, True)
    assert np.linalg.norm(encoder.encode_text(["an elderly man"])[0]) == pytest.approx(1, abs=1e-3)
    assert 1 < encoder.logit_scale <= 100
    written = add_probes(folder, parts, None)
    assert {path.parent for path in written} == {folder / "probes"}
    models = load_shipped(folder / "probes", encoder.model_id)
    gender = models.classifier("gender")
    assert gender is not None
    assert models.years("age_bin") is not None
    assert gender.report["trained_on"] == 60
    assert gender.report["accuracy"]["value"] > 0.9, "the red tells"
    assert set(shipped_scales(folder / "probes", encoder.model_id)) == {"gender", "ethnicity", "age_bin"}
    assert load_shipped(folder / "probes", "facestats-mini@00000000").classifier("gender") is None
    (folder / "training_settings.json").write_text(json.dumps({}))
    with pytest.raises(EncoderTrainingRefused, match="held out"):
        add_probes(folder, parts, None)
