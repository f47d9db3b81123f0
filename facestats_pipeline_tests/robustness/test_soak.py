"""A short soak; the long one is `python -m facestats_pipeline_tests.benchmarks.soak`."""

from pathlib import Path

import pytest

from facestats_pipeline_tests.benchmarks.soak import Watch, many_photos, many_runs


def watched(resident: list[float], files: list[int], rates: list[float]) -> bool:
    watch = Watch(resident, files, rates, rates)
    return bool(watch.verdict()["held"])


def test_the_verdict_sees_growth_open_files_and_slowing_down() -> None:
    flat = [100.0] * 50
    assert watched(flat, [9] * 50, flat)
    assert watched([50.0] * 5 + [100.0] * 45, [5] * 5 + [9] * 45, flat), "warming up is no leak"
    assert not watched([100.0 + i for i in range(50)], [9] * 50, flat)
    assert not watched(flat, [9 + i for i in range(50)], flat)
    assert not watched(flat, [9] * 50, [100.0 - i for i in range(50)])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_runs_in_one_process_leave_no_files_open(tmp_path: Path) -> None:
    found = many_runs(tmp_path / "data", 12)
    assert found["looks"] == 12
    assert found["open_files"][1] <= found["open_files"][0]
    assert found["memory_change"] < 0.10, found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_over_many_shards_holds_one_at_a_time(tmp_path: Path) -> None:
    found = many_photos(tmp_path / "data", 600, 50)
    assert (found["photos"], found["looks"]) == (600, 12)
    assert found["open_files"][1] <= found["open_files"][0]
    assert found["memory_change"] < 0.10, found
