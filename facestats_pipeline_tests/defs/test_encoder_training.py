"""The asset that trains an encoder: it says why it cannot, never touches the shipped one, and makes one that loads."""

from pathlib import Path

import dagster as dg
import pytest

from facestats_pipeline import config
from facestats_pipeline.core.attributes.shipped_probes import load_shipped
from facestats_pipeline.core.encoders.encoder import load_model
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline_tests.defs.small_settings import settings_in
from facestats_pipeline_tests.training_photos import write_parts

KEY = dg.AssetKey("mini_encoder")


def materialize(data: Path, instance: dg.DagsterInstance, **overrides: object) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(settings_in(data, **overrides))
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=[KEY], raise_on_error=False)


def test_without_photos_it_is_skipped_with_the_setting_to_make(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = materialize(tmp_path, instance)
    assert result.success
    (made,) = result.asset_materializations_for_node("mini_encoder")
    assert "encoder_training.data" in str(made.metadata["skipped"].value)


def test_it_never_replaces_the_shipped_encoder(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    result = materialize(tmp_path / "data", instance, **{"encoder_training.data": tmp_path})
    assert not result.success
    assert "the shipped encoder" in str(result.failure_data_for_node("mini_encoder"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_makes_an_encoder_with_probes_and_a_second_time_the_same(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path / "checkout")
    monkeypatch.setenv("FACESTATS_WEIGHTS_DIR", str(tmp_path))  # without YuNet: no face is in these pictures
    write_parts(tmp_path / "photos", 210)
    wanted = {"data": tmp_path / "photos", "epochs": 1, "photos": 60, "processes": 1, "held_out": 90}
    given = {f"encoder_training.{key}": value for key, value in wanted.items()}
    data, models = tmp_path / "data", tmp_path / "data" / "models"
    made = []
    for seed in (0, 0, 1):
        assert materialize(data, instance, **given, seed=seed).success
        made.append(load_model("facestats-mini", models_dir=models).model_id)
    assert made[0] == made[1] != made[2], "another seed is another run"
    assert load_shipped(models / "facestats-mini" / "probes", made[2]).classifier("gender") is not None
    assert list(data.rglob(".tmp/*")) == []
