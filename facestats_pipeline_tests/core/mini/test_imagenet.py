"""A start from ImageNet's weights: the network looks at pictures normalized our way and sees what it learned; others are refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

from facestats_pipeline.core.encoders.mini_towers import build_clip, model_config
from facestats_pipeline.core.mini.augment import normalize
from facestats_pipeline.core.mini.imagenet import start_from_imagenet


def trunk(tower: str = "facestats_lite0") -> nn.Module:
    return build_clip(model_config(tower)).visual.trunk  # type: ignore[return-value, union-attr]


def write(network: nn.Module, path: Path) -> Path:
    """The weights as the package's file has them: other names, the same order, and a classifier at the end."""
    state = {
        f"_part{i}.{name.rpartition('.')[2]}": value for i, (name, value) in enumerate(network.state_dict().items())
    }
    torch.save(state | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}, path)
    return path


def test_the_stem_sees_the_same_picture_in_our_normalization(tmp_path: Path) -> None:
    learned, started = trunk().eval(), trunk().eval()
    with torch.no_grad():
        learned.bn1.running_mean.normal_()  # type: ignore[union-attr, operator]
    start_from_imagenet(started, write(learned, tmp_path / "weights.pth"))
    pixels = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        theirs = learned.bn1(learned.conv_stem((pixels - 127) / 128))  # type: ignore[operator]
        ours = started.bn1(started.conv_stem(normalize(pixels / 255)))  # type: ignore[operator]
    torch.testing.assert_close(
        ours[..., :-1, :-1], theirs[..., :-1, :-1], atol=1e-4, rtol=1e-4
    )  # the edge meets padding
    for name, value in started.state_dict().items():
        if name not in ("conv_stem.weight", "bn1.running_mean"):
            assert torch.equal(value, learned.state_dict()[name]), name


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = trunk()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match="another network's weights"):
        start_from_imagenet(network, write(trunk("facestats_lite2"), tmp_path / "larger.pth"))
    state = torch.load(write(network, tmp_path / "weights.pth"), weights_only=True)
    first = next(iter(state))
    torch.save({name: value[:1] if name == first else value for name, value in state.items()}, tmp_path / "cut.pth")
    with pytest.raises(ValueError, match=r"_part0.weight is \(1, 3, 3, 3\)"):
        start_from_imagenet(network, tmp_path / "cut.pth")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
