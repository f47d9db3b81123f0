"""Images/s of an encoder on this machine: `python -m facestats_pipeline_tests.benchmarks.bench_encoders [--encoder NAME] [--photos N]`.

Every figure is measured in turn with the others, several rounds over, and given as the median ratio, so that other work on the
machine falls on all of them alike: bf16 over fp32 forward only, and decoding and embedding of 512 px JPEGs over forward only.
"""

import argparse
import io
import logging
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from facestats_pipeline.core.embeddings.encoders import load_model, run_embedding


def jpegs(n: int) -> list[bytes]:
    """512 px JPEGs with the detail of photos: smooth colours with grain."""
    out = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        base = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize(
            (512, 512), Image.Resampling.BICUBIC
        )
        pixels = np.clip(np.asarray(base) + rng.normal(0, 3, (512, 512, 3)), 0, 255).astype(np.uint8)
        stored = io.BytesIO()
        Image.fromarray(pixels).save(stored, "JPEG", quality=95)
        out.append(stored.getvalue())
    return out


def compare(ways: dict[str, Callable[[], object]], photos: int, rounds: int) -> None:
    """Print images/s (best) and the median ratio to the first way, with its range."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    first = next(iter(seconds.values()))
    for name, some in seconds.items():
        ratios = [base / one for base, one in zip(first, some, strict=True)]
        best, low, middle, high = photos / min(some), min(ratios), float(np.median(ratios)), max(ratios)
        print(f"{name:32s} {best:8.1f} images/s   x {middle:.2f}  ({low:.2f}–{high:.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="ViT-B-32/untrained")
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    encoders = {precision: load_model(args.encoder, precision=precision) for precision in ("fp32", "bf16")}
    stored = jpegs(args.photos)
    pixels = torch.from_numpy(np.stack([encoders["fp32"].input.read(one) for one in stored]))
    for batch in (1, 16, 32, 64):
        print(f"forward only, batch {batch}")
        compare(
            {
                p: (lambda e=e, b=batch: [e.encode_pixels(part) for part in pixels.split(b)])
                for p, e in encoders.items()
            },
            args.photos,
            args.rounds,
        )
    for precision, encoder in encoders.items():
        print(f"from JPEGs, {precision}, batch {encoder.batch_size}")
        compare(
            {
                "forward only": lambda e=encoder: [e.encode_pixels(part) for part in pixels.split(e.batch_size)],
                "run_embedding, exact": lambda e=encoder: run_embedding(stored, e, exact=True),
                "run_embedding, reduced decoding": lambda e=encoder: run_embedding(stored, e, exact=False),
            },
            args.photos,
            args.rounds,
        )


if __name__ == "__main__":
    main()
