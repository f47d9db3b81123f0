"""A depthwise convolution whose gradients are quick on a CPU.

oneDNN has no fast way backward in bf16 through a depthwise convolution that strides, nor to the weights of a 5 × 5 one: those few
layers took three quarters of a training step of EfficientNet-Lite0. The same gradients in other words take a tenth of that, and the
whole network trains 2.5–3 times as fast (docs/mini-training-log.md).
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Depthwise(torch.autograd.Function):
    """`conv2d` of (n, c, h, w) with (c, 1, k, k) weights, an even padding and one stride both ways."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        channels, side = len(weight), weight.shape[-1]
        # To the weights: as torch does it, but above 3 × 3 in f32, which is five times as fast as bf16.
        precise = torch.float32 if side > 3 and x.dtype is torch.bfloat16 else x.dtype
        to_weight = torch.ops.aten.convolution_backward(
            gradient.to(precise),
            x.to(precise),
            weight.to(precise),
            None,
            [ctx.stride] * 2,
            [ctx.padding] * 2,
            [1, 1],
            False,
            [0, 0],
            channels,
            [False, True, False],
        )[1].to(weight.dtype)
        # To the picture: a forward convolution with the weights turned round, of the gradient with zeros where the stride stepped over.
        if ctx.stride > 1:
            height, width = (size + 2 * ctx.padding - side + 1 for size in x.shape[2:])
            spread = gradient.new_zeros((len(x), height, width, channels)).permute(
                0, 3, 1, 2
            )  # channels last in memory
            spread[:, :, :: ctx.stride, :: ctx.stride] = gradient
            gradient = spread
        to_x = F.conv2d(gradient, weight.flip(2, 3), None, 1, side - 1 - ctx.padding, 1, channels)
        return to_x, to_weight, None, None


class DepthwiseConv(nn.Conv2d):
    """A depthwise convolution, padded as TensorFlow's `same`: of an odd number of missing pixels the odd one lies right and below.

    It is trained without a bias; folded batch norms give it one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → (n, c, ⌈h / stride⌉, ⌈w / stride⌉)."""
        side, stride = self.kernel_size[0], self.stride[0]
        missing = [max((-(-size // stride) - 1) * stride + side - size, 0) for size in x.shape[2:]]
        even = side // 2
        if missing != [2 * even, 2 * even]:
            high, wide = missing
            x, even = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2)), 0
        if x.device.type != "cpu" or not self.training:
            return F.conv2d(x, self.weight, self.bias, stride, even, 1, len(self.weight))
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        out = _Depthwise.apply(x.to(dtype), self.weight.to(dtype), stride, even)  # type: ignore[no-untyped-call]
        return cast(Tensor, out)


def quick_depthwise(network: nn.Module) -> nn.Module:
    """Replace every depthwise convolution of `network` by a `DepthwiseConv` with the same weights, under the same names."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and child.groups == child.in_channels == child.out_channels > 1:
                channels, side, stride = child.in_channels, child.kernel_size[0], child.stride[0]
                quick = DepthwiseConv(channels, channels, side, stride, groups=channels, bias=False)
                quick.weight = child.weight
                setattr(module, name, quick)
    return network
