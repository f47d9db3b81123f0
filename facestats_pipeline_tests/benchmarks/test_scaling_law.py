"""The simulation against what can be said without it, and, in a small version, against real workers."""

from dataclasses import replace
from pathlib import Path

import pytest

from facestats_pipeline_tests.benchmarks.scaling_law import Site, Work, simulate

WORK = Work("images", photo_busy=0.1, shard_busy=1.0, run_busy=5.0, shard_requests=10, run_requests=20)


def seconds(work: Work, photos: int, workers: int, site: Site = Site()) -> float:  # noqa: B008  frozen
    """Of one phase over shards of 100 photos, two shards a run."""
    return simulate([work], photos, 100, workers, site, per_run=2).seconds


def test_one_worker_does_everything_one_after_another() -> None:
    # 5 shards in runs of 2, 2, 1; two threads halve what is computed in shards
    assert seconds(WORK, 450, 1, Site(latency=0.5)) == pytest.approx(3 * (5 + 10) + (5 * 1 + 450 * 0.1) / 2 + 5 * 5)


def test_there_is_no_gain_beyond_one_worker_a_run() -> None:
    assert seconds(WORK, 1600, 2) == pytest.approx(seconds(WORK, 1600, 1) / 2)
    assert seconds(WORK, 1600, 8) == pytest.approx(seconds(WORK, 1600, 1) / 8) == seconds(WORK, 1600, 500)


@pytest.mark.parametrize("site", [Site(launch=100.0), Site(event=10.0)])
def test_what_takes_runs_or_events_one_after_another_bounds_the_rest(site: Site) -> None:
    work = replace(WORK, shard_events=5)
    alone = sum(simulate([work], 1600, 100, 500, site, per_run=2).parts[part] for part in ("launching", "event log"))
    assert alone == 800
    assert alone <= seconds(work, 1600, 500, site) <= alone + seconds(work, 200, 1)


def test_workers_that_share_cores_compute_no_faster_than_these() -> None:
    work = replace(WORK, threads=1)
    assert seconds(work, 1600, 8, Site(cores=2)) == pytest.approx(seconds(work, 1600, 1) / 2)


def test_what_is_no_shard_is_done_by_one_worker_and_a_plan_comes_before_each_phase() -> None:
    index = Work("index", sharded=False, photo_busy=0.01, threads=1)
    site = Site(plan_start=30, plan_shard=0.1)
    found = simulate([WORK, index], 1600, 100, 8, site, per_run=2)
    assert found.parts["planning"] == pytest.approx(2 * (30 + 1.6))
    assert found.seconds == pytest.approx(found.parts["planning"] + seconds(WORK, 1600, 8) + 16)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(600)
def test_real_workers_make_their_shards_and_wait_for_the_store(tmp_path: Path) -> None:
    """What `bench_scaling_law` holds the simulation against; how well it agrees is for the benchmark, on a machine that is quiet."""
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    from facestats_pipeline_tests.benchmarks.scaling_runs import STAGES, made, started

    with started(tmp_path, shards=5, workers=2) as workers:
        before = made(tmp_path)
        alone = workers.make(2, 1, workers=1, latency=0.1)
        workers.make(2, 1, workers=2, latency=0.1)
        after = made(tmp_path)
    assert len(before) == 2 * len(STAGES), "each worker has done a shard before a clock is started"
    assert len(after - before) == 4 * len(STAGES) and after > before, "of five new shards one is left"
    assert alone > 2 * len(STAGES) * 0.1, "each stage of each shard asks the store at least once"
