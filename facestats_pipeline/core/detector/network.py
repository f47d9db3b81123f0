"""The two networks of the detector: `Finder` sees the whole photo, small; `Landmarker` sees one face, brought upright.

Ordinary 3×3 convolutions of few channels throughout: on a CPU they run at 60–100 GFLOP/s, depthwise ones at a tenth of that.
Batch norms are folded into the convolutions when a network is exported (`folded`), so that what ships is convolutions alone.
"""

import copy
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDES: Final = (8, 16, 32)
"""px of the looked-at picture between neighbouring cells of each of the finder's three maps."""
CELL: Final = 16
"""Numbers a cell: 1 score, 4 box sides, 10 landmark coordinates, 1 that is not used (convolutions prefer multiples of 16)."""
FACE_PX: Final = 96
"""Side of the picture of one face that the landmarker sees."""


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU. `norm` becomes an identity when it is folded into the convolution."""

    def __init__(self, before: int, after: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Residual(nn.Module):
    """Two convolutions whose result is added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(channels, channels), ConvNorm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))  # type: ignore[no-any-return]


class Finder(nn.Module):
    """Scores, boxes and landmarks of faces on a grid of cells at three strides.

    (n, 3, h, w) with h and w multiples of 32, RGB scaled to -1 … 1 → three maps (n, 16, h / stride, w / stride). In a cell: the score's
    logit; the distances of the box's left, top, right and bottom side from the cell's centre, as logarithms of strides; x and y of the
    five landmarks from the cell's centre, in units of half the box's mean side.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNorm(3, 16, 3, 2), ConvNorm(16, 32, 3, 2))  # stride 4
        self.fine = ConvNorm(32, 48, 3, 2)  # stride 8
        self.middle = nn.Sequential(ConvNorm(48, 80, 3, 2), Residual(80))  # stride 16
        self.coarse = nn.Sequential(ConvNorm(80, 96, 3, 2), Residual(96))  # stride 32
        self.across = nn.ModuleList([ConvNorm(channels, 48, 1) for channels in (48, 80, 96)])
        self.out = nn.ModuleList([ConvNorm(48, 48), ConvNorm(48, 48), ConvNorm(48, 64)])
        self.cells = nn.ModuleList([nn.Conv2d(channels, CELL, 1) for channels in (48, 48, 64)])
        start = torch.zeros(CELL)
        start[0] = -4.6  # a score of 1%: nearly every cell is empty (Lin et al. 2017, arXiv 1708.02002)
        start[1:5] = 1.0
        for name, weight in self.cells.named_parameters():
            if name.endswith("bias"):
                weight.data.copy_(start)
            else:
                nn.init.normal_(weight, std=0.01)

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        coarse = self.across[2](self.coarse(middle))
        middle = self.across[1](middle) + F.interpolate(coarse, scale_factor=2.0)
        fine = self.across[0](fine) + F.interpolate(middle, scale_factor=2.0)
        maps = (fine, middle, coarse)
        return [cell(out(m)) for cell, out, m in zip(self.cells, self.out, maps, strict=True)]


class Landmarker(nn.Module):
    """(n, 3, 96, 96) of faces, RGB scaled to -1 … 1 → (n, 10): x, y of the five landmarks, 0 in the middle, ±1 at the borders."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvNorm(3, 16, 3, 2),
            ConvNorm(16, 32, 3, 2),  # 24 × 24
            ConvNorm(32, 48, 3, 2),
            Residual(48),  # 12 × 12
            ConvNorm(48, 64, 3, 2),
            Residual(64),  # 6 × 6
            ConvNorm(64, 32, 1),
        )
        self.points = nn.Linear(32 * 36, 10)
        nn.init.zeros_(self.points.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.points(self.body(x).flatten(1))  # type: ignore[no-any-return]


def folded(network: nn.Module) -> nn.Module:
    """A copy for inference, in which every batch norm is part of its convolution."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    return network


def unnormed(network: nn.Module) -> nn.Module:
    """The same network with room for the weights of a folded one: convolutions with a bias, no batch norms."""
    for module in network.modules():
        if isinstance(module, ConvNorm):
            old: Any = module.conv
            module.conv = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)
            module.norm = nn.Identity()
    return network.eval()
