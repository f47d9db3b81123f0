"""The metadata stage over millions of rows: `python -m facestats_pipeline_tests.benchmarks.bench_metadata [--rows N …]`.

For each size, in a process of its own: the tables of earlier stages are made shard by shard (untimed), then every asset of the stage is
called as Dagster calls it, its shards written by the store, in the order of the graph, flags to master, the label queue, the feature index
and the check that ids are unique. Prints seconds (by the clock, and of the processor, which other work on the machine disturbs less), peak
resident memory, the slope of log time over log rows, and for master the ratio to polars alone: reading the same columns of the same
files and writing the same rows, and, stricter, reading master and writing it, shard by shard in turn with it.

Made rows: every column of the real schemas filled with random values. Left out, because no table of this stage but the clusters reads
them: landmark meshes (3.8 KB a row), and all but 16 of the 512 numbers of an embedding. 100,000 photos have labels of people.
"""

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from facestats_pipeline.config import load_settings
from facestats_pipeline.core.metadata.cluster_table import attributes_with_clusters as place
from facestats_pipeline.core.metadata.clusters import ClusterModel, fit_clusters
from facestats_pipeline.core.metadata.manual_labels import ManualLabels, resolve_votes
from facestats_pipeline.core.metadata.manual_table import attributes_with_manual
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline.core.metadata.prediction_table import attributes_with_predictions
from facestats_pipeline.core.table_registry import tables_of
from facestats_pipeline.core.tables import KEYS, Schema
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.embeddings import vectors
from facestats_pipeline.io.io_managers import ShardImages
from facestats_pipeline.io.recipes import Recipe
from facestats_pipeline.io.shard_frames import AllShards, LazyShards
from facestats_pipeline_tests.classes import ATTRIBUTES as ATTRIBUTE_NAMES
from facestats_pipeline_tests.classes import CLASSES, ETHNICITY4, UNKNOWN

SHARD, WIDTH, LABELLED = 10_000, 16, 100_000
RECIPE = Recipe("benchmark", "1", "1")
OF_EARLIER_STAGES = (
    "manifest",
    "preproc",
    "image_quality",
    "face_geometry",
    "embeddings_clip",
    "attributes",
    "attractiveness_scores",
)
READ = {name: {*KEYS, "embedding", *master_table().reads[name]} for name in OF_EARLIER_STAGES}
SCHEMAS: dict[str, Schema] = {
    table: {
        name: pl.Array(pl.Float32(), WIDTH) if name == "embedding" else dtype
        for name, dtype in tables_of()[table].schema.items()
        if name in columns
    }
    for table, columns in READ.items()
}
WORDS = {
    **{name: [*CLASSES[name], UNKNOWN] for name in ATTRIBUTE_NAMES},
    **{f"{name}_top": list(CLASSES[name]) for name in ATTRIBUTE_NAMES},
    "ethnicity4": [*ETHNICITY4, UNKNOWN],
    **{f"{name}_source": ["probe"] for name in ("gender", "ethnicity", "age")},
    "status": ["ok"],
    "format": ["JPEG", "PNG"],
}

RANGES = {"face_count": (1, 1), "face_score": (0.7, 1), "sharpness": (0, 300), "face_fraction": (0, 0.5)}
"""Where a value between 0 and 1, or a whole number up to 10, would have every row flagged."""


