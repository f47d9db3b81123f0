"""Thousands of damaged images through everything that reads a photo's bytes, in a process that may not take more memory than it should.

    python -m facestats_pipeline_tests.robustness.images [--count 2000] [--seed 0] [--gigabytes 4]

Prints one JSON document: files, what became of them, the slowest file and the peak of resident memory. A crash of the interpreter
is its exit code.
"""

import argparse
import json
import resource
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from facestats_pipeline.core.images.decoding import ImageProblem, decode
from facestats_pipeline.core.ingest.identity import read_photo
from facestats_pipeline.core.ingest.inventory import update_inventory
from facestats_pipeline.core.ingest.manifest import build_manifest
from facestats_pipeline.core.ingest.sources import Sources
from facestats_pipeline.core.preproc.preprocessed_shard import PreprocessedShard
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings
from facestats_pipeline_tests.robustness.mutations import mutated_images


def decode_each(count: int, seed: int) -> dict[str, Any]:
    """Decode every file by itself, at full size and small; anything but ImageProblem ends the process."""
    statuses: Counter[str] = Counter()
    slowest, its_name = 0.0, ""
    for name, data in mutated_images(count, seed):
        started = time.monotonic()
        try:
            decode(data)
            decode(data, min_side=64)
            statuses["ok"] += 1
        except ImageProblem as problem:
            assert problem.reason and "/" not in problem.reason.replace("(", " ").split()[0], (name, problem.reason)
            statuses[problem.status] += 1
        seconds = time.monotonic() - started
        if seconds > slowest:
            slowest, its_name = seconds, name
    return {"decoded": dict(statuses), "slowest_seconds": round(slowest, 3), "slowest": its_name}


def account_for_each(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """The same files in a folder, through discovery, manifest and preprocessing: what became of each row."""
    raw = folder / "raw"
    raw.mkdir()
    for name, data in mutated_images(count, seed):
        (raw / name).write_bytes(data)
    inventory, _ = update_inventory(None, raw, shard_size=10 * count, max_bytes=1 << 20, now=datetime.now(UTC))
    read = partial(read_photo, raw)
    manifest = build_manifest(inventory, read, Sources(), max_pixels=PreprocSettings().max_pixels)
    shard = PreprocessedShard(manifest, read, PreprocSettings(size=32), None)
    pictures = {image_id for image_id, _ in shard.jpegs}
    table = shard.table()
    return {
        "files": inventory.height,
        "manifest": dict(manifest["status"].value_counts().iter_rows()),
        "without_reason": [
            name
            for name, status, reason in manifest.select("filename", "status", "reason").iter_rows()
            if status != "ok" and not reason
        ],
        "preprocessed": dict(table["status"].value_counts().iter_rows()),
        "pictures": len(pictures),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="address space of the process")
    options = parser.parse_args()
    most = int(options.gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    found: dict[str, Any] = {"count": options.count} | decode_each(options.count, options.seed)
    with tempfile.TemporaryDirectory() as name:
        found |= account_for_each(Path(name), options.count, options.seed)
    # Of this program alone: getrusage also counts what the process that started it held before it became this program.
    status = Path("/proc/self/status").read_text().split()
    found["peak_resident_mib"] = int(status[status.index("VmHWM:") + 1]) // 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
