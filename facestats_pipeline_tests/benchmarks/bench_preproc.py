"""Preprocessing of large photos against Pillow alone: `python -m facestats_pipeline_tests.benchmarks.bench_preproc [--threads N]`.

JPEGs of 1350² and 4000×3000 to 512², quality 95. Against: Pillow opens, converts, takes the middle square to 512² with Lanczos, and saves,
on as many threads. Faces are not looked for, since that way does not (`bench_detection`). Printed too are the SSIM of ours to it, and
the seconds of each step. Photos: london of ../shared enlarged, with grain, else made ones.
"""

import argparse
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from facestats_pipeline.core.images.decoding import decode, encode_jpeg, fit_square
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings, run_preprocessing
from facestats_pipeline_tests.benchmarks.side_by_side import compare, jpegs, machine, show_against
from facestats_pipeline_tests.core.images.similarity import ssim

LONDON = Path(__file__).resolve().parents[3] / "shared" / "data" / "london" / "images"
SIZES = ((1350, 1350), (4000, 3000))


def photos(n: int, size: tuple[int, int]) -> list[bytes]:
    """n JPEGs of quality 92."""
    paths = sorted(LONDON.glob("*.jpg"))[:n]
    if len(paths) < n:
        return jpegs(n, size, quality=92)
    out = []
    for seed, path in enumerate(paths):
        large = np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.LANCZOS)).astype(np.int16)
        large += np.random.default_rng(seed).integers(-6, 7, large.shape, dtype=np.int16)
        stored = io.BytesIO()
        Image.fromarray(np.clip(large, 0, 255).astype(np.uint8)).save(stored, "JPEG", quality=92)
        out.append(stored.getvalue())
    return out


def pillow_alone(data: bytes) -> bytes:
    """Decode, resize, save."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    small = image.resize((512, 512), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=95)
    return out.getvalue()


def reader(data: bytes) -> Callable[[], bytes]:
    """As a photo's source."""
    return lambda: data


def ours(some: list[bytes], threads: int) -> list[bytes]:
    """The stage, without a face detector."""
    listed = [(str(i), str(i), reader(data)) for i, data in enumerate(some)]
    made = run_preprocessing(listed, PreprocSettings(), None, workers=threads)
    return [one.jpeg for one in made if one.jpeg is not None]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{options.threads} threads, {options.photos} photos, {options.rounds} rounds\n{machine()}")
    for size in SIZES:
        some = photos(options.photos, size)
        print(f"\n{size[0]}×{size[1]}, {sum(map(len, some)) / len(some) / 1024:.0f} KB each")
        with ThreadPoolExecutor(options.threads) as pool:
            seconds = compare(
                {
                    "Pillow alone": lambda some=some, pool=pool: list(pool.map(pillow_alone, some)),
                    "preproc": lambda some=some: ours(some, options.threads),
                },
                len(some),
                options.rounds,
            )
        show_against("preproc", seconds)
        alike = [
            ssim(Image.open(io.BytesIO(a)), Image.open(io.BytesIO(b)))
            for a, b in zip(ours(some, 1), map(pillow_alone, some), strict=True)
        ]
        print(f"SSIM to it: median {np.median(alike):.4f}, least {min(alike):.4f}")
        torch.set_num_threads(1)
        decoded = [decode(data, min_side=512).pixels for data in some]
        small = [fit_square(pixels)[0] for pixels in decoded]
        compare(
            {
                "  decode": lambda some=some: [decode(data, min_side=512) for data in some],
                "  fit": lambda decoded=decoded: [fit_square(pixels) for pixels in decoded],
                "  encode": lambda small=small: [encode_jpeg(pixels) for pixels in small],
            },
            len(some),
            3,
        )


if __name__ == "__main__":
    main()
