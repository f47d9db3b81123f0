"""The shipped deployment files work, not only parse."""

import shutil
from pathlib import Path

import dagster as dg
import yaml

from facestats_pipeline.cli.ui import WORKSPACE
from facestats_pipeline.collection.pipeline import INSTANCE
from facestats_pipeline.config import PROJECT_ROOT


def test_local_instance_runs_a_job(tmp_path: Path) -> None:
    shutil.copyfile(PROJECT_ROOT / "deploy" / "local" / "dagster.yaml", tmp_path / "dagster.yaml")

    @dg.asset
    def one() -> int:
        return 1

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert dg.materialize([one], instance=instance).success
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1


def test_the_ui_opens_the_checkouts_workspace() -> None:
    shipped = (PROJECT_ROOT / "workspace.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(shipped) == yaml.safe_load(WORKSPACE)


def test_a_new_data_folder_begins_with_the_local_instance() -> None:
    shipped = (PROJECT_ROOT / "deploy" / "local" / "dagster.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(shipped) == yaml.safe_load(INSTANCE)
