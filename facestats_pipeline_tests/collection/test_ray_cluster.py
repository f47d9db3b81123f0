"""deploy/ray on a real cluster, with a bucket and PostgreSQL: a backfill that loses a machine makes what a local run makes."""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from facestats_pipeline.collection.pipeline import Pipeline, Step
from facestats_pipeline.config import PROJECT_ROOT, load_settings, save_settings
from facestats_pipeline.defs.dead_runs import PROCESS
from facestats_pipeline.io.remote import Remote
from facestats_pipeline_tests.counted import write_small_photos
from facestats_pipeline_tests.demo_collection import WEIGHTS, opened
from facestats_pipeline_tests.postgres import Server
from facestats_pipeline_tests.processes import running
from facestats_pipeline_tests.ray_cluster import Cluster, Node, cluster
from facestats_pipeline_tests.s3_server import BUCKET, environment, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(900)]
RayRunLauncher = pytest.importorskip("dagster_ray", reason="the extra ray is not installed").RayRunLauncher
pytest.importorskip("ray", reason="the extra ray is not installed")
s3fs = pytest.importorskip("s3fs", reason="the extra s3 is not installed")
URI = f"s3://{BUCKET}/collection"
SHARDS, PHOTOS_A_SHARD, SHARDS_A_RUN = 16, 3, 4
IMAGES = ("manifest", "preproc", "image_quality", "face_geometry", "embeddings_clip")
SETTINGS = {
    "encoder.name": "facestats-test-tiny/untrained",
    "shard_size": PHOTOS_A_SHARD,
    "shards_per_run": SHARDS_A_RUN,
    "preproc.size": 64,
    "preproc.align": False,
    "zeroshot.enabled": False,
    "automation.enabled": False,
    "storage.lease_seconds": 12,
} | WEIGHTS
SHIPPED = PROJECT_ROOT / "deploy" / "ray" / "dagster.yaml"
OF_THE_MOMENT = ["added_at", "mtime_ns"]
MADE = dg.DagsterEventType.ASSET_MATERIALIZATION
LIMIT = 300.0


