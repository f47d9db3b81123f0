"""Random views of a batch of photos, as tensor operations: on two cores this costs a tenth of a training step.

The ranges are broad on purpose. The encoder must serve photos that were aligned to a template as well as plainly fitted ones,
sharp portraits as well as small blurred crops.
"""

from dataclasses import dataclass

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from torch import Tensor

from facestats_pipeline.core.encoders.mini_towers import MEAN, STD


@dataclass(frozen=True)
class Ranges:
    """How far views may differ; each is drawn per photo."""

    rotate: float = 18.0  # degrees, either way
    # Aligned faces show 1.27 × as much of the scene as the stored crops: the ranges hold both. Run 1 had −18% to +42% and was 2 to 4
    # points worse on aligned faces than on the held-out photos as they are.
    zoom_out: float = 0.45  # up to 1.45 × as much of the scene as the stored crop, the edge mirrored
    zoom_in: float = 0.06  # down to 0.94 ×
    stretch: float = 0.06  # width against height
    shift: float = 0.10  # of the side
    light: float = 0.35  # brightness and contrast, as factors e^±
    colour: float = 0.25  # saturation factor e^±, and half of it on each channel's gain
    gray: float = 0.08  # share turned gray
    blur: float = 0.25  # share blurred by sampling down and up
    noise: float = 0.04  # largest deviation of added noise, of full scale
    erase: float = 0.30  # share with one rectangle blanked
    jpeg: float = (
        0.0  # share that goes through a JPEG of quality 20 to 90 first; the stored photos have been through one
    )


ALIGNED = Ranges(rotate=8.0, zoom_out=0.15, zoom_in=0.18, shift=0.06)
"""For faces that were aligned before: their place and size is known but for the detector's error."""


def to_float(photos: Tensor) -> Tensor:
    """(n, h, w, 3) u8 → (n, 3, h, w) f32 in 0–1, channels last in memory."""
    return photos.permute(0, 3, 1, 2).float().div_(255)


