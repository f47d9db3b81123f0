"""The sensors and the schedule: what each sees, and that no two start the same. For `bring_up_to_date` see `test_run_requests.py`."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from facestats_pipeline.config import load_settings
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import ROOT
from facestats_pipeline.io.layout import INPUTS
from facestats_pipeline_tests.defs.small_settings import settings_in


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


def test_an_empty_folder_starts_nothing_until_the_first_photo_comes(
    own: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    sensor = Ticks(own, "raw_folder", instance)
    idle = sensor.tick()
    assert idle.run_requests == []
    assert "there are no photos" in idle.skip_message
    add_photo(tmp_path / "raw", "a.jpg")
    assert len(sensor.tick().run_requests) == 1


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


def test_a_large_folder_is_looked_at_in_parts(
    own: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five files, two a tick: every change is seen, once, wherever it is, in a folder with folders in it."""
    monkeypatch.setattr("facestats_pipeline.defs.automation.FILES_PER_TICK", 2)
    raw = tmp_path / "raw"
    for name in ("a", "b\\x", "b"):
        (raw / name).mkdir()
    for name in ("a.jpg", "a/1.jpg", "b/1.jpg", "b\\x/1.jpg", "c.jpg"):
        add_photo(raw, name)
    sensor = Ticks(own, "raw_folder", instance)

    def look() -> list[int]:
        return [len(sensor.tick().run_requests) for _ in range(3)]

    assert look() == [0, 0, 1]
    assert look() == [0, 0, 0]
    for name in ("a/1.jpg", "b\\x/1.jpg", "c.jpg"):
        add_photo(raw, name, mtime=2 * 10**18)
        assert look() == [0, 0, 1], name
    (raw / "b/1.jpg").unlink()
    assert look() == [0, 0, 1]
    add_photo(raw, "b/0.jpg")
    assert look() == [0, 0, 1]
    assert look() == [0, 0, 0]


def test_the_same_tick_twice_asks_under_the_same_key(
    own: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """The daemon died after it had started the run and before it had kept the cursor: Dagster knows the key and starts no second run."""
    add_photo(tmp_path / "raw", "a.jpg")
    once, again = (Ticks(own, "raw_folder", instance).tick() for _ in range(2))
    assert once.run_requests[0].run_key == again.run_requests[0].run_key


def test_labels_and_ratings_that_change_are_told_to_dagster(
    own: dg.Definitions, folder: DataFolder, instance: dg.DagsterInstance
) -> None:
    sensor = Ticks(own, "provided_files", instance)
    folder.store.labels.mkdir()

    def tick() -> list[str]:
        result = sensor.tick()
        assert result.run_requests == []
        for event in result.asset_events:
            instance.report_runless_asset_event(event)  # as the daemon does
        return [event.asset_key.path[-1] for event in result.asset_events]

    assert tick() == list(INPUTS), "that there are none is known too"
    assert tick() == []
    for name, text in (("labels_csv", "a"), ("ratings_csv", "a"), ("labels_csv", "b"), ("manual_labels_csv", "a")):
        folder.store.input_path(name).write_text(text)
        assert tick() == [name]
        assert tick() == []
    folder.store.input_path("labels_csv").unlink()
    assert tick() == ["labels_csv"]


def test_one_sensor_alone_starts_what_is_not_discovery(definitions: dg.Definitions) -> None:
    """Two that start the same work would do it twice."""
    sensors = {each.name: each for each in definitions.sensors or []}
    targets = {name: [target.job_name for target in each.targets] for name, each in sensors.items()}
    assert targets == {"raw_folder": ["discover_photos"], "provided_files": [], "bring_up_to_date": []}
    graph = definitions.resolve_asset_graph()
    started = {name: each.asset_selection for name, each in sensors.items() if each.asset_selection is not None}
    assert {name: each.resolve(graph) for name, each in started.items()} == {
        "bring_up_to_date": graph.materializable_asset_keys - {dg.AssetKey(ROOT), dg.AssetKey("mini_encoder")}
    }
    assert [each.job.name for each in definitions.schedules or []] == ["discover_photos"]
    assert not any(graph.get(key).automation_condition for key in graph.get_all_asset_keys())


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
