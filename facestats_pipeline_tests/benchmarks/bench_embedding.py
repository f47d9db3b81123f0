"""Embedding from preprocessed JPEGs, end to end, against the ceiling and against what a user would take instead.

    python -m facestats_pipeline_tests.benchmarks.bench_embedding [--encoder NAME] [--photos N] [--rounds N] [--threads N]

The ceiling is the forward pass alone at its best batch, of those tried. With ViT-B-32 the others are: transformers' CLIPModel on one
image at a time in fp32 (the original's way), sentence-transformers' CLIP `encode`, and open_clip behind a DataLoader at batch 64 in
fp32; all with random weights of the same architecture, which take the same time. The last two need `pip install -e '.[bench]'`.
"""

import argparse
import io
import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.encoders.encoder import Encoder, load_model
from facestats_pipeline.core.encoders.open_clip_compat import import_open_clip
from facestats_pipeline.core.single_thread import torch_threads
from facestats_pipeline_tests.benchmarks.side_by_side import compare, jpegs, machine, measure, show_against

MODELS = Path(__file__).resolve().parents[2] / "models"
BATCHES = (8, 16, 32, 64)
Way = Callable[[], Any]


def picture(photo: bytes) -> Image.Image:
    """A photo as a user would open it."""
    return Image.open(io.BytesIO(photo)).convert("RGB")


def originals(photos: list[bytes]) -> Way:
    """transformers, one image at a time, as the original FaceStats called it."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    model, processor = CLIPModel(CLIPConfig()).eval(), CLIPImageProcessorPil()

    def run() -> None:
        for photo in photos:
            with torch.no_grad():
                model.get_image_features(**processor(images=picture(photo), return_tensors="pt"))

    return run


def sentence_transformers(photos: list[bytes], folder: Path) -> Way:
    """sentence-transformers' `encode`, which takes pictures and batches them by 32; weights and a tokenizer are made in `folder`."""
    from sentence_transformers import SentenceTransformer
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

    words = [
        "<|startoftext|>",
        "<|endoftext|>",
        *(chr(i) for i in range(97, 123)),
        *(f"{chr(i)}</w>" for i in range(97, 123)),
    ]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(str(folder))
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPProcessor(CLIPImageProcessorPil(), tokenizer).save_pretrained(folder)
    model = SentenceTransformer(str(folder), device="cpu")
    return lambda: model.encode([picture(photo) for photo in photos], show_progress_bar=False)


def data_loader(photos: list[bytes], processes: int) -> Way:
    """open_clip in fp32 behind torch's DataLoader, 64 at a time, decoded by `processes` (0: by this one)."""
    open_clip = import_open_clip()
    model, _, transform = open_clip.create_model_and_transforms("ViT-B-32")
    model.eval()

    class Photos(torch.utils.data.Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(photos)

        def __getitem__(self, i: int) -> torch.Tensor:
            decoded: torch.Tensor = transform(picture(photos[i]))
            return decoded

    def run() -> None:
        with torch.no_grad():
            for batch in torch.utils.data.DataLoader(Photos(), batch_size=64, num_workers=processes):
                model.encode_image(batch)

    return run


def best_batch(encoder: Encoder, pixels: torch.Tensor) -> int:
    """The batch at which the forward pass alone takes least of the processor."""
    ways = {str(n): (lambda n=n: [encoder.encode_pixels(part) for part in pixels.split(n)]) for n in BATCHES}
    seconds = measure(ways, 2)
    for n, some in seconds.items():
        print(f"forward only, batch {n:>2}: {len(pixels) / min(some.processor):7.1f} images/processor s")
    return int(min(seconds, key=lambda n: min(seconds[n].processor)))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="ViT-B-32/untrained")
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores for every way alike")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    with torch_threads(options.threads) as limit, tempfile.TemporaryDirectory() as folder:
        limit()
        encoder = load_model(options.encoder, models_dir=MODELS)
        photos = jpegs(options.photos)
        print(
            f"{encoder.name}, {encoder.precision}, {options.threads} threads, {options.photos} photos of 512², {options.rounds} rounds"
        )
        print(machine())
        pixels = torch.from_numpy(np.stack([encoder.input.read(photo) for photo in photos]))
        batch = best_batch(encoder, pixels)
        ceiling = f"forward only, batch {batch}"
        ways: dict[str, Way] = {
            "run_embedding": lambda: run_embedding(photos, encoder, workers=options.threads),
            ceiling: lambda: [encoder.encode_pixels(part) for part in pixels.split(batch)],
        }
        if options.encoder.startswith("ViT-B-32"):
            try:
                ways = {
                    "transformers, one at a time": originals(photos),
                    "sentence-transformers, encode": sentence_transformers(photos, Path(folder)),
                    **ways,
                }
            except ImportError as absent:
                print(f"without transformers and sentence-transformers: {absent}; pip install -e '.[bench]'")
            ways["open_clip and DataLoader, 64"] = data_loader(photos, options.threads if options.threads > 1 else 0)
        seconds = compare(ways, len(photos), options.rounds)
        show_against("run_embedding", seconds)


if __name__ == "__main__":
    main()
