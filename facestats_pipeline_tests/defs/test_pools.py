"""How much runs at a time: pools, and the queue that keeps them, also after a run was killed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity, dagster_instance_config
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from facestats_pipeline.collection.pipeline import Step
from facestats_pipeline.config import PROJECT_ROOT
from facestats_pipeline.defs.dead_runs import PROCESS, close_dead_runs, this_process
from facestats_pipeline.defs.graph import nodes_of
from facestats_pipeline.defs.pools import ENCODER_POOL, FOLDER_POOL, make_known
from facestats_pipeline_tests.demo_collection import opened

LOCATION = RegisteredCodeLocationOrigin("facestats")
SHIPPED = sorted((PROJECT_ROOT / "deploy").glob("*/dagster.yaml"))


def test_what_has_the_encoder_and_what_has_the_folder(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    pools = {key.path[-1]: graph.get(key).pools for key in graph.materializable_asset_keys}
    assert {name for name, of in pools.items() if of == {ENCODER_POOL}} == {"embeddings_clip", "mini_encoder"}
    across = {node.name for node in nodes_of(definitions) if not node.sharded} - {"mini_encoder"}
    assert {name for name, of in pools.items() if of == {FOLDER_POOL}} == across
    assert all(len(of) <= 1 for of in pools.values()), "a run that waits for two could wait for ever"


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.parent.name)
def test_every_shipped_instance_limits_its_pools_by_run(shipped: Path) -> None:
    values, _ = dagster_instance_config(str(shipped.parent))
    limits = values["concurrency"]
    assert limits["pools"]["granularity"] == "run"
    assert 1 <= limits["pools"]["default_limit"] <= limits["runs"]["max_concurrent_runs"]
    assert values["run_monitoring"]["enabled"] and values["run_monitoring"]["free_slots_after_run_end_seconds"]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance as deploy/postgres has it, in SQLite."""
    text = (PROJECT_ROOT / "deploy" / "postgres" / "dagster.yaml").read_text(encoding="utf-8")
    before, _, after = text.partition("storage:")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text(before + after.partition("\n\n")[2], encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as made:
        assert made.get_concurrency_config().pool_config.pool_granularity == PoolGranularity.RUN
        make_known(made)  # as the first run does, which looks for photos
        yield made


def queued(queue: dg.DagsterInstance, own: dg.Definitions, asset: str, status: str = "QUEUED", **tags: str) -> str:
    """Id of a run of one asset."""
    job = own.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(asset)})
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(LOCATION, "__repository__"), job.name)
    run = queue.create_run_for_job(job, status=dg.DagsterRunStatus(status), tags=tags, remote_job_origin=origin)
    return run.run_id


def let_go(queue: dg.DagsterInstance) -> list[str]:
    """Ids of the runs that Dagster's daemon would start now."""
    coordinator = QueuedRunCoordinatorDaemon(interval_seconds=5)
    return [run.run_id for run in coordinator._get_runs_to_dequeue(queue, queue.get_concurrency_config(), None)]


def test_a_gpu_has_one_tenant_and_the_folder_one_run(queue: dg.DagsterInstance, own: dg.Definitions) -> None:
    first, second = (queued(queue, own, "embeddings_clip") for _ in range(2))
    tables = [queued(queue, own, "manifest") for _ in range(3)]
    report, _ = (queued(queue, own, "contact_sheet") for _ in range(2))
    assert set(let_go(queue)) == {first, report, *tables}
    queue.report_run_canceled(queue.get_run_by_id(first))  # type: ignore[arg-type]
    assert second in let_go(queue)


def test_a_killed_run_gives_the_encoder_free(queue: dg.DagsterInstance, own: dg.Definitions) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead = f"{this_process().rpartition('.')[0]}.{process.pid}"
    queued(queue, own, "embeddings_clip", "STARTED", **{PROCESS: dead})
    waiting = queued(queue, own, "embeddings_clip")
    assert let_go(queue) == []
    assert close_dead_runs(queue) == 1  # as the sensor does at its next tick
    assert let_go(queue) == [waiting]


def test_the_first_run_makes_the_pools_known(tmp_path: Path) -> None:
    pipeline = opened(tmp_path)
    (tmp_path / "raw").mkdir()
    pipeline.execute(Step(("raw_photos",)))
    storage = pipeline.instance.event_log_storage
    assert {pool: storage.get_concurrency_info(pool).slot_count for pool in (ENCODER_POOL, FOLDER_POOL)} == {
        ENCODER_POOL: 1,
        FOLDER_POOL: 1,
    }
    storage.set_concurrency_slots(ENCODER_POOL, 3)  # dagster instance concurrency set
    pipeline.execute(Step(("raw_photos",)))
    assert storage.get_concurrency_info(ENCODER_POOL).slot_count == 3
