"""deploy/ray: the shipped file is one that dagster-ray takes, and a cluster that does not answer is a failed run with a reason."""

import socket
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from facestats_pipeline.config import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SHIPPED = PROJECT_ROOT / "deploy" / "ray" / "dagster.yaml"


@dg.asset
def one() -> int:
    return 1


DEFINITIONS = dg.Definitions(assets=[one], jobs=[dg.define_asset_job("make", [one])])


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The shipped file with its events in this folder, and a Ray address where nobody listens."""
    pytest.importorskip("dagster_ray", reason="the extra ray is not installed")
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"http://127.0.0.1:{probe.getsockname()[1]}")
    values = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    del values["storage"]  # PostgreSQL: see test_concurrency
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def test_a_cluster_that_does_not_answer_is_a_failed_run_with_a_reason(instance: dg.DagsterInstance) -> None:
    assert type(instance.run_launcher).__name__ == "RayRunLauncher"
    assert instance.run_launcher.num_cpus == 2  # type: ignore[attr-defined]
    assert instance.run_monitoring_enabled and instance.run_monitoring_start_timeout_seconds == 300
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 8
    job = dg.reconstructable(_job)
    run = instance.create_run_for_job(_job(), job_code_origin=job.get_python_origin())
    with pytest.raises(Exception, match="connect"):
        instance.launch_run(run.run_id, workspace=None)  # type: ignore[arg-type]
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None and failed.status == dg.DagsterRunStatus.FAILURE
    said = " ".join(entry.message for entry in instance.all_logs(run.run_id))
    assert "Failed to connect to Ray" in said


def _job() -> dg.JobDefinition:
    return DEFINITIONS.resolve_job_def("make")
