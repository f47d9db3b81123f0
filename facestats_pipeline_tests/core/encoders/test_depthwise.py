"""The quick depthwise convolution is the plain one: the same pictures, the same gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facestats_pipeline.core.encoders.depthwise import DepthwiseConv, quick_depthwise


def plain(x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    """TensorFlow's `same` in other words: ⌈size / stride⌉ windows; of the padding they need, the odd pixel lies right and below."""
    side = weight.shape[-1]
    out = -(-x.shape[-1] // stride)
    missing = (out - 1) * stride + side - x.shape[-1]
    padded = F.pad(x, (missing // 2, missing - missing // 2) * 2)
    return F.conv2d(padded, weight, None, stride, 0, 1, len(weight))


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [3, 5])
def test_pictures_and_gradients_are_those_of_the_plain_convolution(side: int, stride: int, size: int) -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv(6, 6, side, stride, groups=6, bias=False).double()
    x = torch.randn(2, 6, size, size, dtype=torch.float64, requires_grad=True)
    expected = plain(x, layer.weight, stride)
    gradient = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (x, layer.weight), gradient)
    layer.train()
    out = layer(x)
    torch.testing.assert_close(out, expected)
    for got, want in zip(torch.autograd.grad(out, (x, layer.weight), gradient), wanted, strict=True):
        torch.testing.assert_close(got, want)
    torch.testing.assert_close(layer.eval()(x), expected)


def test_under_autocast_it_computes_in_bf16_and_gives_the_weights_their_own_type() -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv(8, 8, 5, 2, groups=8, bias=False)
    x = torch.randn(2, 8, 12, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert out.dtype is torch.bfloat16
    out.float().square().sum().backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype is x.grad.dtype is torch.float32  # type: ignore[union-attr]
    gradient = layer.weight.grad.clone()
    layer.zero_grad()
    plain(x, layer.weight, 2).square().sum().backward()
    assert torch.cosine_similarity(gradient.flatten(), layer.weight.grad.flatten(), dim=0) > 0.999


def test_only_depthwise_convolutions_are_replaced_and_weights_stay() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, bias=False)), nn.Conv2d(4, 2, 1)
    )
    before = dict(network.named_parameters())
    quick_depthwise(network)
    assert [type(layer) is DepthwiseConv for layer in (network[0], network[1][0], network[2])] == [False, True, False]
    assert {name: id(weight) for name, weight in network.named_parameters()} == {
        name: id(weight) for name, weight in before.items()
    }
