"""Batch norms of a network that is not trained any more, folded into the convolutions before them.

A batch norm is then a factor and an offset per channel. As a layer of its own it reads and writes every pixel once more, which is a
quarter of the time of a small network on a CPU.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_batch_norms(network: nn.Module, example: Tensor) -> int:
    """Fold each batch norm of `network` that reads a convolution's output; gives how many. `example` is a picture that it takes.

    Which convolution is read is seen on one forward pass, not guessed from names. The network must be in evaluation mode. Raises
    ValueError where it then says something else about `example`: another layer reads that convolution too.
    """
    if network.training:
        raise ValueError("batch norms are folded into a network in evaluation mode")
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # with the tensor, so that its id is not given to another meanwhile
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def watch(layer: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            made[id(out)] = (layer, out)
        elif id(given[0]) in made:
            pairs.append((made[id(given[0])][0], layer))  # type: ignore[arg-type]

    hooks = [m.register_forward_hook(watch) for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    with torch.no_grad():
        before = network(example)
    for hook in hooks:
        hook.remove()
    for conv, norm in pairs:
        _fold(conv, norm)
    names = {norm: name for name, norm in network.named_modules()}
    for _, norm in pairs:
        parent, _, name = names[norm].rpartition(".")
        # timm's batch norms hold the activation that follows.
        after = [layer for layer in (getattr(norm, "drop", None), getattr(norm, "act", None)) if layer is not None]
        setattr(network.get_submodule(parent), name, nn.Sequential(*after) if after else nn.Identity())
    with torch.no_grad():
        change = (network(example) - before).float().norm() / before.float().norm()
    if not change < (1e-3 if before.dtype is torch.float32 else 5e-2):
        raise ValueError(f"the network says something else without its batch norms: {float(change):.1%} away")
    return len(pairs)


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    dtype = conv.weight.dtype
    bias = None if conv.bias is None else conv.bias.float()
    parts = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    mean, variance, gain, offset = (None if part is None else part.float() for part in parts)
    weight, bias = fuse_conv_bn_weights(conv.weight.float(), bias, mean, variance, norm.eps, gain, offset)  # type: ignore[arg-type]
    conv.weight, conv.bias = (nn.Parameter(value.to(dtype), requires_grad=False) for value in (weight, bias))
