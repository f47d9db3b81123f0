"""From which logit on a face is sure: chosen on composed pictures of photos and backgrounds that were held out of training."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from facestats_pipeline.core.detector.data import Sets, compose
from facestats_pipeline.core.detector.losses import flatten
from facestats_pipeline.core.detector.targets import targets
from facestats_pipeline.core.detector.train import as_input

FALSE_PICTURES = 0.003
"""Share of face-free pictures in which something may be called a sure face."""
LEAST, MOST = 0.0, 4.0
"""The logits between which the limit may lie, however few pictures it was chosen on."""


def best_logits(
    finder: nn.Module, sets: Sets, *, pictures: int = 2000, seed: int = 1
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(highest logit of each face-free picture, highest logit at each face that is to be found), both f32, of composed pictures."""
    empty, found = [], []
    with torch.inference_mode():
        for number in range(pictures):
            picture = compose(sets, np.random.default_rng((seed, number, 77)))
            logits = flatten(finder(as_input(picture.pixels[None])))[0, :, 0].numpy()
            if len(picture.boxes) == 0 and len(picture.ignored) == 0:
                empty.append(float(logits.max()))
            for face in range(len(picture.boxes)):
                alone = type(picture)(
                    picture.pixels, picture.boxes[face : face + 1], picture.landmarks[face : face + 1], picture.ignored
                )
                mine = targets([alone]).score[0] > 0
                if mine.any():
                    found.append(float(logits[mine].max()))
    return np.array(empty, np.float32), np.array(found, np.float32)


def sure_logit(empty: npt.NDArray[np.float32]) -> float:
    """The logit that FALSE_PICTURES of the face-free pictures reach; raises ValueError where there are too few to tell."""
    if len(empty) * FALSE_PICTURES < 1:
        raise ValueError(
            f"{len(empty)} face-free pictures are too few to choose a limit that {FALSE_PICTURES:.1%} may pass"
        )
    return float(np.clip(np.quantile(empty, 1 - FALSE_PICTURES), LEAST, MOST))