@pytest.fixture(scope="module")
def machines(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without workers yet; its environment, which is this process's too, is the one that deploy/ray asks for."""
    home = tmp_path_factory.mktemp("home")
    shutil.copyfile(SHIPPED, home / "dagster.yaml")
    with s3_server() as bucket:
        given = environment(bucket) | {
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_URL": postgres_server.database("ray"),
            "FACESTATS_DATA_URI": URI,
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        given |= {f"FACESTATS_{key.replace('.', '_').upper()}": str(value) for key, value in SETTINGS.items()}
        with cluster(os.environ | given) as made:
            yield made


@pytest.fixture(autouse=True)
def as_deploy_ray_says(machines: Cluster, no_settings_of_the_caller: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planner's environment."""
    for name, value in machines.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAY_ADDRESS", machines.jobs)
    s3fs.S3FileSystem.clear_instance_cache()  # another test may have had another server


@contextmanager
def daemon(log: Path, **variables: str) -> Iterator[None]:
    """`dagster-daemon` of the machine that plans."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", PROJECT_ROOT / "workspace.yaml"]
    with running(command, log, env=os.environ | variables):
        yield


def until(what: Callable[[], bool], why: str, *logs: Path) -> None:
    """Wait for `what`; what was not reached in LIMIT seconds fails with the ends of `logs`."""
    started = time.monotonic()
    while not what():
        if time.monotonic() - started > LIMIT:
            pytest.fail(
                "\n".join([f"not in {LIMIT:.0f} s: {why}", *(log.read_text(errors="replace")[-4000:] for log in logs)])
            )
        time.sleep(0.25)


def test_a_backfill_that_loses_a_machine_makes_what_a_local_run_makes(
    machines: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = alone(tmp_path / "local")
    for path in (local.folder.settings.raw).glob("*.jpg"):
        Remote(URI).write(f"raw/{path.name}", path.read_bytes())
    planner = tmp_path / "planner"
    settings = load_settings(data_dir=planner)
    pipeline = Pipeline(settings, dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]))
    pipeline.execute(Step(("raw_photos",)))
    assert len(pipeline.shards) == SHARDS
    workers = [machines.worker(FACESTATS_DATA_DIR=str(tmp_path / name)) for name in ("one", "two")]
    began = time.monotonic()
    ask_for(pipeline, IMAGES)
    log = tmp_path / "daemon.log"
    with daemon(log, FACESTATS_DATA_DIR=str(planner)):
        worker, lost = worker_in_the_middle(pipeline.instance, workers, log)
        worker.lose()
        at = time.monotonic()
        until(lambda: failed(pipeline.instance, *lost), "the lost runs count as failed", log)
        noticed = time.monotonic() - at
        until(lambda: succeeded(pipeline.instance) == 1 + SHARDS // SHARDS_A_RUN, "all runs have ended well", log)
    assert missing(pipeline) == []
    runs = pipeline.instance.get_runs()
    with capsys.disabled():
        print(
            f"\n{len(lost)} lost runs noticed after {noticed:.0f} s; 16 shards after {time.monotonic() - began:.0f} s"
        )
    assert len(runs) == 1 + SHARDS // SHARDS_A_RUN + len(lost)
    assert {run.parent_run_id for run in runs if run.parent_run_id} == set(lost), "what was lost was started again"
    for run in lost:
        said = " ".join(entry.message for entry in pipeline.instance.all_logs(run))
        assert "Detected run worker status" in said and "node was terminated unexpectedly" in said
    assert_equal(pipeline, local)


def test_a_job_that_dies_before_its_run_begins_is_a_failed_run_with_a_reason(machines: Cluster, tmp_path: Path) -> None:
    """A node without `dagster` on its PATH: the job ends with 127, which the run itself cannot tell. Only the waiting is shortened."""
    shipped = SHIPPED.read_text(encoding="utf-8")
    (tmp_path / "dagster.yaml").write_text(shipped.replace("start_timeout_seconds: 300", "start_timeout_seconds: 1"))
    machines.worker()
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_start_timeout_seconds == 1
        nothing = json.dumps({"runtime_env": {"env_vars": {"PATH": "/usr/bin:/bin"}}})
        job = dg.reconstructable(_job)
        run = instance.create_run_for_job(
            _job(), job_code_origin=job.get_python_origin(), tags={"dagster-ray/config": nothing}
        )
        instance.launch_run(run.run_id, workspace=None)  # type: ignore[arg-type]
        launcher = instance.run_launcher
        assert isinstance(launcher, RayRunLauncher)
        until(lambda: launcher.client.get_job_status(f"dagster-run-{run.run_id}").is_terminal(), "the job has ended")
        with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:

            def noticed() -> bool:
                list(execute_run_monitoring_iteration(context, logging.getLogger("monitoring")))
                return failed(instance, run.run_id)

            until(noticed, "the run counts as failed")
        said = " ".join(entry.message for entry in instance.all_logs(run.run_id))
        assert "failed with exit code 127" in said


@dg.asset
def one() -> int:
    return 1


def _job() -> dg.JobDefinition:
    return dg.Definitions(assets=[one], jobs=[dg.define_asset_job("make", [one])]).resolve_job_def("make")


def alone(data: Path) -> Pipeline:
    """A local run over the same photos."""
    write_small_photos(data / "raw", 0, SHARDS * PHOTOS_A_SHARD)
    save_settings(data, SETTINGS)
    pipeline = opened(data)
    pipeline.execute(Step(("raw_photos",)))
    pipeline.execute(Step(IMAGES, tuple(pipeline.shards)))
    return pipeline


def ask_for(pipeline: Pipeline, assets: tuple[str, ...]) -> None:
    """A backfill of `assets` over all shards, as Dagster's page asks for one."""
    pipeline.instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id="sixteen",
            asset_graph=pipeline.definitions.resolve_asset_graph(),
            partition_names=pipeline.shards,
            asset_selection=[dg.AssetKey(name) for name in assets],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=pipeline.instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )


def worker_in_the_middle(instance: dg.DagsterInstance, workers: list[Node], log: Path) -> tuple[Node, list[str]]:
    """A worker with a run that has made something and is not at its end, and all runs that it has; no run is about to begin."""
    found: list[tuple[Node, list[str]]] = []

    def look() -> bool:
        runs = [run for run in instance.get_runs() if not run.is_finished]
        if len(instance.get_runs()) <= SHARDS // SHARDS_A_RUN or any(PROCESS not in run.tags for run in runs):
            return False
        for worker in workers:
            its = [run.run_id for run in runs if int(run.tags[PROCESS].rpartition(".")[2]) in worker.children]
            if any(instance.get_records_for_run(run, of_type=MADE).records for run in its):
                found.append((worker, its))
        return bool(found)

    until(look, "runs are under way", log)
    return found[0]


def failed(instance: dg.DagsterInstance, *runs: str) -> bool:
    return {run.status for run in instance.get_runs(dg.RunsFilter(run_ids=runs))} == {dg.DagsterRunStatus.FAILURE}


def succeeded(instance: dg.DagsterInstance) -> int:
    return instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))


def missing(pipeline: Pipeline) -> list[tuple[str, str | None]]:
    return [key for key, state in pipeline.states().items() if key[0] in IMAGES and state.status != "done"]


def assert_equal(there: Pipeline, here: Pipeline) -> None:
    """The same recipes, tables and JPEGs."""
    assert there.shards == here.shards
    for name in IMAGES:
        for shard in here.shards:
            assert there.folder.store.recipe(name, shard) == here.folder.store.recipe(name, shard), (name, shard)
            ours, theirs = (each.folder.store.read_table(name, shard) for each in (there, here))
            assert ours.drop(OF_THE_MOMENT, strict=False).equals(theirs.drop(OF_THE_MOMENT, strict=False)), (
                name,
                shard,
            )
            if name != "face_geometry":  # which has none without a landmark model
                assert theirs.height == PHOTOS_A_SHARD, (name, shard)
    for path in (here.settings.data_dir / "processed" / "preproc").rglob("*.jpg"):
        assert there.folder.store.jpeg_path(path.parent.name, path.stem).read_bytes() == path.read_bytes()
