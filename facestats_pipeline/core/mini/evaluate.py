"""Figures: accuracy of the heads and of zero-shot prompts on held-out photos, during training and for the model card."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facestats_pipeline.core.encoders.devices import autocast
from facestats_pipeline.core.mini.augment import normalize, resize, to_float
from facestats_pipeline.core.mini.captions import FRAMES
from facestats_pipeline.core.mini.classes import CLASSES
from facestats_pipeline.core.mini.data import FaceSet

CLASS_PHRASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "gender": (("a woman", "a female person"), ("a man", "a male person")),
    "ethnicity": tuple(
        (f"{article} {word} person",)
        for article, word in (
            ("a", "White"),
            ("a", "Black"),
            ("a", "Latino"),
            ("an", "East Asian"),
            ("a", "Southeast Asian"),
            ("an", "Indian"),
            ("a", "Middle Eastern"),
        )
    ),
    "age_bin": tuple(
        (f"a person {clause}",)
        for clause in (
            "aged 0 to 2",
            "aged 3 to 9",
            "aged 10 to 19",
            "aged 20 to 29",
            "aged 30 to 39",
            "aged 40 to 49",
            "aged 50 to 59",
            "aged 60 to 69",
            "aged 70 or more",
        )
    ),
}


@torch.no_grad()
def prompt_embeddings(clip: nn.Module, tokenizer: Any, device: str = "cpu") -> dict[str, Tensor]:
    """Per attribute (classes, 512): the mean direction over every frame × phrase of a class (Radford et al. 2021)."""
    out = {}
    for name, classes in CLASS_PHRASES.items():
        rows = []
        for phrases in classes:
            texts = [frame.format(phrase) for frame in FRAMES for phrase in phrases]
            embedded = F.normalize(clip.encode_text(tokenizer(texts).to(device)).float(), dim=1)  # type: ignore[operator]
            rows.append(F.normalize(embedded.mean(0), dim=0))
        out[name] = torch.stack(rows)
    return out


@torch.no_grad()
def embed_photos(visual: nn.Module, data: FaceSet, side: int, device: str = "cpu", flip: bool = False) -> Tensor:
    """(n, 512) unit embeddings of a set at an input side, mirrored photos if `flip`."""
    out = []
    for photos, _ in data.batches(200):
        images = normalize(resize(to_float(torch.from_numpy(photos).to(device)), side))
        if flip:
            images = images.flip(3)
        with autocast(device):
            out.append(F.normalize(visual(images).float(), dim=1))
    return torch.cat(out)


@torch.no_grad()
def validate(
    model: nn.ModuleDict, data: FaceSet, tokenizer: Any, *, side: int, device: str = "cpu"
) -> dict[str, float]:
    """Accuracy in percent per attribute, of the heads (`gender`, …) and of prompts alone (`gender_zs`, …)."""
    embedded = embed_photos(model["clip"].visual, data, side, device)  # type: ignore[arg-type]
    labels: npt.NDArray[np.int64] = data.labels[data.rows]
    logits = model["heads"].logits(embedded)  # type: ignore[operator]
    prompts = prompt_embeddings(model["clip"], tokenizer, device)
    figures = {}
    for column, name in enumerate(CLASSES):
        right = labels[:, column]
        figures[name] = 100 * float((logits[name].argmax(1).cpu().numpy() == right).mean())
        figures[f"{name}_zs"] = 100 * float(((embedded @ prompts[name].T).argmax(1).cpu().numpy() == right).mean())
    return {name: round(value, 2) for name, value in figures.items()}