def metadata_stage() -> tuple[Any, Any]:
    """The modules of the stage's assets and checks; what they use of Dagster calls itself beta at import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from facestats_pipeline.defs.metadata import assets, checks
    return assets, checks


def column(name: str, dtype: pl.DataType, n: int, rng: np.random.Generator) -> pl.Series:
    """n random values of the dtype, words of the vocabulary where the column has one."""
    if name == "phash":
        text = rng.bytes(8 * n).hex()
        return pl.Series(name, [text[i : i + 16] for i in range(0, 16 * n, 16)])
    if dtype == pl.String():
        words = WORDS.get(name, [f"the {name} of this collection"])
        return pl.Series(name, words).gather(rng.integers(0, len(words), n))
    if isinstance(dtype, pl.Array):
        return pl.Series(name, rng.standard_normal((n, WIDTH), dtype=np.float32), dtype=dtype)
    low, high = RANGES.get(name, (0, 1) if dtype.is_float() else (1, 10))
    values = rng.random(n, dtype=np.float32) * (high - low) + low
    return pl.Series(name, values if dtype.is_float() else np.rint(values)).cast(dtype)


def shard_of(number: int, n: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """(table, frame) of every input of one shard."""
    rng = np.random.default_rng(number)
    text = rng.bytes(16 * n).hex()
    ids = pl.DataFrame(
        {
            "image_id": [text[i : i + 32] for i in range(0, 32 * n, 32)],
            "filename": [f"photos/{number:05d}/{row:06d}.jpg" for row in range(n)],
        }
    )
    for table, schema in SCHEMAS.items():
        made = [column(name, dtype, n, rng) for name, dtype in schema.items() if name not in KEYS]
        yield table, ids.with_columns(made).select(list(schema))


@dataclass
class Meter:
    """Seconds by the clock and of the processor under a name, and the memory peak after it."""

    wall: dict[str, float] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)

    def seconds(self, kind: str, names: Sequence[str]) -> list[float]:
        """The seconds under each name; kind is "wall" or "busy"."""
        return [getattr(self, kind)[name] for name in names]

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        wall, busy = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.busy[name] = self.busy.get(name, 0.0) + time.process_time() - busy
        self.peak[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


class Stage:
    """The metadata assets of one data folder, called with what Dagster would load for them."""

    def __init__(self, folder: Path, rows: int, meter: Meter) -> None:
        self.folder = DataFolder(load_settings(environ={}, data_dir=folder), list)
        self.store, self.meter = self.folder.store, meter
        self.assets, self.checks = metadata_stage()
        self.shards = [f"shard-{number:05d}" for number in range(-(-rows // SHARD))]

    def inputs(self, asset: Any) -> dict[str, Any]:
        """The asset's inputs by name, read when asked for, with the columns that it declares."""
        wanted = {name: one.metadata or {} for name, one in asset.op.ins.items()}
        return {name: self.read(name, wanted[name].get("columns")) for name in asset.op.ins}

    def read(self, table: str, columns: Sequence[str] | None = None) -> Any:
        """One table's shards."""
        frames = LazyShards(self.shards, lambda shard: self.store.read_table(table, shard, columns))
        if table != "preproc":
            return frames
        return LazyShards(self.shards, lambda shard: ShardImages(shard, frames[shard], self.store))

    def write(self, table: str, frames: Mapping[str, pl.DataFrame]) -> None:
        """Make and write every shard, timed."""
        for shard in self.shards:
            with self.meter.timing(table):
                self.store.write_table(table, shard, frames[shard], RECIPE)
        print(f"{table}: {self.meter.wall[table]:.0f} s, peak {self.meter.peak[table]:.2f} GB", flush=True)

    def call(self, name: str) -> None:
        """An asset that is a table."""
        asset = getattr(self.assets, name)
        resources = {"folder": self.folder} if "folder" in asset.op.required_resource_keys else {}
        self.write(name, asset(**self.inputs(asset), **resources))

    def compare(self) -> None:
        """Polars alone: the columns of the files that master is made of, and master's own rows written; beside it master itself."""
        spare = self.store.processed / ".tmp" / "spare.parquet"
        made = self.assets.master(**self.inputs(self.assets.master))
        for shard in self.shards:
            with self.meter.timing("master"):
                self.store.write_table("master", shard, made[shard], RECIPE)
            with self.meter.timing("polars: read the inputs"):
                for table, columns in master_table().reads.items():
                    pl.read_parquet(self.store.path(table, shard), columns=list(columns))
            with self.meter.timing("polars: read master"):
                frame = pl.read_parquet(self.store.path("master", shard))
            with self.meter.timing("polars: write master"):
                frame.write_parquet(spare, compression="zstd")


