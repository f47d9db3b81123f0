"""One shard of photos through Dagster, against the same core functions in a plain loop; images/s of each stage.

    python -m facestats_pipeline_tests.benchmarks.bench_shard [--images 2048] [--encoder NAME] [--photos FOLDER]

Photos: FOLDER, else ../shared/data/fairface_photos, else demo faces. Prints seconds and images/s for each stage, and the share of the
Dagster run that is spent outside core functions (aim: under 10%), by the clock and in processor seconds, which are steadier on a machine
that others use too.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from facestats_pipeline.collection.pipeline import Pipeline, Step, open_instance
from facestats_pipeline.config import PROJECT_ROOT, load_settings
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.core.embeddings.embedding_table import embedding_table
from facestats_pipeline.core.ingest.identity import read_photo
from facestats_pipeline.core.ingest.manifest import build_manifest
from facestats_pipeline.core.ingest.sources import Sources
from facestats_pipeline.core.preproc.preprocessed_shard import PreprocessedShard
from facestats_pipeline.core.preproc.quality import image_quality

SHARED_PHOTOS = PROJECT_ROOT.parent / "shared" / "data" / "fairface_photos" / "images"
STAGES = ("manifest", "preproc", "image_quality", "embeddings_clip")


def photos(folder: Path, source: Path | None, n: int) -> None:
    """Put n photos into `folder`."""
    source = source or (SHARED_PHOTOS if SHARED_PHOTOS.is_dir() else None)
    if source is None:
        generate_demo(n, folder, folder.parent / "labels")
        return
    folder.mkdir(parents=True)
    for path in sorted(source.rglob("*.jpg"))[:n]:
        shutil.copyfile(path, folder / path.name)


def timed(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Run `work`, adding its seconds to `seconds[name]`."""
    started = time.perf_counter()
    result = work()
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
    return result


def plain(pipeline: Pipeline, folder: Path) -> dict[str, float]:
    """The core functions in a loop: what Dagster calls, without Dagster, recipes or Parquet."""
    opened, settings = pipeline.folder, pipeline.settings
    seconds: dict[str, float] = {}
    read = partial(read_photo, settings.raw)
    inventory = opened.store.read_table("raw_photos")
    manifest = timed(
        seconds, "manifest", lambda: build_manifest(inventory, read, Sources(), max_pixels=settings.ingest.max_pixels)
    )
    shard = PreprocessedShard(manifest, read, opened.preproc_settings, opened.detector, settings.preproc.workers)

    def preprocess() -> pl.DataFrame:
        for image_id, jpeg in shard.jpegs:
            (folder / f"{image_id}.jpg").write_bytes(jpeg)
        return shard.table()

    table = timed(seconds, "preproc", preprocess)

    def path(image_id: str) -> Path:
        return folder / f"{image_id}.jpg"

    listed = [(row["image_id"], row["filename"], path(row["image_id"])) for row in table.to_dicts()]
    sizes = manifest.select("image_id", "width", "height").unique("image_id")
    timed(seconds, "image_quality", lambda: image_quality(listed, table, sizes))
    embed = partial(embedding_table, table, path, opened.encoder, batch_size=settings.encoder.batch_size)
    timed(seconds, "embeddings_clip", embed)
    return seconds


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--encoder", default=None)
    parser.add_argument("--photos", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos(folder / "raw", options.photos, options.images)
        overrides = {"encoder.name": options.encoder} if options.encoder else {}
        settings = load_settings(environ={}, data_dir=folder, shard_size=options.images + 1000, **overrides)
        pipeline = Pipeline(settings, open_instance(folder / ".dagster"))
        pipeline.execute(Step(("raw_photos",)))
        n = pipeline.folder.store.read_table("raw_photos").height
        pipeline.folder.image_encoder, pipeline.folder.detector  # noqa: B018  loading is paid once per run, in both
        (folder / "plain").mkdir()
        busy = time.process_time()
        core = plain(pipeline, folder / "plain")
        core_busy = time.process_time() - busy
        started, busy = time.perf_counter(), time.process_time()
        pipeline.execute(Step(STAGES, tuple(pipeline.shards)))
        whole, whole_busy = time.perf_counter() - started, time.process_time() - busy
        print(
            f"{n} photos, encoder {settings.encoder.name}, detector {getattr(pipeline.folder.detector, 'name', 'none')}"
        )
        for stage, seconds in core.items():
            print(f"{stage:<16} {seconds:7.1f} s {n / seconds:8.0f} images/s")
        total = sum(core.values())
        print(f"core functions   {total:7.1f} s\nthrough Dagster  {whole:7.1f} s   ratio {whole / total:.3f}")
        print(f"in processor seconds {core_busy:.1f} and {whole_busy:.1f}, ratio {whole_busy / core_busy:.3f}")
        print(
            f"outside core functions: {1 - total / whole:.1%} of the clock, {1 - core_busy / whole_busy:.1%} of processor time"
        )


if __name__ == "__main__":
    main()
