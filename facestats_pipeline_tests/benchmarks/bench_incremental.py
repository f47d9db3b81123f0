"""What 1% more photos cost, counted in photos decoded and encoded, and in processor seconds; and whether a sealed shard is written.

    python -m facestats_pipeline_tests.benchmarks.bench_incremental [--photos 20000] [--added 200] [--shard-size 2048] [--folder FOLDER]

Photos are small and made, without a face, and the encoder is tiny and untrained: what is counted does not depend on either. Exit code 1
when the work on each photo is more than 3% of a full run's, or a sealed shard was written.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from facestats_pipeline.cli.pipeline import Pipeline, open_instance
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline_tests.counted import PER_PHOTO, counting, files_of_shards, write_small_photos

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


def measure(data: Path, photos: int, added: int, shard_size: int) -> dict[str, Any]:
    """A full run, then one with `added` photos more."""
    write_small_photos(data / "raw", 0, photos)
    save_settings(data, SETTINGS | {"shard_size": shard_size})
    full, full_seconds = updated(data)
    sealed = {f"shard-{number:05d}" for number in range(photos // shard_size)}
    before = files_of_shards(data, sealed)
    write_small_photos(data / "raw", photos, added)
    more, more_seconds = updated(data)
    after = files_of_shards(data, sealed)
    shares = {what: more[what] / full[what] for what in PER_PHOTO}
    return {
        "photos": photos,
        "added": added,
        "full run": dict(full),
        "with the added ones": dict(more),
        "largest share of the work on each photo": round(max(shares.values()), 4),
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        found = measure(Path(name), options.photos, options.added, options.shard_size)
    print(json.dumps(found, indent=1))
    return int(found["largest share of the work on each photo"] > MOST or found["of them written"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
