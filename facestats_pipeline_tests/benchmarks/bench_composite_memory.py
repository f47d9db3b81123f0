"""One composite against np.stack of all faces and their mean: `python -m facestats_pipeline_tests.benchmarks.bench_composite_memory`.

Made JPEGs of 512 px; each way in a process of its own, in turn. Aims: no slower, at most 5% of its memory. Memory is the kernel's
VmHWM, less what the process had before it read the first face.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from facestats_pipeline_tests.benchmarks.bench_memory import peak
from facestats_pipeline_tests.benchmarks.side_by_side import jpegs, machine, ratio


def stacked(paths: list[Path]) -> Image.Image:
    """All faces in memory, then their mean."""
    faces = np.stack([np.asarray(Image.open(path)) for path in paths])
    return Image.fromarray(faces.mean(axis=0).round().astype(np.uint8))


def ours(paths: list[Path]) -> Image.Image:
    """The composite as the pipeline makes it, by the plain mean."""
    from facestats_pipeline.core.composites.generate import make_composite

    return make_composite(paths, size=512, method="mean").image


def measured(way: Callable[[list[Path]], Image.Image], paths: list[Path]) -> tuple[float, float, float, bytes]:
    """Seconds by the clock and of the processor, GB, and the picture's pixels. The way is called with one face first."""
    way(paths[:10])
    before, clock, processor = peak(), time.perf_counter(), time.process_time()
    picture = way(paths)
    return time.perf_counter() - clock, time.process_time() - processor, peak() - before, picture.tobytes()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    told: dict[str, list[tuple[float, float, float, bytes]]] = {"stacked": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for number, photo in enumerate(jpegs(20)):
            (Path(name) / f"{number}.jpg").write_bytes(photo)
            paths.append(Path(name) / f"{number}.jpg")
        paths = [paths[i % len(paths)] for i in range(options.images)]
        for _ in range(options.rounds):
            for way in (stacked, ours):
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    told[way.__name__].append(pool.submit(measured, way, paths).result())
    for way_name, rounds in told.items():
        clock, processor, memory, _ = (sorted(column)[len(rounds) // 2] for column in zip(*rounds, strict=True))
        print(f"{way_name:8} {clock:7.1f} s {processor:7.1f} processor s {memory * 1000:8.0f} MB")
    columns = {
        way_name: [list(column) for column in zip(*rounds, strict=True)][:3] for way_name, rounds in told.items()
    }
    for kind, label in enumerate(("seconds by the clock", "processor seconds", "memory")):
        print(f"ours, times np.stack: {label} {ratio(columns['ours'][kind], columns['stacked'][kind])}")
    pictures = [np.frombuffer(rounds[0][3], np.uint8).astype(int) for rounds in told.values()]
    print(f"largest difference of a pixel: {np.abs(pictures[0] - pictures[1]).max()}")


if __name__ == "__main__":
    main()
