"""deploy/postgres: what the schedule and the sensor know is in PostgreSQL, and another process goes on from it."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus
from dagster._core.test_utils import freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

from facestats_pipeline.config import PROJECT_ROOT
from facestats_pipeline_tests.counted import write_small_photos

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(180)]
LOG = logging.getLogger("daemon")
NIGHT = datetime(2035, 1, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
def home(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """DAGSTER_HOME with the shipped file, for a data folder of three photos."""
    write_small_photos(tmp_path / "data" / "raw", 0, 3)
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copyfile(PROJECT_ROOT / "deploy" / "postgres" / "dagster.yaml", folder / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres)
    monkeypatch.setenv("FACESTATS_DATA_DIR", str(tmp_path / "data"))
    return folder


def test_ticks_and_cursors_outlive_the_daemon(home: Path) -> None:
    with daemon(home) as context:
        for moment in (NIGHT - timedelta(minutes=1), NIGHT + timedelta(minutes=1)):
            list(launch_scheduled_runs(context, LOG, end_datetime_utc=moment, iteration_times={}))
        list(execute_sensor_iteration(context, LOG, None, None))
    with dg.DagsterInstance.from_config(str(home)) as another:
        (tick,) = ticks(another, "nightly")
        assert (tick.status, tick.timestamp) == (TickStatus.SUCCESS, NIGHT.timestamp())
        (look,) = ticks(another, "raw_folder")
        assert look.status == TickStatus.SUCCESS
        cursor = look.cursor
        assert cursor is not None and '"changes": 1' in cursor
        queued = {run.run_id: run for run in another.get_runs()}
        assert {*tick.run_ids, *look.run_ids} == set(queued)
        assert {run.status for run in queued.values()} == {dg.DagsterRunStatus.QUEUED}
    with daemon(home) as context:
        moment = NIGHT + timedelta(minutes=2)
        list(launch_scheduled_runs(context, LOG, end_datetime_utc=moment, iteration_times={}))
        with freeze_time(datetime.now(UTC) + timedelta(minutes=5)):  # the sensor's interval has passed
            list(execute_sensor_iteration(context, LOG, None, None))
        assert len(ticks(context.instance, "nightly")) == 1, "the night is over"
        again, _ = ticks(context.instance, "raw_folder")
        assert (again.status, again.skip_reason) == (TickStatus.SKIPPED, "no photo was added, changed or removed")
        assert [state.instigator_data.cursor for state in states(context.instance, "raw_folder")] == [cursor]
        assert context.instance.get_runs_count() == len(queued), "nothing is asked for again"
    assert not list(home.rglob("*.db")), "nothing is in SQLite"


@contextmanager
def daemon(home: Path) -> Iterator[WorkspaceProcessContext]:
    """What Dagster's daemon works with: the instance, and a code server of the shipped workspace."""
    target = WorkspaceFileTarget([str(PROJECT_ROOT / "workspace.yaml")])
    with dg.DagsterInstance.from_config(str(home)) as instance, WorkspaceProcessContext(instance, target) as context:
        yield context


def states(instance: dg.DagsterInstance, name: str) -> list[InstigatorState]:
    kinds = (InstigatorType.SCHEDULE, InstigatorType.SENSOR)
    return [
        state for kind in kinds for state in instance.all_instigator_state(instigator_type=kind) if state.name == name
    ]


def ticks(instance: dg.DagsterInstance, name: str) -> list[InstigatorTick]:
    """Every tick of a schedule or sensor, as this instance finds them."""
    (state,) = states(instance, name)
    return list(instance.get_ticks(state.instigator_origin_id, state.selector_id))
