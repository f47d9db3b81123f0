"""What the simulation is fed with, measured here and now: processor seconds, events, bytes and memory of each part of the pipeline."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline.config import load_settings
from facestats_pipeline.core.attributes.inference import AttributeModels, infer_attributes
from facestats_pipeline.core.ingest.inventory import update_inventory
from facestats_pipeline.core.ingest.photo_source import Found
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import ROOT
from facestats_pipeline.io.plan import Step, phases
from facestats_pipeline_tests.benchmarks import bench_metadata
from facestats_pipeline_tests.benchmarks.bench_shard import STAGES, photos
from facestats_pipeline_tests.benchmarks.side_by_side import busy
from facestats_pipeline_tests.counted import write_small_photos

WHOLE = ("labels_template", "feature_index", "image_id_is_unique")
"""What `bench_metadata` measures that one process does over all shards."""
TINY = {"encoder.name": "facestats-test-tiny/untrained", "preproc.size": 64, "preproc.align": False}


@dataclass(frozen=True)
class Costs:
    """Seconds are of one processor."""

    photo: float  # a photo of the image stages
    photo_bytes: float  # a photo's file
    attributes: float  # a photo of `attributes`, shipped probes
    row: float  # a photo of flags to master
    row_whole: float  # a photo of what one process does over all of master
    shard: tuple[
        float, float
    ]  # a shard of the image stages, and of those from attributes to master, whatever its photos
    events: tuple[float, float]  # a shard's, in these phases
    run_events: float
    start: float  # a process, until a run's first step
    event: float  # by the clock: the log takes one event
    listed: float  # a file that discovery has seen before
    listed_bytes: float  # of memory, for each file of the inventory


def measured(encoder: str = "facestats-mini", images: int = 256) -> Costs:
    """Everything, in about two minutes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many = (_image_stages(folder / str(n), n, encoder) for n in (images // 4, images))
        meter = bench_metadata.alone(bench_metadata.measure, 100_000, folder / "metadata")
        whole = sum(meter.seconds("busy", WHOLE))
        others = [name for name in meter.busy if name not in WHOLE and not name.startswith("polars")]
        shards, events, run_events = _of_shards(folder / "shards")
        listed, listed_bytes = bench_metadata.alone(_inventory, 200_000)
        return Costs(
            photo=(many[0] - few[0]) / (images - images // 4),
            photo_bytes=many[1],
            attributes=_attributes(encoder),
            row=sum(meter.seconds("busy", others)) / 100_000,
            row_whole=whole / 100_000,
            shard=shards,
            events=events,
            run_events=run_events,
            start=_start(),
            event=_event(folder / "log"),
            listed=listed,
            listed_bytes=listed_bytes,
        )


def _image_stages(folder: Path, n: int, encoder: str) -> tuple[float, float]:
    """Processor seconds of one shard of n photos through Dagster, models loaded before; mean bytes of a photo."""
    photos(folder / "raw", None, n)
    settings = load_settings(environ={}, data_dir=folder, **{"encoder.name": encoder})
    pipeline = Pipeline(settings, open_instance(folder / ".dagster"))
    pipeline.execute(Step((ROOT,)))
    pipeline.folder.encoder, pipeline.folder.detector  # noqa: B018  loading is paid once a run
    began = busy()
    pipeline.execute(Step(STAGES, tuple(pipeline.shards)))
    sizes = [path.stat().st_size for path in (folder / "raw").rglob("*") if path.is_file()]
    return busy() - began, float(np.mean(sizes))


def _of_shards(folder: Path) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Processor seconds and events of a shard of two photos in each sharded phase, from runs of 2 and of 18 shards; events of a run."""
    write_small_photos(folder / "raw", 0, 40)
    settings = load_settings(environ={}, data_dir=folder, shard_size=2, **TINY)
    pipeline = Pipeline(settings, open_instance(folder / ".dagster"))
    pipeline.execute(Step((ROOT,)))
    graph, names = pipeline.freshness.graph, pipeline.shards
    seconds, events, of_run = [], [], []
    for assets in phases(graph):
        if not graph[assets[0]].sharded:
            made = tuple(name for name in assets if name != ROOT and not graph[name].on_demand)
            pipeline.execute(Step(made))
            continue
        pipeline.execute(Step(tuple(assets), tuple(names[:1])))  # the first is slower
        told = [_told(pipeline, Step(tuple(assets), tuple(shards))) for shards in (names[1:2], names[2:])]
        (few, few_events), (many, many_events) = told
        seconds.append((many - few) / (len(names) - 3))
        events.append((many_events - few_events) / (len(names) - 3))
        of_run.append(few_events - events[-1])
    return (seconds[0], seconds[1]), (events[0], events[1]), float(np.mean(of_run))


def _told(pipeline: Pipeline, step: Step) -> tuple[float, int]:
    """Processor seconds of a run, and how many events it logged."""
    began = busy()
    pipeline.execute(step)
    seconds = busy() - began
    run = pipeline.instance.get_runs(limit=1)[0]
    return seconds, len(pipeline.instance.all_logs(run.run_id))


def _attributes(encoder: str, n: int = 4096) -> float:
    folder = DataFolder(load_settings(environ={}, data_dir=Path("none"), **{"encoder.name": encoder}), list)
    models = AttributeModels().completed(folder.shipped_probes(folder.encoder.model_id), lambda: None)
    x = np.random.default_rng(0).standard_normal((n, folder.encoder.dim)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    ids = pl.DataFrame({"image_id": [f"{i:032x}" for i in range(n)], "filename": [str(i) for i in range(n)]})
    began = busy()
    infer_attributes(ids, x, models, usable=np.ones(n, bool), encoder_id=folder.encoder.model_id)
    return (busy() - began) / n


def _start() -> float:
    """A new process up to definitions, encoder and detector, less what it does at the end."""
    code = (
        "from facestats_pipeline.definitions import defs; folder = defs().resources['folder']; "
        "folder.encoder, folder.detector; import facestats_pipeline.core.preproc.preprocessing"
    )
    began = busy()
    subprocess.run([sys.executable, "-c", code], check=True)
    return busy() - began


def _event(folder: Path, n: int = 200) -> float:
    """Of Dagster's SQLite storage; PostgreSQL on the same machine takes about as long."""
    instance = open_instance(folder)
    began = time.perf_counter()
    for i in range(n):
        instance.report_runless_asset_event(dg.AssetMaterialization("manifest", partition=f"shard-{i:05d}"))
    return (time.perf_counter() - began) / n


class _Names:
    """So many files, as a folder lists them that was seen before."""

    def __init__(self, n: int) -> None:
        self.n = n

    def listed(self, *, max_bytes: int) -> list[Found]:
        """All of them."""
        return list(self.scan(max_bytes=max_bytes))

    def scan(self, *, max_bytes: int, after: str = "") -> Iterator[Found]:
        """One by one."""
        return (Found(f"photos/{i // 1000:06d}/{i:09d}.jpg", 100_000, 10**18 + i) for i in range(self.n))

    def available(self) -> bool:
        """They are."""
        return True

    def read(self, filename: str, expected_id: str | None = None, *, size: int | None = None) -> bytes:
        """Bytes of their own."""
        return filename.encode()


def _inventory(n: int) -> tuple[float, float]:
    """Processor seconds and bytes of memory for each file of an inventory that is looked at again and has not changed."""
    source, now = _Names(n), datetime.now(UTC)
    empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inventory, _ = update_inventory(None, source, shard_size=2048, max_bytes=10**9, now=now)
    began = busy()
    _, changes = update_inventory(inventory, source, shard_size=2048, max_bytes=10**9, now=now)
    seconds, peak = busy() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if changes.unchanged != n:
        raise AssertionError(f"{changes} of {n} files that have not changed")
    return seconds / n, (peak - empty) * 1024 / n
