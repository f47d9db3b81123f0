"""How the time of a full run grows with the collection: `python -m facestats_pipeline_tests.benchmarks.bench_scaling [--photos N …]`.

Each size in a process of its own: N small made photos (96 px), then `facestats run` from nothing with the tiny encoder and no face model,
every asset. Prints seconds by the clock and of the processor, and the slope of log time over log photos; the aim is at most 1.03.
"""

import argparse
import logging
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from facestats_pipeline_tests.benchmarks.side_by_side import busy, jpegs, machine

ENCODER = "facestats-test-tiny/untrained"


def full_run(photos: int) -> tuple[float, float, dict[str, float]]:
    """Seconds by the clock, of the processor, and of each asset."""
    from facestats_pipeline.cli.run import execute
    from facestats_pipeline.collection.collection import Collection
    from facestats_pipeline.config import load_settings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name) / "raw"
        raw.mkdir()
        for number, photo in enumerate(jpegs(500, (96, 96))):
            for copy in range(photos // 500):  # bytes after the end of a JPEG make it another image
                (raw / f"{number:03}_{copy:04}.jpg").write_bytes(photo + copy.to_bytes(4, "big"))
        overrides = {"encoder.name": ENCODER, "preproc.size": 64}
        settings = load_settings(environ={}, data_dir=Path(name), **overrides)
        clock, processor = time.perf_counter(), busy()
        summary = execute(Collection(settings), quiet=True)
        clock, processor = time.perf_counter() - clock, busy() - processor
        if summary["error"] or summary["photos"] != {"ok": photos}:
            raise AssertionError(f"the run of {photos} photos: {summary['error']}, {summary['photos']}")
        return clock, processor, {row["asset"]: row["seconds"] for row in summary["made"]}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 2000, 4000, 8000, 16_000, 32_000, 64_000])
    options = parser.parse_args()
    print(machine())
    told: dict[int, tuple[float, float, dict[str, float]]] = {}
    for n in options.photos:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            told[n] = pool.submit(full_run, n).result()
        clock, processor, by_asset = told[n]
        longest = sorted(by_asset.items(), key=lambda item: -item[1])[:4]
        print(f"{n:>6} photos: {clock:.0f} s, {processor:.0f} processor s; ", end="")
        print(", ".join(f"{asset} {seconds:.0f}" for asset, seconds in longest), flush=True)
    if len(told) > 1:
        for kind, name in enumerate(("by the clock", "in processor seconds")):
            slope = np.polyfit(np.log(list(told)), np.log([one[kind] for one in told.values()]), 1)[0]
            print(f"slope of log time over log photos, {name}: {slope:.3f}")


if __name__ == "__main__":
    main()
