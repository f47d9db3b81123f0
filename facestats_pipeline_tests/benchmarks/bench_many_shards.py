"""Ten thousand shards, registered for real: what `facestats status`, a plan, the sensors' ticks and Dagster's page then take.

    python -m facestats_pipeline_tests.benchmarks.bench_many_shards [--shards 10000] [--photos 2] [--folder FOLDER] [--served SECONDS]

`many_shards.py` says what the collection is. With --folder it is made there, or taken from there when it has been made. `facestats ui`
then runs on it, with its daemon, for --served seconds: the ticks are those that Dagster recorded, the page is opened in Chromium.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from _pytest.outcomes import Skipped

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline.config import load_settings
from facestats_pipeline.io.freshness import ROOT
from facestats_pipeline.io.plan import Step, phases, plan
from facestats_pipeline_tests.app.browser import browser
from facestats_pipeline_tests.benchmarks.many_shards import make_collection
from facestats_pipeline_tests.benchmarks.side_by_side import machine
from facestats_pipeline_tests.counted import write_small_photos
from facestats_pipeline_tests.dagster_page import served

MADE = ".made"
PATIENCE = 60_000  # milliseconds
PAGES = {
    "asset page, partitions": ("assets/manifest?view=partitions", "Materialized ({n})"),
    "asset page of master, partitions": ("assets/master?view=partitions", "Materialized ({n})"),
    "asset page, overview": ("assets/manifest?view=overview", "why the status is not ok"),
    "graph of all assets": ("asset-groups", "embeddings"),
    "list of runs": ("runs", "Success"),
}


def command(data: Path, *words: str) -> tuple[float, float, float]:
    """Seconds by the clock, processor seconds and GiB of `facestats …` as a process."""
    program = Path(sys.executable).with_name("facestats")
    started = time.perf_counter()
    process = subprocess.Popen([program, *words, "-d", data], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"facestats {' '.join(words)} failed")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20


def planned(pipeline: Pipeline) -> tuple[float, list[Step]]:
    """Seconds of planning everything, and the runs."""
    started = time.perf_counter()
    states, shards = pipeline.states(), pipeline.shards
    graph = pipeline.freshness.graph
    steps = [
        step
        for assets in phases(graph)
        for step in plan(states, assets, graph, shards, pipeline.settings.shards_per_run)
    ]
    return time.perf_counter() - started, steps


def ticks(instance: dg.DagsterInstance) -> dict[str, list[tuple[float, str]]]:
    """Sensor → (seconds, status) of each tick that has ended."""
    found: dict[str, list[tuple[float, str]]] = {}
    for state in instance.all_instigator_state():
        for tick in instance.get_ticks(state.origin.get_id(), state.selector_id):
            if tick.end_timestamp:
                seconds = tick.end_timestamp - tick.timestamp
                found.setdefault(state.instigator_name, []).append((seconds, tick.status.value))
    return found


def open_pages(url: str, shards: int) -> None:
    """Print the seconds until each page shows what it is opened for, the first time and again, and its slowest query."""
    from playwright.sync_api import Error

    with browser() as chromium:
        for name, (path, sign) in PAGES.items():
            for time_ in ("first", "again"):
                page = chromium.new_page(viewport={"width": 1500, "height": 950})
                page.set_default_timeout(PATIENCE)
                queries: list[tuple[float, str]] = []
                page.on("requestfinished", lambda request, queries=queries: queries.append(_query(request)))
                started = time.perf_counter()
                page.goto(f"{url}/{path}")
                try:
                    page.get_by_text(sign.format(n=shards)).last.wait_for()
                except Error as why:
                    print(f"{name}, {time_}: {type(why).__name__}", flush=True)
                    continue
                seconds = time.perf_counter() - started
                slowest = max(queries, default=(0.0, ""))
                print(f"{name}, {time_}: {seconds:.1f} s; slowest query {slowest[1]} {slowest[0]:.1f} s", flush=True)
                page.close()


def _query(request: Any) -> tuple[float, str]:
    if not request.url.endswith("/graphql") and "/graphql?" not in request.url:
        return 0.0, ""
    body = request.post_data_json or {}
    return max(0.0, request.timing["responseEnd"] / 1e3), str(body.get("operationName", "?"))


def main() -> None:
    """Make or take the collection, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--photos", type=int, default=2, help="of each shard")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--served", type=float, default=120)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        data = (options.folder or Path(name)) / "data"
        if not (data / MADE).exists():
            started = time.perf_counter()
            make_collection(data, options.shards, options.photos)
            (data / MADE).touch()
            print(f"made in {time.perf_counter() - started:.0f} s")
        measure(data, options.served)


def measure(data: Path, seconds: float) -> None:
    """Status, plan, ticks, pages; then one photo more."""
    pipeline = Pipeline(load_settings(environ={}, data_dir=data), open_instance(data / ".dagster"))
    shards, assets = len(pipeline.shards), sum(node.sharded for node in pipeline.freshness.graph.values())
    events = (data / ".dagster" / "history" / "runs" / "index.db").stat().st_size
    print(f"{shards:,} shards, {assets} assets of each; the database of events has {events / 2**30:.2f} GiB")
    for _ in range(3):
        clock, processor, memory = command(data, "status")
        print(f"facestats status: {clock:.1f} s, {processor:.1f} processor s, {memory:.2f} GiB", flush=True)
    for name in ("first", "again"):
        clock, steps = planned(pipeline)
        print(f"a plan, {name} in a process: {clock:.1f} s, {len(steps)} runs to make", flush=True)
    pipeline.instance.dispose()
    with served(data, data.parent / "ui.log") as url:
        ends = time.monotonic() + seconds
        try:
            open_pages(url, shards)
        except Skipped as reason:
            print(f"not opened in a browser: {reason}")
        time.sleep(max(0.0, ends - time.monotonic()))
    instance = open_instance(data / ".dagster")
    for sensor, each in ticks(instance).items():
        took = [one for one, _ in each]
        outcomes = ", ".join(sorted({status for _, status in each}))
        print(
            f"{sensor}: {len(each)} ticks, {np.median(took):.1f} s in the median, {max(took):.1f} at most; {outcomes}"
        )
    instance.dispose()
    pipeline = Pipeline(load_settings(environ={}, data_dir=data), open_instance(data / ".dagster"))
    write_small_photos(data / "raw", 10**9, 1)
    started = time.perf_counter()
    pipeline.execute(Step((ROOT,)))
    print(f"one photo more: discovered in {time.perf_counter() - started:.1f} s, ", end="")
    clock, steps = planned(pipeline)
    made = sum(len(step.assets) * max(1, len(step.shards)) for step in steps)
    print(f"planned in {clock:.1f} s: {len(steps)} runs of {made} artifacts", flush=True)
    (data / "raw" / f"{10**9:06d}.jpg").unlink()


if __name__ == "__main__":
    main()
