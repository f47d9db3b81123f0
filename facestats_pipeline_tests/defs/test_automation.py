"""The sensors: new photos start discovery once, and what is missing is started phase by phase."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from facestats_pipeline.config import load_settings
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline.defs.project import Project
from facestats_pipeline.io.plan import RANGE_END, RANGE_START
from facestats_pipeline_tests.defs.conftest import settings_in
from facestats_pipeline_tests.io.small_store import discover, make, make_waiting

IMAGES = {"manifest", "preproc", "image_quality", "face_geometry", "embeddings_clip"}


class Ticks:
    """Evaluates one sensor again and again, as the daemon does: with the cursor of the tick before."""

    def __init__(self, definitions: dg.Definitions, name: str, instance: dg.DagsterInstance) -> None:
        self.definitions, self.instance = definitions, instance
        self.cursor: str | None = None
        self.sensor: Any = next(each for each in definitions.sensors or [] if each.name == name)

    def tick(self) -> Any:
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.definitions,
            resources={"project": (self.definitions.resources or {})["project"]},
        )
        result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor or self.cursor
        return result


def add_photo(folder: Path, name: str, mtime: int = 10**18) -> None:
    (folder / name).write_bytes(b"photo " + name.encode())
    os.utime(folder / name, ns=(mtime, mtime))


def test_discovery_is_asked_for_once_per_change(
    own: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    sensor = Ticks(own, "raw_folder", instance)
    add_photo(tmp_path / "raw", "a.jpg")
    assert len(sensor.tick().run_requests) == 1
    idle = sensor.tick()
    assert idle.run_requests == []
    assert idle.skip_message == "no photo was added, changed or removed"
    add_photo(tmp_path / "raw", "a.jpg", mtime=2 * 10**18)
    assert len(sensor.tick().run_requests) == 1, "a file with another time"


def test_a_folder_that_is_again_as_it_was_is_a_change_too(
    own: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """A, then B, then A: Dagster drops a run whose key it has seen, so the keys must differ."""
    sensor = Ticks(own, "raw_folder", instance)
    add_photo(tmp_path / "raw", "a.jpg")
    keys = [sensor.tick().run_requests[0].run_key]
    add_photo(tmp_path / "raw", "b.jpg")
    keys.append(sensor.tick().run_requests[0].run_key)
    (tmp_path / "raw" / "b.jpg").unlink()
    keys.append(sensor.tick().run_requests[0].run_key)
    assert len(set(keys)) == 3


def test_a_folder_that_is_not_there_is_said(own: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    (tmp_path / "raw").rmdir()
    tick = Ticks(own, "raw_folder", instance).tick()
    assert tick.run_requests == []
    assert "there is no folder" in tick.skip_message


def test_nothing_is_started_before_photos_are_discovered(own: dg.Definitions, instance: dg.DagsterInstance) -> None:
    tick = Ticks(own, "bring_up_to_date", instance).tick()
    assert (tick.run_requests, tick.skip_message) == ([], "no photos have been discovered yet")


def steps_of(tick: Any) -> list[tuple[set[str], str | None, str | None]]:
    return [
        (
            {key.path[-1] for key in request.asset_selection},
            request.tags.get(RANGE_START),
            request.tags.get(RANGE_END),
        )
        for request in tick.run_requests
    ]


def test_what_is_missing_is_started_phase_by_phase(
    own: dg.Definitions, project: Project, instance: dg.DagsterInstance
) -> None:
    shards = discover(project.book, 4, 4)
    instance.add_dynamic_partitions("shards", shards)
    sensor = Ticks(own, "bring_up_to_date", instance)
    asked: list[tuple[set[str], str | None, str | None]] = []
    for _ in range(12):
        steps = steps_of(sensor.tick())
        if not steps:
            break
        asked += steps
        for names, first, _ in steps:
            for name in (name for name in project.book.graph if name in names):
                for shard in shards if first else [None]:
                    make(project.book, name, shard)
    assert (IMAGES, *shards) in asked
    assert [name for names, *_ in asked for name in names].count("master") == 1
    assert {name for names, *_ in asked for name in names} == set(project.book.graph) - {"raw_photos", "mini_encoder"}
    assert sensor.tick().skip_message == "everything is up to date"


def test_work_that_failed_is_not_asked_for_again(
    own: dg.Definitions, project: Project, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions("shards", discover(project.book, 4))
    sensor = Ticks(own, "bring_up_to_date", instance)
    assert sensor.tick().run_requests
    assert "failed" in sensor.tick().skip_message
    discover(project.book, 5)
    assert sensor.tick().run_requests, "other photos are another attempt"


def test_labels_that_change_again_and_again_are_always_followed(
    own: dg.Definitions, project: Project, instance: dg.DagsterInstance
) -> None:
    shards = discover(project.book, 4)
    instance.add_dynamic_partitions("shards", shards)
    make_waiting(project.book, shards)
    project.store.labels.mkdir()
    sensor, keys = Ticks(own, "bring_up_to_date", instance), []
    for text in ("a", "b", "a", "b"):
        project.store.input_path("labels_csv").write_text(text)
        (request,) = sensor.tick().run_requests
        keys.append(request.run_key)
        make_waiting(project.book, shards)
        assert sensor.tick().skip_message == "everything is up to date"
    assert len(set(keys)) == 4


def test_a_file_that_is_lost_again_and_again_is_made_again(
    own: dg.Definitions, project: Project, instance: dg.DagsterInstance
) -> None:
    shards = discover(project.book, 4)
    instance.add_dynamic_partitions("shards", shards)
    make_waiting(project.book, shards)
    sensor, keys = Ticks(own, "bring_up_to_date", instance), []
    for _ in range(2):
        project.store.path("image_quality", shards[0]).unlink()
        keys += [request.run_key for request in sensor.tick().run_requests]
        make_waiting(project.book, shards)
        assert sensor.tick().skip_message == "everything is up to date"
    assert len(set(keys)) == len(keys) == 2


def test_nothing_is_started_while_runs_are_under_way(
    own: dg.Definitions, project: Project, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions("shards", discover(project.book, 4))
    job = own.resolve_job_def("discover_photos")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    tick = Ticks(own, "bring_up_to_date", instance).tick()
    assert (tick.run_requests, tick.skip_message) == ([], "runs are under way")


@pytest.mark.parametrize("enabled", [True, False])
def test_automation_can_be_switched_off(tmp_path: Path, enabled: bool) -> None:
    made = build_definitions(settings_in(tmp_path, **{"automation.enabled": enabled}))
    statuses = {each.default_status.value for each in [*(made.sensors or []), *(made.schedules or [])]}
    assert statuses == {"RUNNING" if enabled else "STOPPED"}


def test_intervals_come_from_the_settings(tmp_path: Path) -> None:
    environ = {"FACESTATS_AUTOMATION_SCAN_SECONDS": "77", "FACESTATS_AUTOMATION_NIGHTLY": "5 4 * * *"}
    made = build_definitions(load_settings(environ=environ, data_dir=tmp_path))
    assert {each.minimum_interval_seconds for each in made.sensors or []} == {77}
    assert [each.cron_schedule for each in made.schedules or []] == ["5 4 * * *"]
