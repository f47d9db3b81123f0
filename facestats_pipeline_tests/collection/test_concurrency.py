"""Runs beside runs: over other shards at the same time, over the same ones in turn; on SQLite and on a real PostgreSQL."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from facestats_pipeline.collection.pipeline import INSTANCE, Step
from facestats_pipeline.config import PROJECT_ROOT, save_settings
from facestats_pipeline.defs.pools import ENCODER_POOL
from facestats_pipeline.io.layout import SHARD_TABLES
from facestats_pipeline_tests.collection.concurrent_runs import IMAGES, ONE_PROCESS, RUNS, in_home
from facestats_pipeline_tests.counted import write_small_photos
from facestats_pipeline_tests.demo_collection import QUICK, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def small_collection(data: Path) -> Path:
    """A data folder of eight shards of six small photos, without labels."""
    write_small_photos(data / "raw", 0, 6 * RUNS)
    small = {"shard_size": 6, "preproc.size": 64, "preproc.align": False, "zeroshot.enabled": False}
    save_settings(data, QUICK | small)
    return data


def content(data: Path) -> dict[str, pl.DataFrame]:
    """Every table of images, and the bytes of every preprocessed photo."""
    tables = {name: pl.read_parquet(data / "processed" / SHARD_TABLES[name]) for name in IMAGES}
    pictures = sorted((data / "processed" / "preproc").rglob("*.jpg"))
    names = [path.relative_to(data).as_posix() for path in pictures]
    return tables | {"pictures": pl.DataFrame({"name": names, "bytes": [path.read_bytes() for path in pictures]})}


def eight_runs_at_a_time(data: Path, home: Path, signs: Path) -> tuple[Counter[str], Counter[str]]:
    """Eight runs over a shard each, let go together, then eight over all shards: how often each shard was made, statuses of runs."""
    pipeline = in_home(data, home)
    pipeline.execute(Step(("raw_photos",)))
    shards = pipeline.shards
    assert len(shards) == RUNS
    signs.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_PROCESS, data, home, shard, signs],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT_ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for shard in shards
    ]

    def let_go(name: str) -> None:
        while len(list(signs.glob(f"{name} *"))) < RUNS:
            assert all(process.poll() is None for process in processes), [p.communicate()[0] for p in processes]
            time.sleep(0.1)
        (signs / name).touch()

    try:
        let_go("apart")
        alone = small_collection(data.with_name("alone"))
        undisturbed = opened(alone)
        undisturbed.execute(Step(("raw_photos",)))
        undisturbed.execute(Step(IMAGES, tuple(undisturbed.shards)))
        let_go("together")
        said = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [text for text in said if "locked" in text.lower()] == []
    assert [process.returncode for process in processes] == [0] * RUNS, said
    expected, found = content(alone), content(data)
    assert {name for name in expected if not same(expected[name], found[name])} == set()
    events = pipeline.instance.fetch_materializations(dg.AssetKey("preproc"), limit=1000).records
    statuses = Counter(run.status.value for run in pipeline.instance.get_runs())
    return Counter(str(event.partition_key) for event in events), statuses


def same(a: pl.DataFrame, b: pl.DataFrame) -> bool:
    """The same rows, whenever they were made."""
    return a.drop("added_at", strict=False).equals(b.drop("added_at", strict=False))


def test_eight_runs_at_a_time_on_sqlite(tmp_path: Path) -> None:
    data = small_collection(tmp_path / "data")
    made, statuses = eight_runs_at_a_time(data, data / ".dagster", tmp_path / "signs")
    assert set(made.values()) == {1 + RUNS}
    assert statuses == {"SUCCESS": 1 + 2 * RUNS}


@pytest.mark.server
def test_eight_runs_at_a_time_on_postgresql(tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, home = small_collection(tmp_path / "data"), tmp_path / "home"
    home.mkdir()
    shutil.copyfile(PROJECT_ROOT / "deploy" / "postgres" / "dagster.yaml", home / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres)
    made, statuses = eight_runs_at_a_time(data, home, tmp_path / "signs")
    assert set(made.values()) == {1 + RUNS}
    assert statuses == {"SUCCESS": 1 + 2 * RUNS}
    assert not list(home.rglob("*.db")), "nothing is in SQLite"


def facestats_run(data: Path) -> subprocess.Popen[str]:
    """`facestats run` on a folder, as a user starts it."""
    command = [Path(sys.executable).with_name("facestats"), "run", "--timings", "-d", data]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_second_facestats_run_waits_and_makes_nothing_again(tmp_path: Path) -> None:
    data = small_collection(tmp_path / "data")
    first, second = facestats_run(data), facestats_run(data)
    said = [process.communicate(timeout=500) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], said
    waited = [err for _, err in said if "Waiting for facestats run (process" in err]
    idle = [out for out, _ in said if "Nothing to do" in out]
    assert (len(waited), len(idle)) == (1, 1), said
    pipeline = opened(data)
    assert {run.status for run in pipeline.instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
    for name, node in pipeline.freshness.graph.items():
        made = pipeline.instance.fetch_materializations(dg.AssetKey(name), limit=100).records
        times = Counter(str(record.partition_key) for record in made)
        most = 2 if name == "raw_photos" else 1
        assert max(times.values(), default=0) <= most, f"{name} of {'a shard' if node.sharded else 'the folder'}"


def test_a_run_that_was_killed_while_it_had_the_encoder_leaves_no_slot_behind(tmp_path: Path) -> None:
    """By `run`, as shipped, a run holds nothing; whoever sets pools to `op` would wait for ever for a slot of a run that is gone."""
    data = small_collection(tmp_path / "data")
    home = data / ".dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE.replace("granularity: run", "granularity: op"), encoding="utf-8")
    instance = opened(data).instance  # which its storage knows weakly
    storage = instance.event_log_storage
    killed = facestats_run(data)
    began = time.monotonic()
    while not storage.get_concurrency_info(ENCODER_POOL).claimed_slots:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() - began < 300
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(storage.get_concurrency_info(ENCODER_POOL).claimed_slots) == 1
    again = facestats_run(data)
    said, problems = again.communicate(timeout=300)
    assert again.returncode == 0, problems
    assert "embeddings_clip" in said
    assert not storage.get_concurrency_info(ENCODER_POOL).claimed_slots


def test_a_run_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    """kill -9 while it holds the lock: the next run does not wait, goes on where it stopped, and closes the dead run."""
    data = small_collection(tmp_path / "data")
    killed = facestats_run(data)
    began = time.monotonic()
    while not list((data / "processed" / "manifest.parquet").glob("*.parquet")):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() - began < 300
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    pipeline = opened(data)
    left = [run.status for run in pipeline.instance.get_runs()]
    assert dg.DagsterRunStatus.STARTED in left, "as Dagster knows it, the run is still under way"
    waited: list[str] = []
    report = pipeline.update(on_wait=waited.append)
    assert waited == []
    assert "master" in report.made
    statuses = Counter(run.status.value for run in pipeline.instance.get_runs())
    assert set(statuses) == {"SUCCESS", "FAILURE"}
    assert statuses["FAILURE"] == 1
    assert {name for (name, _), state in pipeline.states().items() if state.status != "done"} == {"mini_encoder"}
