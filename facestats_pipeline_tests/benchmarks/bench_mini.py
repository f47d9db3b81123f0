"""FaceStats-Mini against ViT-B/32: `python -m facestats_pipeline_tests.benchmarks.bench_mini [--photos N] [--rounds N]`.

ViT-B/32 as the original used it, in fp32 and one photo at a time; Mini as the pipeline runs it. Both from the same 512 px JPEGs,
decoding included, in turn, several rounds over. ViT-B/32 has random weights here, which take the same time.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from facestats_pipeline.core.encoders.embedding import extract_embedding, run_embedding
from facestats_pipeline.core.encoders.encoder import load_model
from facestats_pipeline_tests.benchmarks.side_by_side import compare, jpegs, machine

MODELS = Path(__file__).resolve().parents[2] / "models"


def main() -> None:
    """Print images/s and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    print(machine())
    large = load_model("ViT-B-32/untrained", precision="fp32")
    mini = load_model("facestats-mini", models_dir=MODELS)
    stored = jpegs(args.photos)
    pixels = torch.from_numpy(np.stack([mini.input.read(one) for one in stored]))
    compare(
        {
            "ViT-B/32, fp32, one at a time": lambda: [extract_embedding(one, large) for one in stored],
            f"Mini, {mini.precision}, one at a time": lambda: [extract_embedding(one, mini) for one in stored],
            f"Mini, {mini.precision}, run_embedding": lambda: run_embedding(stored, mini),
            f"Mini, {mini.precision}, forward only": lambda: [
                mini.encode_pixels(part) for part in pixels.split(mini.batch_size)
            ],
        },
        args.photos,
        args.rounds,
    )


if __name__ == "__main__":
    main()
