"""The finder's and the landmarker's losses, and how the finder's numbers become boxes and landmarks."""

import torch
import torch.nn.functional as F
from torch import Tensor

BOX, LANDMARKS = 1.5, 2.0  # weights beside the score's


def flatten(maps: list[Tensor]) -> Tensor:
    """The finder's three maps (n, 16, h, w) as (n, cells, 16) f32, in the order of `targets.cell_centres`."""
    return torch.cat([each.flatten(2).transpose(1, 2) for each in maps], dim=1).float()


def decode(cells: Tensor, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (…, 4) left, top, right, bottom and landmarks (…, 5, 2) in px of cells (…, 16) at centres (…, 2) with strides (…)."""
    sides = cells[..., 1:5].clamp(-6, 6).exp() * strides[..., None]
    boxes = torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=-1)
    half = (sides[..., :2] + sides[..., 2:]).prod(dim=-1).sqrt() / 2
    landmarks = centres[..., None, :] + cells[..., 5:15].reshape(*cells.shape[:-1], 5, 2) * half[..., None, None]
    return boxes, landmarks


def distance_iou(boxes: Tensor, truth: Tensor) -> Tensor:
    """1 - overlap / union + squared distance of the centres / squared diagonal around both, (…); Zheng et al. 2020, arXiv 1911.08287."""
    low, high = torch.maximum(boxes[..., :2], truth[..., :2]), torch.minimum(boxes[..., 2:], truth[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).clamp(min=0).prod(dim=-1) for each in (boxes, truth)]
    around = torch.maximum(boxes[..., 2:], truth[..., 2:]) - torch.minimum(boxes[..., :2], truth[..., :2])
    apart = (boxes[..., :2] + boxes[..., 2:] - truth[..., :2] - truth[..., 2:]) / 2
    return (
        1 - shared / (areas[0] + areas[1] - shared + 1e-6) + apart.square().sum(-1) / (around.square().sum(-1) + 1e-6)
    )


def finder_losses(
    maps: list[Tensor],
    centres: Tensor,
    strides: Tensor,
    score: Tensor,
    boxes: Tensor,
    landmarks: Tensor,
    sizes: Tensor,
) -> dict[str, Tensor]:
    """Weighted terms against `targets.Targets`, each a mean over the cells that answer for a face.

    Score: focal loss (Lin et al. 2017, arXiv 1708.02002), its exponent 2. Faces whose landmarks are not known teach the score alone.
    """
    cells = flatten(maps)
    asked, positive = score >= 0, score > 0
    count = positive.sum().clamp(min=1).float()
    logits = cells[..., 0]
    plain = F.binary_cross_entropy_with_logits(logits, score.clamp(min=0), reduction="none")
    wrong = torch.where(positive, 1 - logits.sigmoid(), logits.sigmoid())
    focal = plain * wrong.square()
    known = positive & torch.isfinite(landmarks[..., 0, 0])
    known_count = known.sum().clamp(min=1).float()
    place = known.nonzero(as_tuple=True)
    found, points = decode(cells[place], centres[place[1]], strides[place[1]])
    away = (points - landmarks[place]) / sizes[place][:, None, None]
    return {
        "score": (focal * asked).sum() / count,
        "box": BOX * distance_iou(found, boxes[place]).sum() / known_count,
        "landmarks": LANDMARKS
        * F.smooth_l1_loss(away, torch.zeros_like(away), beta=0.02, reduction="sum")
        / (10 * known_count),
    }


def landmarker_loss(points: Tensor, truth: Tensor, weight: Tensor, eyes: Tensor) -> Tensor:
    """Mean distance of landmarks (n, 10) from truth (n, 5, 2), in units of the distance of the eyes (n,), weighted (n,)."""
    away = (points.float().reshape(-1, 5, 2) - truth) / eyes[:, None, None]
    each = F.smooth_l1_loss(away, torch.zeros_like(away), beta=0.02, reduction="none").mean(dim=(1, 2))
    return (each * weight).sum() / weight.sum().clamp(min=1e-6)