def normalize(images: Tensor) -> Tensor:
    """(n, 3, h, w) in 0–1 → zero mean, unit deviation per channel, channels last in memory (2–4 × faster on a CPU)."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def resize(images: Tensor, side: int) -> Tensor:
    """Plain resizing (n, 3, h, w) → (n, 3, side, side), anti-aliased: what a photo to be encoded goes through."""
    if images.shape[-1] == side and images.shape[-2] == side:
        return images
    return F.interpolate(images, (side, side), mode="bicubic", antialias=True).clamp_(0, 1)


def compress(photos: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """(n, h, w, 3) u8 photos, a `share` of them as a JPEG of quality 20 to 90 gives them back."""
    if share == 0:
        return photos
    out = photos.cpu().numpy().copy()
    for row in np.flatnonzero(rng.random(len(out)) < share):
        out[row] = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(out[row], quality=int(rng.integers(20, 91))))
    return torch.from_numpy(out).to(photos.device)


def random_views(photos: Tensor, side: int, generator: torch.Generator, ranges: Ranges) -> Tensor:
    """(n, h, w, 3) u8 photos → (n, 3, side, side) normalized views, each with its own draw from `generator`."""
    n, device = len(photos), photos.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return (torch.rand(n, *shape, generator=generator) * (high - low) + low).to(device)

    # One affine map per photo: rotation, zoom, stretch, shift and mirror together, so that pixels are sampled once.
    angle = uniform(-ranges.rotate, ranges.rotate) * (torch.pi / 180)
    zoom = torch.exp(
        uniform(float(torch.log(torch.tensor(1 - ranges.zoom_in))), float(torch.log(torch.tensor(1 + ranges.zoom_out))))
    )
    stretch = torch.exp(uniform(-ranges.stretch, ranges.stretch))
    mirror = torch.sign(uniform(-1, 1) + 1e-9)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    theta = torch.stack(
        [
            torch.stack([cos * stretch * mirror, -sin / stretch, uniform(-2, 2) * ranges.shift], 1),
            torch.stack([sin * stretch * mirror, cos / stretch, uniform(-2, 2) * ranges.shift], 1),
        ],
        1,
    )  # (n, 2, 3)
    grid = F.affine_grid(theta, [n, 3, side, side], align_corners=False)
    images = F.grid_sample(to_float(photos), grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    # Light and colour, as factors around the photo's own mean.
    gain = torch.exp(
        uniform(-ranges.light, ranges.light, 1, 1, 1) + uniform(-ranges.colour / 2, ranges.colour / 2, 3, 1, 1)
    )
    images = images * gain
    luma = images.mean(1, keepdim=True)
    saturation = torch.exp(uniform(-ranges.colour, ranges.colour, 1, 1, 1))
    saturation = torch.where(uniform(0, 1, 1, 1, 1) < ranges.gray, torch.zeros_like(saturation), saturation)
    images = luma + (images - luma) * saturation
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (middle + (images - middle) * torch.exp(uniform(-ranges.light, ranges.light, 1, 1, 1))).clamp_(0, 1)

    # Blur like a small source: sample down by 1.3–3 and up again, on one random part of the batch.
    blurred = int(n * ranges.blur)
    if blurred:
        some = torch.randperm(n, generator=generator)[:blurred].to(device)
        for part in torch.split(some, max(1, blurred // 3)):
            factor = 1.3 + 1.7 * float(torch.rand(1, generator=generator))
            small = F.interpolate(images[part], (round(side / factor),) * 2, mode="bilinear", antialias=True)
            images[part] = F.interpolate(small, (side, side), mode="bilinear")
    noise = torch.randn(images.shape, generator=generator).to(device)
    images = images + noise * uniform(0, 1, 1, 1, 1) ** 2 * ranges.noise

    # One blanked rectangle of 2–15% of the area (random erasing, Zhong et al. 2017), grey.
    axis = (torch.arange(side, device=device) + 0.5) / side
    height, width = uniform(0.15, 0.4, 1), uniform(0.15, 0.4, 1)
    top, left = uniform(0, 1, 1) - height / 2, uniform(0, 1, 1) - width / 2
    rows = (axis >= top) & (axis < top + height)  # (n, side)
    columns = (axis >= left) & (axis < left + width)
    blank = rows[:, None, :, None] & columns[:, None, None, :] & (uniform(0, 1, 1, 1, 1) < ranges.erase)
    return normalize(images.masked_fill(blank, 0.45))


def mix(views: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Blend a share of the views (n, 3, side, side) with others of the batch: (mixed views, partner (n,) i64, part kept (n,) f32).

    Half of them as a whole (mixup, Zhang et al. 2018), half in a rectangle (CutMix, Yun et al. 2019). A view keeps at least 0.6 of
    itself, so that it still shows its own photo. What is learned from mixed labels cannot be had by heart.
    """
    n, side = len(views), views.shape[-1]

    def uniform(low: float, high: float) -> Tensor:
        return (torch.rand(n, generator=generator) * (high - low) + low).to(views.device)

    given = torch.where(uniform(0, 1) < share, uniform(0, 0.4), torch.zeros(n, device=views.device))
    whole = (uniform(0, 1) < 0.5).view(n, 1, 1, 1)
    axis = (torch.arange(side, device=views.device) + 0.5) / side
    edge = given.sqrt()
    top, left = uniform(0, 1) * (1 - edge), uniform(0, 1) * (1 - edge)
    rows = (axis >= top[:, None]) & (axis < (top + edge)[:, None])  # (n, side)
    columns = (axis >= left[:, None]) & (axis < (left + edge)[:, None])
    patch = (rows[:, None, :, None] & columns[:, None, None, :]).float()
    # (n, 1, side, side): how much of a pixel is the partner's.
    away = torch.where(whole, given.view(n, 1, 1, 1).expand_as(patch), patch)
    partner = torch.randperm(n, generator=generator).to(views.device)
    mixed = torch.lerp(views, views[partner], away).contiguous(memory_format=torch.channels_last)
    return mixed, partner, 1 - away.mean((1, 2, 3))