def people(store: Any, shards: Sequence[str]) -> tuple[ManualLabels, dict[str, Any]]:
    """Hand labels, and out-of-fold predictions, of LABELLED photos from all over the collection."""
    each = -(-LABELLED // len(shards))
    ids = pl.concat([store.read_table("attributes", shard, ["image_id"]).head(each) for shard in shards])
    rng = np.random.default_rng(0)
    long = pl.concat(
        ids.with_columns(attribute=pl.lit(name), value=column(name, pl.String(), ids.height, rng)) for name in CLASSES
    )
    now = pl.lit("2026-11-20T12:00:00").str.to_datetime(time_unit="us", time_zone="UTC")
    votes = long.filter(pl.col("value") != UNKNOWN).with_columns(annotator=pl.lit("ana"), labelled_at=now)
    empty = pl.DataFrame()
    oof = long.with_columns(p=pl.lit(0.9, pl.Float32))
    return ManualLabels(resolve_votes(votes), empty, empty, empty), {"oof": oof, "seen": oof.drop("p", "value")}


def measure(rows: int, folder: Path) -> Meter:
    """Make the inputs, run the stage, and give the meter."""
    meter = Meter()
    stage = Stage(folder, rows, meter)
    store = stage.store
    print(f"making {rows:,} rows", flush=True)
    for number, shard in enumerate(stage.shards):
        for table, frame in shard_of(number, min(SHARD, rows - number * SHARD)):
            store.write_table(table, shard, frame, RECIPE)
    manual, known = people(store, stage.shards)
    model: ClusterModel = fit_clusters(vectors(store.read_table("embeddings_clip", stage.shards[0])), k=12)
    of_people = stage.read("attributes")
    for name in ("attributes_flags", "attributes_clean", "attributes_with_meta"):
        stage.call(name)
    # These three take a file or models beside the tables; their assets hand them to the same functions.
    embedded = stage.read("embeddings_clip")
    stage.write(
        "attributes_with_clusters",
        of_people.map(lambda frame, e: place(frame, e.select("image_id"), vectors(e), model), embedded),
    )
    stage.write("attributes_with_manual", of_people.map(partial(attributes_with_manual, manual=manual)))
    stage.write("attributes_with_predictions", of_people.map(partial(attributes_with_predictions, **known)))
    for name in ("attributes_final", "attractiveness_with_attributes"):
        stage.call(name)
    stage.compare()
    with meter.timing("labels_template"):
        rows = AllShards(stage.shards, lambda shard: store.read_table("master", shard))
        stage.assets.labels_template(rows, folder=stage.folder)
    with meter.timing("feature_index"):
        names = AllShards(stage.shards, lambda shard: store.read_table("embeddings_clip", shard, ["filename"]))
        stage.assets.feature_index(names, folder=stage.folder)
    with meter.timing("image_id_is_unique"):
        passed = stage.checks.image_id_is_unique(folder=stage.folder)
    if not passed.passed:
        raise AssertionError("made ids are not unique")
    return meter


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def show(meters: Mapping[int, Meter]) -> None:
    """Seconds and memory of each asset and of all, the slopes, and master's ratio to polars."""
    print("| asset | " + " | ".join(f"{rows / 1e6:g}M rows: s, processor s, peak GB" for rows in meters) + " |")
    print("|---|" + "--:|" * len(meters))
    names = [name for name in next(iter(meters.values())).wall if not name.startswith("polars")]
    for name in names:
        cells = [f"{m.wall[name]:.1f}, {m.busy[name]:.1f}, {m.peak[name]:.2f}" for m in meters.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    walls, busies = ([sum(m.seconds(kind, names)) for m in meters.values()] for kind in ("wall", "busy"))
    peaks = [max(m.peak.values()) for m in meters.values()]
    total = [f"{w:.1f}, {b:.1f}, {p:.2f}" for w, b, p in zip(walls, busies, peaks, strict=True)]
    print(f"| all | {' | '.join(total)} |")
    if len(meters) > 1:
        slopes = [np.polyfit(np.log(list(meters)), np.log(seconds), 1)[0] for seconds in (walls, busies)]
        print(f"slope of log time over log rows: {slopes[0]:.3f} by the clock, {slopes[1]:.3f} in processor seconds")
    for rows, meter in meters.items():
        read, own, write = meter.seconds("wall", [name for name in meter.wall if name.startswith("polars")])
        master = meter.wall["master"]
        print(
            f"master of {rows / 1e6:g}M rows: {master:.1f} s; polars reads its inputs in {read:.1f} s, writes it in {write:.1f} s: "
            f"ratio {master / (read + write):.2f}; polars reads it in {own:.1f} s: ratio to reading and writing it "
            f"{master / (own + write):.2f}"
        )


def main() -> None:
    """Measure each size, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    options = parser.parse_args()
    meters = {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            meters[rows] = alone(measure, rows, Path(folder))
        show({rows: meters[rows]})
    if len(meters) > 1:
        show(meters)


if __name__ == "__main__":
    main()
