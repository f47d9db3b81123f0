"""What the towers are trained for. Every term reads the unit-length embedding: nothing is learned that users would not get."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facestats_pipeline.core.mini.classes import AGE_BINS, CLASSES

AGE_SPREAD = 0.6
"""Bins; deviation of the soft age target. Neighbouring bins get a little: a wrong age by one bin is half right."""


@dataclass(frozen=True)
class Weights:
    """What each term counts."""

    heads: float = 1.0  # one linear classifier per attribute on the embedding
    prompts: float = 0.5  # zero-shot classification against freshly phrased prompts of one attribute
    captions: float = 0.25  # photo ↔ caption contrast, both ways, many positives
    views: float = 0.25  # view ↔ view contrast of one photo: what labels do not name, kept for transfer
    smoothing: float = 0.1
    soft: float = 0.6  # share of the soft label in a target, the rest is the label's; only where there are soft labels


class Heads(nn.Module):
    """Linear classifiers on the unit embedding, and the small network in which views are compared (used in training alone)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.classifiers = nn.ModuleDict({name: nn.Linear(dim, len(classes)) for name, classes in CLASSES.items()})
        self.scale = nn.Parameter(torch.tensor(16.0).log())
        self.view_net = nn.Sequential(nn.Linear(dim, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 128))

    def logits(self, embedding: Tensor) -> dict[str, Tensor]:
        """(n, dim) unit embeddings → per attribute (n, classes)."""
        scaled = embedding * self.scale.exp()
        return {name: classifier(scaled) for name, classifier in self.classifiers.items()}


def soft_targets(labels: Tensor, smoothing: float) -> dict[str, Tensor]:
    """Labels (n, 3) → per attribute (n, classes) target probabilities; age is spread over neighbouring bins."""
    targets = {}
    for column, (name, classes) in enumerate(CLASSES.items()):
        hard = F.one_hot(labels[:, column], len(classes)).float()
        if name == "age_bin":
            bins = torch.arange(len(AGE_BINS), device=labels.device, dtype=torch.float32)
            near = torch.exp(-0.5 * ((bins[None] - labels[:, column, None]) / AGE_SPREAD) ** 2)
            hard = 0.5 * hard + 0.5 * near / near.sum(1, keepdim=True)
        targets[name] = hard * (1 - smoothing) + smoothing / len(classes)
    return targets


def blend_soft(targets: dict[str, Tensor], soft: Tensor, share: float) -> dict[str, Tensor]:
    """Targets of which a `share` is the soft label (n, 18): what other photos say of this one (Hinton et al. 2015).

    Cross-entropy is linear in its target: this is the weighted sum of learning from labels and from the teacher.
    """
    parts = torch.split(soft, [target.shape[1] for target in targets.values()], 1)
    return {name: torch.lerp(target, part, share) for (name, target), part in zip(targets.items(), parts, strict=True)}


def classification(logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Sum over attributes of the mean cross-entropy."""
    losses = [F.cross_entropy(logits[name].float(), targets[name]) for name in targets]
    return torch.stack(losses).sum()


def many_positives(similarity: Tensor, matches: Tensor) -> Tensor:
    """Contrast with several right answers a row (Khosla et al. 2020): mean of −log softmax over each row's positives.

    `similarity` (rows, columns) is scaled by the temperature; `matches` is boolean of the same shape. Rows without a positive, or
    with nothing but positives, say nothing and are left out.
    """
    count = matches.sum(1)
    use = (count > 0) & (count < matches.shape[1])
    logp = F.log_softmax(similarity.float(), 1)
    loss = -(logp * matches).sum(1) / count.clamp(min=1)
    return (loss * use).sum() / use.sum().clamp(min=1)


def view_contrast(first: Tensor, second: Tensor, temperature: float = 0.15) -> Tensor:
    """NT-Xent (Chen et al. 2020) between two views (n, d) each: a view must find the other view of its photo among 2n − 1."""
    both = F.normalize(torch.cat([first, second]).float(), dim=1)
    similarity = both @ both.T / temperature
    similarity.fill_diagonal_(-1e4)
    n = len(first)
    other = torch.arange(2 * n, device=first.device).roll(n)
    return F.cross_entropy(similarity, other)
