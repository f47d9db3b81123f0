"""Without its batch norms a network says the same."""

import pytest
import torch
from torch import Tensor, nn

from facestats_pipeline.core.encoders.batch_norms import fold_batch_norms
from facestats_pipeline.core.encoders.mini_towers import build_clip, model_config


def lived_in(network: nn.Module) -> nn.Module:
    """Batch norms with gains, offsets and statistics of their own, as after training."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize("tower", ["facestats_resnet18s", "facestats_lite0"])
def test_the_towers_say_the_same_without_their_batch_norms(tower: str) -> None:
    visual = lived_in(build_clip(model_config(tower)).visual)  # type: ignore[arg-type]
    images = torch.randn(3, 3, 64, 64)
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in visual.modules())
    with torch.no_grad():
        before = visual(images)
        assert fold_batch_norms(visual, images[:1]) == norms > 15
        torch.testing.assert_close(visual(images), before, atol=1e-4, rtol=1e-3)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in visual.modules())


class Branching(nn.Module):
    """Its convolution is read by the batch norm and by the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out + self.norm(out)


def test_a_convolution_that_others_read_too_is_noticed() -> None:
    with pytest.raises(ValueError, match="says something else"):
        fold_batch_norms(lived_in(Branching()), torch.randn(1, 3, 8, 8))


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        fold_batch_norms(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), torch.randn(1, 3, 8, 8))
