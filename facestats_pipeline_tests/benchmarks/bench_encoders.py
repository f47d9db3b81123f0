"""Images/s of an encoder on this machine: `python -m facestats_pipeline_tests.benchmarks.bench_encoders [--encoder NAME] [--photos N]`.

bf16 over fp32 forward only, at several batch sizes, and decoding and embedding of 512 px JPEGs over forward only, exact and reduced.
"""

import argparse
import logging

import numpy as np
import torch

from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.encoders.encoder import load_model
from facestats_pipeline_tests.benchmarks.side_by_side import compare, jpegs, machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="ViT-B-32/untrained")
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    print(machine())
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
