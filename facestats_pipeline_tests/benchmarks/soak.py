"""Many runs in one process, and one long run over many photos: does memory grow, do files stay open, does the work slow down?

    nice -n 19 python -m facestats_pipeline_tests.benchmarks.soak [--runs 200] [--photos 50000] [--shard-size 1024] [--folder FOLDER]

Photos are small noisy pictures without a face, so that decoding, fitting, measuring, embedding and writing are exercised and the disk
is not. Rates are photos per processor second. Other work on the machine changes those too, by sharing caches and cores, so each is
divided by the rate of a fixed piece of work done right after it. `--runs 0` or `--photos 0` leaves that part out. Prints one JSON
document; exit code 1 when a bound is missed: resident memory within 5% after warm-up, open files the same, the last tenth within 10%
of the first.
"""

import argparse
import io
import json
import os
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facestats_pipeline.collection.pipeline import Pipeline, Step, open_instance
from facestats_pipeline.config import load_settings

ENCODER = "facestats-test-tiny/untrained"
STAGES = ("manifest", "preproc", "image_quality", "embeddings_clip")
MEMORY, RATE = 0.05, 0.10


@dataclass
class Watch:
    """What the process holds, looked at again and again."""

    resident: list[float] = field(default_factory=list)  # MiB
    files: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)  # photos per processor second
    steady: list[float] = field(default_factory=list)  # photos in the time of `fixed_work`

    def look(self, photos: int, busy: float) -> None:
        """Note memory, open files, and the rate since the last look: `photos` in `busy` processor seconds."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.resident.append(round(pages * resource.getpagesize() / 2**20, 1))
        self.files.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208  names alone
        self.rates.append(round(photos / max(busy, 1e-9), 2))
        self.steady.append(photos / max(busy, 1e-9) * fixed_work())

    def verdict(self) -> dict[str, Any]:
        """First and last tenth after a warm-up of one fifth, and whether they are alike."""
        warm = len(self.resident) // 5
        tenth = max(1, (len(self.resident) - warm) // 10)
        first, last = slice(warm, warm + tenth), slice(-tenth, None)
        memory = float(np.median(self.resident[last]) / np.median(self.resident[first]) - 1)
        rate, steady = (float(np.mean(each[last]) / np.mean(each[first]) - 1) for each in (self.rates, self.steady))
        return {
            "looks": len(self.resident),
            "resident_mib": [self.resident[warm], self.resident[-1], max(self.resident)],
            "memory_change": round(memory, 4),
            "open_files": [self.files[warm], self.files[-1], max(self.files)],
            "photos_per_processor_second": [round(float(np.mean(self.rates[s])), 2) for s in (first, last)],
            "rate_change": round(rate, 4),
            "rate_change_against_fixed_work": round(steady, 4),
            "held": memory <= MEMORY and self.files[-1] <= self.files[warm] and steady >= -RATE,
        }


def fixed_work() -> float:
    """Processor seconds of work that is the same every time and like a run's: a JPEG read and resized, arrays, JSON; about 0.3 s."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    started = time.process_time()
    for _ in range(150):
        with Image.open(io.BytesIO(buffer.getvalue())) as photo:
            pixels = np.asarray(photo.resize((128, 128), Image.Resampling.BICUBIC), dtype=np.float32)
        np.fft.rfft2(pixels, axes=(0, 1))
        json.loads(json.dumps({str(number): [number] * 8 for number in range(200)}))
    return time.process_time() - started


def write_photos(folder: Path, start: int, count: int) -> None:
    """`count` JPEGs of 64×64 px, no two alike, a thousand to a folder."""
    for number in range(start, start + count):
        place = folder / f"{number // 1000:04d}"
        place.mkdir(parents=True, exist_ok=True)
        small = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        (place / f"{number:06d}.jpg").write_bytes(buffer.getvalue())


def opened(data: Path, shard_size: int) -> Pipeline:
    """The pipeline of a data folder with a tiny encoder."""
    wanted: dict[str, Any] = {"encoder.name": ENCODER, "preproc.size": 64, "shard_size": shard_size}
    return Pipeline(load_settings(environ={}, data_dir=data, **wanted), open_instance(data / ".dagster"))


def many_runs(data: Path, runs: int) -> dict[str, Any]:
    """`runs` times in one process: two photos more, definitions made anew, discovery and the photo stages of their shard."""
    watch = Watch()
    write_photos(data / "raw", 0, 6)
    for number in range(runs):
        write_photos(data / "raw", 6 + 2 * number, 2)
        started = time.process_time()
        pipeline = opened(data, shard_size=8)
        pipeline.execute(Step(("raw_photos",)))
        pipeline.execute(Step(STAGES, (pipeline.shards[-1],)))
        pipeline.instance.dispose()
        watch.look(2, time.process_time() - started)
    return watch.verdict()


def many_photos(data: Path, photos: int, shard_size: int) -> dict[str, Any]:
    """One process over `photos` photos, looked at after each shard."""
    write_photos(data / "raw", 0, photos)
    pipeline, watch = opened(data, shard_size), Watch()
    started = time.monotonic()
    pipeline.execute(Step(("raw_photos",)))
    table = pipeline.folder.store.read_table("raw_photos")["shard"].value_counts()
    sizes = dict(table.iter_rows())
    for shard in pipeline.shards:
        busy = time.process_time()
        pipeline.execute(Step(STAGES, (shard,)))
        if sizes[shard] == shard_size:  # the last one may be small
            watch.look(sizes[shard], time.process_time() - busy)
    return {"photos": sum(sizes.values()), "seconds": round(time.monotonic() - started, 1)} | watch.verdict()


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--shard-size", type=int, default=1024)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        if options.runs:
            found["runs"] = many_runs(Path(name) / "runs", options.runs)
            print(json.dumps({"runs": found["runs"]}), flush=True)
        if options.photos:
            found["photos"] = many_photos(Path(name) / "photos", options.photos, options.shard_size)
            print(json.dumps({"photos": found["photos"]}), flush=True)
    return 0 if all(part["held"] for part in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
