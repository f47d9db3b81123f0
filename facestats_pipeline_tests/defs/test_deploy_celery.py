"""deploy/celery: a worker with the shipped settings executes runs that the shipped launcher sends through Redis."""

import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from facestats_pipeline.config import PROJECT_ROOT
from facestats_pipeline_tests.dagster_page import free_port
from facestats_pipeline_tests.processes import running

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]
pytest.importorskip("dagster_celery", reason="the extra celery is not installed")
FOLDER = PROJECT_ROOT / "deploy" / "celery"
LIMIT = 120.0


@dg.asset
def one() -> int:
    return 1


@dg.asset
def fatal() -> None:
    """Ends its process, as the system does to one that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


DEFINITIONS = dg.Definitions(
    assets=[one, fatal],
    jobs=[dg.define_asset_job("make", [one]), dg.define_asset_job("die", [fatal])],
    executor=dg.in_process_executor,
)


def _make() -> dg.JobDefinition:
    return DEFINITIONS.resolve_job_def("make")


def _die() -> dg.JobDefinition:
    return DEFINITIONS.resolve_job_def("die")


@pytest.fixture
def instance(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The shipped file as it is, on a Redis and a PostgreSQL, with one worker."""
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    shutil.copyfile(FOLDER / "dagster.yaml", home / "dagster.yaml")
    given = {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_URL": postgres,
        "DAGSTER_CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "DAGSTER_CELERY_BACKEND_URL": f"redis://127.0.0.1:{port}/1",
        "PYTHONPATH": os.pathsep.join([str(FOLDER), str(PROJECT_ROOT)]),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    server = [redis, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", tmp_path]
    worker = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "dagster_celery.app",
        "worker",
        "-Q",
        "dagster",
        "--concurrency",
        "1",
    ]
    with running(server, tmp_path / "redis.log"):
        until_it_listens(port)
        with running(worker, tmp_path / "worker.log"), dg.DagsterInstance.from_config(str(home)) as made:
            yield made


def until_it_listens(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("Redis does not listen")


def launch(instance: dg.DagsterInstance, job: ReconstructableJob) -> str:
    """Id of a run that was handed to the launcher."""
    run = instance.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
    instance.launch_run(run.run_id, workspace=None)  # type: ignore[arg-type]
    return run.run_id


def status_of(instance: dg.DagsterInstance, run: str) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run)
    assert found is not None
    return found.status


def wait_for(instance: dg.DagsterInstance, run: str, status: dg.DagsterRunStatus, log: Path, monitored: bool) -> None:
    """Until the run has this status; `monitored`: Dagster's daemon looks after runs meanwhile."""
    started = time.monotonic()
    while status_of(instance, run) != status:
        if time.monotonic() - started > LIMIT:
            pytest.fail(f"{status_of(instance, run)} after {LIMIT:.0f} s\n{log.read_text(errors='replace')[-4000:]}")
        if monitored:
            with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
                list(execute_run_monitoring_iteration(context, logging.getLogger("monitoring")))
        time.sleep(0.2)


def test_runs_are_executed_by_a_worker_and_one_that_dies_is_a_failed_run(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    assert type(instance.run_launcher).__name__ == "CeleryRunLauncher"
    assert os.environ["DAGSTER_CELERY_BROKER_URL"] not in str(instance.get_ref()), "it may hold a password"
    first = launch(instance, dg.reconstructable(_make))
    wait_for(instance, first, dg.DagsterRunStatus.SUCCESS, log, monitored=False)
    assert [record.asset_key for record in instance.fetch_materializations(dg.AssetKey("one"), limit=9).records] == [
        dg.AssetKey("one")
    ]
    lost = launch(instance, dg.reconstructable(_die))
    wait_for(instance, lost, dg.DagsterRunStatus.FAILURE, log, monitored=True)
    assert "Celery task failed" in " ".join(entry.message for entry in instance.all_logs(lost))
    after = launch(instance, dg.reconstructable(_make))
    wait_for(instance, after, dg.DagsterRunStatus.SUCCESS, log, monitored=False)  # the worker lives on
