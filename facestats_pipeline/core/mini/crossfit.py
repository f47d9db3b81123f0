"""Soft labels by cross-fitting: of each photo, what a network says that never saw it.

    python -m facestats_pipeline.core.mini.crossfit --cache DIR --out soft_labels.npz --runs RUN RUN …

Each RUN is trained with `--folds N --fold K`, in the order of K. A teacher that knows a photo by heart says its label again, errors
and all; one that does not says what the face looks like beside thousands of others.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from facestats_pipeline.core.encoders.mini_towers import EMBED_DIM, IMAGE_SIZE, build_clip, model_config
from facestats_pipeline.core.mini.classes import CLASSES
from facestats_pipeline.core.mini.data import FaceSet, open_split
from facestats_pipeline.core.mini.evaluate import embed_photos
from facestats_pipeline.core.mini.losses import Heads

SEEN_FILE = "seen_rows.npy"
"""Which rows of the cache a run has drawn its batches from."""
NO_FOLD = -1
_WIDTH = sum(len(classes) for classes in CLASSES.values())


def record_seen(run: Path, data: FaceSet) -> None:
    """Add the rows of `data` to those that `run` has seen: a run that was resumed on other photos has seen both."""
    path = run / SEEN_FILE
    before = np.load(path) if path.exists() else np.empty(0, np.int64)
    np.save(path, np.union1d(before, data.rows))


@torch.no_grad()
def probabilities(run: Path, data: FaceSet, *, side: int, device: str = "cpu") -> npt.NDArray[np.float16]:
    """(n, 18): each attribute's class probabilities by the averaged weights of `run`, each photo as it is and aligned, and mirrored."""
    settings = _settings(run)
    model: Any = torch.nn.ModuleDict(
        {"clip": build_clip(model_config(settings["image_tower"])), "heads": Heads(EMBED_DIM)}
    )
    model.load_state_dict(torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)["average"])
    model = model.to(device).to(memory_format=torch.channels_last).eval()
    aligned = data.only_aligned()
    said = []
    for look in (data,) if aligned is None else (data, aligned):
        logits = model["heads"].logits(embed_photos(model["clip"].visual, look, side, device))
        said.append(torch.cat([logits[name].softmax(1) for name in CLASSES], 1))
    mean: npt.NDArray[np.float16] = torch.stack(said).mean(0).half().cpu().numpy()
    return mean


def crossfit(cache: Path, runs: list[Path], out: Path, *, side: int = IMAGE_SIZE, device: str = "cpu") -> None:
    """Write `out`: `soft` (photos of the cache, 18) f16 and `fold` (photos,) i8, whose run said it; NO_FOLD for held-out photos.

    Raises ValueError, before any work, where a run is not that of its fold or has seen a photo of it.
    """
    held_out = {_settings(run)["held_out"] for run in runs}
    if len(held_out) != 1:
        raise ValueError(f"the runs hold out different numbers of photos: {sorted(held_out)}")
    data, _ = open_split(cache, held_out=held_out.pop(), seed=0)
    parts = []
    for number, run in enumerate(runs):
        settings = _settings(run)
        if (settings.get("folds"), settings.get("fold")) != (len(runs), number):
            trained = f"{settings.get('fold')} of {settings.get('folds')}"
            raise ValueError(f"{run}: was trained for fold {trained}, and stands where {number} of {len(runs)} belongs")
        part = data.without_fold(len(runs), number)[1]
        if seen := len(np.intersect1d(part.rows, np.load(run / SEEN_FILE))):
            raise ValueError(f"{run}: has seen {seen} photos of its own fold; what it says of them is no soft label")
        parts.append(part)
    soft = np.zeros((len(data.labels), _WIDTH), np.float16)
    fold = np.full(len(data.labels), NO_FOLD, np.int8)
    for number, (run, part) in enumerate(zip(runs, parts, strict=True)):
        soft[part.rows] = probabilities(run, part, side=side, device=device)
        fold[part.rows] = number
    partial = out.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, soft=soft, fold=fold)
    partial.replace(out)


def with_soft_labels(data: FaceSet, path: Path) -> FaceSet:
    """`data` with the soft labels in `path`. Raises ValueError where a photo of it has none, or they are of other photos."""
    with np.load(path, allow_pickle=False) as file:
        soft, fold = file["soft"], file["fold"]
    if soft.shape != (len(data.labels), _WIDTH):
        raise ValueError(f"{path}: soft labels of {soft.shape}, where {(len(data.labels), _WIDTH)} is needed")
    if missing := int((fold[data.rows] == NO_FOLD).sum()):
        raise ValueError(f"{path}: {missing} photos that are to be learned from have no soft label")
    return replace(data, soft=soft)


def _settings(run: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((run / "settings.json").read_text())
    return settings


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Soft labels of each photo by a network that never saw it.")
    parser.add_argument("--cache", type=Path, required=True, help="the decoded photos, as mini.train left them")
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, help="finished runs of --folds, in the order of their folds"
    )
    parser.add_argument("--out", type=Path, required=True, help="the .npz that --soft-labels of mini.train reads")
    parser.add_argument("--side", type=int, default=IMAGE_SIZE, help="input side, in pixels")
    arguments = parser.parse_args()
    crossfit(arguments.cache, arguments.runs, arguments.out, side=arguments.side)


if __name__ == "__main__":
    main()
