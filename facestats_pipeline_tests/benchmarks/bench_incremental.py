"""What 1% more photos cost, counted in photos decoded and encoded, and in processor seconds; and whether a sealed shard is written.

    python -m facestats_pipeline_tests.benchmarks.bench_incremental [--photos 20000] [--added 200] [--shard-size 2048] [--folder FOLDER]
        [--faces ../shared/data/fairface_train --detector YUNET.onnx]

The encoder is tiny and untrained: what is counted does not depend on it. Photos are small and made, without a face, so that none of them
is in a composite; with --faces they are those in the column `jpeg` of a folder of Parquet files, found and aligned by --detector. Exit code
1 when more than 3% of a full run's images are decoded or encoded, or a sealed shard was written.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline_tests.counted import PER_PHOTO, counting, files_of_shards, write_faces, write_small_photos

MOST = 0.03
SETTINGS = {
    "encoder.name": "facestats-test-tiny/untrained",
    "preproc.size": 64,
    "preproc.align": False,
    "zeroshot.enabled": False,
}


def updated(data: Path) -> tuple[Counter[str], float]:
    """What `facestats run` does, counted, and its processor seconds."""
    busy = time.process_time()
    with counting() as counts:
        Pipeline(load_settings(environ={}, data_dir=data), open_instance(data / ".dagster")).update()
    return counts, round(time.process_time() - busy, 1)


def measure(
    data: Path, photos: int, added: int, shard_size: int, faces: Path | None = None, detector: Path | None = None
) -> dict[str, Any]:
    """A full run, then one with `added` photos more."""
    write = write_small_photos if faces is None else partial(write_faces, faces=faces)
    found = {"preproc.align": True, "preproc.size": 128, "preproc.detector_model": str(detector)} if faces else {}
    write(data / "raw", 0, photos)
    save_settings(data, SETTINGS | {"shard_size": shard_size} | found)
    full, full_seconds = updated(data)
    sealed = {f"shard-{number:05d}" for number in range(photos // shard_size)}
    before = files_of_shards(data, sealed)
    write(data / "raw", photos, added)
    more, more_seconds = updated(data)
    after = files_of_shards(data, sealed)
    shares = {what: more[what] / full[what] for what in PER_PHOTO}
    return {
        "photos": photos,
        "added": added,
        "full run": dict(full),
        "with the added ones": dict(more),
        "largest share of the work on each photo": round(max(shares.values()), 4),
        "share of all images decoded and encoded": round(more.total() / full.total(), 4),
        "processor seconds": [full_seconds, more_seconds],
        "files of sealed shards": len(before),
        "of them written": sum(before[name] != after.get(name) for name in before) + len(after.keys() - before.keys()),
    }


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--added", type=int, default=200)
    parser.add_argument("--shard-size", type=int, default=2048)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--faces", type=Path, default=None)
    parser.add_argument("--detector", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        found = measure(Path(name), options.photos, options.added, options.shard_size, options.faces, options.detector)
    print(json.dumps(found, indent=1))
    shares = [found["largest share of the work on each photo"], found["share of all images decoded and encoded"]]
    return int(max(shares) > MOST or found["of them written"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
