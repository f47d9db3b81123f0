"""The two towers. Importing this module registers the image tower with timm, so that open_clip builds it from the config alone."""

from functools import partial
from typing import Any

import facestats_pipeline.core.encoders.open_clip_compat  # noqa: F401  (timm imports torchvision: this must come first)

# isort: split
import torch
from timm.models import EfficientNet, build_model_with_cfg, register_model
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.resnet import BasicBlock, ResNet

from facestats_pipeline.core.encoders.depthwise import quick_depthwise
from facestats_pipeline.core.encoders.mirrored import Mirrored
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


class MirroredResNet(Mirrored, ResNet):
    """A ResNet that looks at the mirror image too."""


class MirroredEfficientNet(Mirrored, EfficientNet):
    """An EfficientNet that looks at the mirror image too."""


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
    return _build(MirroredResNet, "facestats_resnet18s", "fc", arguments | kwargs)


@register_model
def facestats_lite0(pretrained: bool = False, **kwargs: Any) -> torch.nn.Module:
    """EfficientNet-Lite0 (Tan & Le 2019, without squeeze-and-excite): 3.4 M weights, 1280-d; `imagenet` starts it."""
    return _lite("facestats_lite0", 1.0, 1.0, pretrained, kwargs)


@register_model
def facestats_lite2(pretrained: bool = False, **kwargs: Any) -> torch.nn.Module:
    """EfficientNet-Lite2: 4.8 M weights, 1280-d. A teacher: it costs 1.6 times what Lite0 does."""
    return _lite("facestats_lite2", 1.1, 1.2, pretrained, kwargs)


def _lite(name: str, width: float, depth: float, pretrained: bool, kwargs: dict[str, Any]) -> torch.nn.Module:
    if pretrained:
        raise ValueError(f"{name} has no weights of its own; core/mini/imagenet.py reads those of ImageNet")
    stages = [
        "ds_r1_k3_s1_e1_c16",
        "ir_r2_k3_s2_e6_c24",
        "ir_r2_k5_s2_e6_c40",
        "ir_r3_k3_s2_e6_c80",
        "ir_r3_k5_s1_e6_c112",
    ]
    stages += ["ir_r4_k5_s2_e6_c192", "ir_r1_k3_s1_e6_c320"]
    arguments: dict[str, Any] = {
        "block_args": decode_arch_def([[stage] for stage in stages], depth, fix_first_last=True),  # type: ignore[no-untyped-call]
        "num_features": 1280,
        "stem_size": 32,
        "fix_stem": True,
        "round_chs_fn": partial(round_channels, multiplier=width),
        "act_layer": torch.nn.ReLU6,
        "norm_layer": partial(torch.nn.BatchNorm2d, eps=1e-3),
        "pad_type": "same",
    }
    return quick_depthwise(_build(MirroredEfficientNet, name, "classifier", arguments | kwargs))


def _build(kind: type[torch.nn.Module], name: str, classifier: str, arguments: dict[str, Any]) -> torch.nn.Module:
    config = {
        "input_size": (3, IMAGE_SIZE, IMAGE_SIZE),
        "pool_size": (4, 4),
        "mean": MEAN,
        "std": STD,
        "classifier": classifier,
    }
    network: torch.nn.Module = build_model_with_cfg(kind, name, False, **(arguments | {"pretrained_cfg": config}))
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
