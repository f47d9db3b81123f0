"""Peak memory of a run over one shard: `python -m facestats_pipeline_tests.benchmarks.bench_memory [--images N]`.

For each encoder, in a process of its own: discovery, then manifest to embeddings through Dagster, in one run over a shard of N made photos.
Aims, resident: under 1.5 GB with ViT-B/32, under 0.8 GB with FaceStats-Mini. The peak is the kernel's VmHWM, that of the process alone.
"""

import argparse
import logging
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from facestats_pipeline_tests.benchmarks.side_by_side import jpegs, machine

AIMS = {"ViT-B-32/untrained": 1.5, "facestats-mini": 0.8}
STAGES = ("manifest", "preproc", "image_quality", "face_geometry", "embeddings_clip")


def peak() -> float:
    """The most memory that this process has had resident, in GB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


def measured(encoder: str, images: int) -> list[tuple[str, float]]:
    """(after which stage, the peak until then) of one run."""
    from facestats_pipeline.collection.pipeline import Pipeline, Step, open_instance
    from facestats_pipeline.config import load_settings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name) / "raw"
        raw.mkdir()
        for number, photo in enumerate(jpegs(32, (900, 900))):
            for copy in range(-(-images // 32)):  # a byte after the end of a JPEG makes it another image
                (raw / f"{number:02}_{copy:04}.jpg").write_bytes(photo + copy.to_bytes(4, "big"))
        settings = load_settings(environ={}, data_dir=Path(name), **{"encoder.name": encoder})
        pipeline = Pipeline(settings, open_instance(Path(name) / ".dagster"))
        pipeline.execute(Step(("raw_photos",)))
        found = [("definitions and discovery", peak())]
        for stage in STAGES:
            pipeline.execute(Step((stage,), tuple(pipeline.shards)))
            found.append((stage, peak()))
        if pipeline.folder.store.read_table("embeddings_clip", pipeline.shards[0]).is_empty():
            raise AssertionError("nothing was embedded")
        return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--encoder", action="append", help="default: ViT-B-32/untrained and facestats-mini")
    options = parser.parse_args()
    print(machine())
    for encoder in options.encoder or list(AIMS):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found = pool.submit(measured, encoder, options.images).result()
        aim = f", aim {AIMS[encoder]} GB" if encoder in AIMS else ""
        print(f"{encoder}, {options.images} photos: peak {found[-1][1]:.2f} GB{aim}; after", end=" ")
        print(", ".join(f"{stage} {gb:.2f}" for stage, gb in found), flush=True)


if __name__ == "__main__":
    main()
