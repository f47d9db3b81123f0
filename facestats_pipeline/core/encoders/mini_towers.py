"""The two towers. Importing this module registers the image tower with timm, so that open_clip builds it from the config alone."""

from typing import Any

import facestats_pipeline.core.encoders.open_clip_compat  # noqa: F401  (timm imports torchvision: this must come first)

# isort: split
import torch
from timm.models import build_model_with_cfg, register_model
from timm.models.resnet import BasicBlock, ResNet

from facestats_pipeline.core.encoders.open_clip_compat import import_open_clip

EMBED_DIM = 512
IMAGE_SIZE = 112
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Channel means and deviations of ImageNet: what open_clip and timm tools expect of a timm tower."""
CONTEXT = 32
"""Tokens a text may have, with its start and end marks: the longest caption has 23."""
MERGES = 340
MERGES_FILE = "bpe_merges.txt.gz"
VOCABULARY = 2 * 256 + MERGES + 2
"""Bytes, bytes that end a word, merges, and the start and end marks."""
LOOKS = "whole, mirrored"
"""What the image tower averages when it is not trained."""
FEW = 4
"""Up to so many pictures go through the network together with their mirror images."""


class MirroredResNet(ResNet):
    """A ResNet whose features, outside training, are the mean over a picture and its mirror image.

    A face and its mirror image then have the same embedding. It costs as much as two pictures and brings about a point of accuracy,
    measured in docs/mini-training-log.md.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) → (n, channels)."""
        if self.training:
            features: torch.Tensor = super().forward(x)
        elif len(x) > FEW:
            features = (super().forward(x) + super().forward(x.flip(3))) / 2
        else:  # in one pass: two thirds of the time for one photo; for many no gain, and twice the memory
            features = super().forward(torch.cat([x, x.flip(3)])).view(2, len(x), -1).mean(0)
        return features


@register_model
def facestats_resnet18s(pretrained: bool = False, **kwargs: Any) -> torch.nn.Module:
    """ResNet-18 of 5/8 width with the deep stem and average-pooled shortcuts of ResNet-D (He et al. 2019): 4.4 M weights, 320-d.

    Chosen by images a second on a CPU in bf16 with channels last, where it trains twice as fast as timm's `resnet10t` (4.9 M): the
    512 channels of the latter cost more than the four more blocks here; depthwise networks are slower still, for all their fewer
    operations. docs/mini-training-log.md has the figures.
    """
    if pretrained:
        raise ValueError("facestats_resnet18s has no weights of its own; models/facestats-mini holds the whole encoder")
    arguments: dict[str, Any] = {
        "block": BasicBlock,
        "layers": (2, 2, 2, 2),
        "channels": (40, 80, 160, 320),
        "stem_type": "deep_tiered",
        "stem_width": 24,
        "avg_down": True,
        "zero_init_last": True,
    }
    config = {
        "input_size": (3, IMAGE_SIZE, IMAGE_SIZE),
        "pool_size": (4, 4),
        "mean": MEAN,
        "std": STD,
        "classifier": "fc",
    }
    network: torch.nn.Module = build_model_with_cfg(
        MirroredResNet, "facestats_resnet18s", False, **(arguments | kwargs | {"pretrained_cfg": config})
    )
    return network


def model_config(image_tower: str = "facestats_resnet18s", image_size: int = IMAGE_SIZE) -> dict[str, Any]:
    """The content of open_clip_config.json: `model_cfg` and `preprocess_cfg`."""
    return {
        "model_cfg": {
            "embed_dim": EMBED_DIM,
            "custom_text": True,
            "vision_cfg": {
                "timm_model_name": image_tower,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": image_size,
            },
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": VOCABULARY,
                "width": 192,
                "heads": 3,
                "layers": 3,
                "tokenizer_kwargs": {"bpe_path": MERGES_FILE},
            },
        },
        "preprocess_cfg": {
            "size": image_size,
            "mode": "RGB",
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def build_clip(config: dict[str, Any]) -> torch.nn.Module:
    """open_clip's `CustomTextCLIP` of `config` (as `model_config` gives it), with random weights."""
    settings = {key: value for key, value in config["model_cfg"].items() if key != "custom_text"}
    model: torch.nn.Module = import_open_clip().CustomTextCLIP(**settings)
    return model
