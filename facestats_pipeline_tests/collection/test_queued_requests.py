"""What `bring_up_to_date` requests, through Dagster's daemon into its queue: one run over a range of shards, which the pools hold back."""

import logging
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration

from facestats_pipeline.collection.pipeline import Step
from facestats_pipeline.config import PROJECT_ROOT
from facestats_pipeline.defs.pools import ENCODER_POOL
from facestats_pipeline.defs.run_requests import WHY
from facestats_pipeline.io.plan import RANGE_END, RANGE_START
from facestats_pipeline_tests.counted import write_small_photos
from facestats_pipeline_tests.demo_collection import opened

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(180)]


def test_a_request_over_shards_is_one_queued_run_with_its_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_photos(tmp_path / "raw", 0, 3)
    pipeline = opened(tmp_path, shard_size=2)
    for name in ("raw_photos", "fairface_label_structure"):
        pipeline.execute(Step((name,)))
    (tmp_path / "raw").rename(tmp_path / "elsewhere")  # so that no other sensor requests a run
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / ".dagster"))
    monkeypatch.setenv("FACESTATS_DATA_DIR", str(tmp_path))
    instance, target = pipeline.instance, WorkspaceFileTarget([str(PROJECT_ROOT / "workspace.yaml")])
    with WorkspaceProcessContext(instance, target) as context:
        list(execute_sensor_iteration(context, logging.getLogger("daemon"), None, None))
    queued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED], job_name="__ASSET_JOB"))
    assert len(queued) == 1
    (run,) = queued
    assert {key.path[-1] for key in run.asset_selection or ()} == {
        "manifest",
        "preproc",
        "image_quality",
        "face_geometry",
        "embeddings_clip",
    }
    assert (run.tags[RANGE_START], run.tags[RANGE_END]) == ("shard-00000", "shard-00001")
    assert run.tags[WHY] == "not made yet"
    assert run.run_op_concurrency is not None
    assert run.run_op_concurrency.all_pools == {ENCODER_POOL}
    coordinator = QueuedRunCoordinatorDaemon(interval_seconds=5)
    assert run in coordinator._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
