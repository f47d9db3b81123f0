"""Real runs of the image stages over shards in a bucket that answers late, by workers that are processes, to hold the simulation against.

The bucket is moto's S3 server behind a proxy that keeps each answer back for a while, so that work waits rather than computes. Each
worker has its own copies; all share one Dagster instance. A worker has loaded everything and done a shard before any clock is started.
"""

import logging
import math
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
import s3fs

from facestats_pipeline_tests.benchmarks.scaling_law import Site, Work, simulate
from facestats_pipeline_tests.counted import write_small_photos
from facestats_pipeline_tests.s3_server import BUCKET, FaultyProxy, environment, s3_server

URI = f"s3://{BUCKET}/collection"
STAGES = ("manifest", "preproc", "image_quality", "embeddings_clip")
PHOTOS = 8
"""Of each shard."""
SETTINGS = {
    "encoder.name": "facestats-test-tiny/untrained",
    "preproc.size": 64,
    "preproc.align": False,
    "shard_size": PHOTOS,
}


class Workers:
    """Warm workers and the bucket; `make` has some of them make shards, each shard once."""

    def __init__(self, proxy: FaultyProxy, shards: list[str], tasks: list["Queue[Any]"], done: "Queue[Any]") -> None:
        self.proxy, self._shards, self._tasks, self._done = proxy, shards, tasks, done

    def make(self, shards: int, per_run: int, workers: int, latency: float) -> float:
        """Seconds until `workers` workers have made `shards` new shards in runs of `per_run`, at this latency."""
        mine, self._shards = self._shards[:shards], self._shards[shards:]
        if len(mine) < shards:
            raise ValueError("there are not so many new shards left")
        runs = [mine[i : i + per_run] for i in range(0, shards, per_run)]
        self.proxy.delay = latency
        started = time.perf_counter()
        free, under_way = list(range(workers)), 0
        while runs or under_way:
            while runs and free:
                self._tasks[free.pop()].put(runs.pop(0))
                under_way += 1
            free.append(_answer(self._done))
            under_way -= 1
        seconds = time.perf_counter() - started
        self.proxy.delay = 0.0
        return seconds

    def calibrated(self, latency: float, most: int = 3) -> Work:
        """What a run and a shard ask for, from runs of 1 and of `most` shards on one worker, without latency and with it."""
        one, more = self.make(1, 1, 1, 0.0), self.make(most, most, 1, 0.0)
        one_late, more_late = self.make(1, 1, 1, latency), self.make(most, most, 1, latency)
        shard_busy = (more - one) / (most - 1)
        shard_requests = ((more_late - one_late) - (more - one)) / (most - 1) / latency
        return Work(
            "images",
            shard_busy=shard_busy,
            run_busy=max(0.0, one - shard_busy),
            shard_requests=shard_requests,
            run_requests=max(0.0, (one_late - one) / latency - shard_requests),
            threads=1,
        )


def predicted(work: Work, shards: int, per_run: int, workers: int, latency: float) -> float:
    """What the simulation says of `Workers.make`."""
    site = Site(latency=latency, cores=os.cpu_count() or 1)
    return simulate([work], shards, 1, workers, site, per_run=per_run).seconds


@contextmanager
def started(folder: Path, shards: int, workers: int) -> Iterator[Workers]:
    """`workers` warm workers, and so many shards to make."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    with s3_server() as address, pytest.MonkeyPatch.context() as patch:
        proxy = FaultyProxy(address, every=math.inf)
        tasks: list[Queue[Any]] = []
        processes: list[Any] = []
        try:
            for name, value in environment(proxy.address).items():
                patch.setenv(name, value)
            s3fs.S3FileSystem.clear_instance_cache()  # one of them may know another server
            names = _fill(folder, shards + workers)
            context = multiprocessing.get_context("spawn")
            done: Queue[Any] = context.Queue()
            tasks += [context.Queue() for _ in range(workers)]
            for number, own in enumerate(tasks):
                arguments = (number, folder, proxy.address, own, done)
                processes.append(context.Process(target=_work, args=arguments, daemon=True))
                processes[-1].start()
                own.put([names[number]])
            for _ in processes:
                _answer(done)
            yield Workers(proxy, names[workers:], tasks, done)
        finally:
            for own, process in zip(tasks, processes, strict=False):
                own.put(None)
                process.join(30)
                process.kill()
            proxy.close()


def _fill(folder: Path, shards: int) -> list[str]:
    """Photos in the bucket, looked at; the shards' names."""
    from facestats_pipeline.io.plan import Step
    from facestats_pipeline.io.remote import Remote

    write_small_photos(folder / "photos", 0, shards * PHOTOS)
    pipeline = _pipeline(folder, "planner")
    remote = Remote(URI)
    for path in sorted((folder / "photos").iterdir()):
        remote.write(f"raw/{path.name}", path.read_bytes())
    pipeline.execute(Step(("raw_photos",)))
    names = pipeline.shards
    pipeline.instance.dispose()
    return names


def _pipeline(folder: Path, machine: str) -> Any:
    from facestats_pipeline.collection.pipeline import Pipeline, open_instance
    from facestats_pipeline.config import load_settings

    settings = load_settings(environ={}, data_uri=URI, data_dir=folder / machine, **SETTINGS)
    return Pipeline(settings, open_instance(folder / "dagster"))


def made(folder: Path) -> set[tuple[str, str]]:
    """(stage, shard) of every table in the bucket that is done."""
    pipeline = _pipeline(folder, "planner")
    pipeline.folder.store.refresh()
    states = pipeline.states()
    pipeline.instance.dispose()
    return {
        (name, shard) for (name, shard), state in states.items() if shard and name in STAGES and state.status == "done"
    }


def _work(number: int, folder: Path, address: str, tasks: "Queue[Any]", done: "Queue[Any]") -> None:
    """A worker: makes the shards that it is told, and says so."""
    from facestats_pipeline.io.plan import Step

    os.environ.update(environment(address) | {"DAGSTER_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"})
    try:
        pipeline = _pipeline(folder, f"worker-{number}")
        while shards := tasks.get():
            pipeline.execute(Step(STAGES, tuple(shards)))
            done.put(number)
    except Exception as error:
        done.put(f"worker {number}: {type(error).__name__}: {error}")


def _answer(done: "Queue[Any]") -> int:
    """The worker that has finished. Raises RuntimeError with what a worker failed with."""
    answer = done.get(timeout=600)
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return int(answer)


def compare(
    workers: Workers, work: Work, shards: int, per_run: int, latency: float, counts: Sequence[int]
) -> list[tuple[float, float]]:
    """(predicted, real) seconds at each number of workers."""
    return [(predicted(work, shards, per_run, n, latency), workers.make(shards, per_run, n, latency)) for n in counts]
