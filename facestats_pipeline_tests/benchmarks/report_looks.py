"""Which looks at a picture the shipped image tower should average: accuracy and log loss of its heads on the photos held out from training.

python -m facestats_pipeline_tests.benchmarks.report_looks --data fairface_train --detector YUNET.onnx [--photos 2000]

A look is a share of the picture and a side in px; every look is averaged with its mirror image, as in the tower. Nothing is trained.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from facestats_pipeline.config import PROJECT_ROOT
from facestats_pipeline.core.attributes.probe_report import log_loss
from facestats_pipeline.core.attributes.shipped_training import COLUMNS, held_out_mask
from facestats_pipeline.core.encoders.mini_towers import build_clip
from facestats_pipeline.core.images.decoding import decode_image
from facestats_pipeline.core.mini.augment import normalize
from facestats_pipeline.core.mini.export import CONFIG_FILE, HEADS_FILE, WEIGHTS_FILE
from facestats_pipeline.core.mini.figures import load_heads
from facestats_pipeline.core.preproc.detection import FaceDetector, align_face, load_detector
from facestats_pipeline.core.statistics.calibration import softmax
from facestats_pipeline_tests.classes import CLASSES

Look = tuple[float, int]  # share of the picture, side in px
LOOKS: tuple[Look, ...] = ((1, 112), (1, 128), (1, 144), (1, 96), (0.8, 96), (0.8, 112), (0.9, 112))
TOGETHER: tuple[tuple[Look, ...], ...] = (
    ((1, 112), (0.8, 112)),
    ((1, 112), (0.9, 112)),
    ((1, 128), (0.8, 96)),
    ((1, 128), (0.8, 112)),
    ((1, 128), (1, 96)),
)
SIDE = 256


def held_out_photos(
    parts: Sequence[Path], detector: FaceDetector, n: int
) -> tuple[Any, dict[str, npt.NDArray[np.intp]]]:
    """(m, 256, 256, 3) u8 aligned photos of the held-out rows, at most n, and class indices (m,) per attribute."""
    table = pl.concat([pl.read_parquet(part) for part in parts])
    table = table.filter(pl.Series(held_out_mask(table.height, 2000))).head(n)
    photos = np.empty((table.height, SIDE, SIDE, 3), np.uint8)
    for row, data in enumerate(table["jpeg"]):
        image = decode_image(data).resize((224, 224))  # FairFace's own size, at which faces are looked for
        faces = detector.detect(np.asarray(image))
        photos[row] = np.asarray(align_face(image, faces[0], size=SIDE)[0] if faces else image.resize((SIDE, SIDE)))
    labels = {a: np.array([CLASSES[a].index(v) for v in table[column]]) for a, column in COLUMNS.items()}
    return photos, labels


@torch.inference_mode()
def features(trunk: Any, photos: npt.NDArray[np.uint8], look: Look) -> torch.Tensor:
    """(n, channels) features of one look and its mirror image."""
    share, side = look
    parts = []
    for some in np.split(photos, range(64, len(photos), 64)):
        x = torch.from_numpy(some.copy()).permute(0, 3, 1, 2).float() / 255
        margin = round(SIDE * (1 - share) / 2)
        x = x[:, :, margin : SIDE - margin, margin : SIDE - margin]
        x = normalize(F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp_(0, 1))
        parts.append(trunk(x).float())
    return torch.cat(parts)


def rows(photos: npt.NDArray[np.uint8], labels: dict[str, Any], folder: Path) -> Iterator[list[str]]:
    """One row a look or pair of looks."""
    clip = build_clip(json.loads((folder / CONFIG_FILE).read_text()))
    clip.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS_FILE).items()})
    visual: Any = clip.eval().visual
    heads = load_heads(folder / HEADS_FILE)
    seen = {look: features(visual.trunk, photos, look) for look in LOOKS}
    for looks in [*((one,) for one in LOOKS), *TOGETHER]:
        with torch.inference_mode():
            x = F.normalize(visual.head(torch.stack([seen[look] for look in looks]).mean(0)), dim=1).numpy()
        row = [" + ".join(f"{share:g} at {side} px" for share, side in looks)]
        for attribute, (weight, bias) in heads.items():
            p = softmax(x @ weight.T + bias)
            right = (p.argmax(1) == labels[attribute]).mean()
            row.append(f"{right:.1%} ({log_loss(p, labels[attribute]):.3f})")
        yield row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--model", type=Path, default=PROJECT_ROOT / "models" / "facestats-mini")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    parts = sorted(options.data.glob("*.parquet"))
    photos, labels = held_out_photos(parts, load_detector(options.detector), options.photos)
    print(f"| looks, n = {len(photos)} | {' | '.join(CLASSES)} |\n|---|---|---|---|")
    for row in rows(photos, labels, options.model):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
