"""The optimizer: Muon for weight matrices (convolutions flattened), Adam for everything else, one learning rate for both.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) replaces a momentum step by its nearest orthogonal matrix.
torch.optim.Muon takes two-dimensional weights alone, which leaves out convolutions: hence these lines of our own.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from facestats_pipeline.core.encoders.devices import training_dtype


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearest matrix with all singular values near 1 (0.7–1.2), by a quintic Newton–Schulz iteration.

    In bf16 where the device multiplies that in hardware: 16 ms for a 320 × 2,880 convolution on one core with avx512_bf16. Else in fp32.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(training_dtype(matrix.device))
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    out: Tensor = (x.T if tall else x).to(matrix.dtype)
    return out


class MuonAdam(torch.optim.Optimizer):
    """Muon where a group says `muon`, Adam elsewhere; decoupled weight decay.

    A Muon update is scaled to the root mean square of a typical Adam update (0.2, Liu et al. 2025, arXiv 2502.16982), so that one
    learning rate and one weight decay serve both.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        super().__init__(
            groups, {"lr": lr, "muon": False, "weight_decay": 0.0, "momentum": 0.95, "betas": (0.9, 0.98), "rate": 1.0}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients that are there."""
        if closure is not None:
            raise ValueError("a closure is not supported")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                make = self._muon if group["muon"] else self._adam
                update = make(weight.grad, self.state[weight], group)
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])

    def _muon(self, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> Tensor:
        momentum = state.setdefault("momentum", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"])  # Nesterov
        matrix = ahead.reshape(len(ahead), -1)
        size: float = 0.2 * max(matrix.shape) ** 0.5
        return orthogonalize(matrix).reshape(gradient.shape) * size

    def _adam(self, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> Tensor:
        first = state.setdefault("first", torch.zeros_like(gradient))
        second = state.setdefault("second", torch.zeros_like(gradient))
        step = state.setdefault("step", torch.zeros(()))
        step += 1
        fast, slow = group["betas"]
        first.lerp_(gradient, 1 - fast)
        second.lerp_(gradient.square(), 1 - slow)
        update: Tensor = (first / (1 - fast**step)) / ((second / (1 - slow**step)).sqrt() + 1e-8)
        return update


def parameter_groups(model: torch.nn.Module, weight_decay: float, body_rate: float = 1.0) -> list[dict[str, Any]]:
    """Matrices and convolutions to Muon; embeddings, gains, biases and output layers to Adam, those of one dimension undecayed.

    Below 1, `body_rate` is the share of the learning rate (`rate` of a group) at which the image tower's body goes, by Adam alone:
    what it brings from ImageNet is to be bent, not made anew.
    """
    muon, adam, plain = [], [], []
    body: list[torch.Tensor] = []
    plain_body: list[torch.Tensor] = []
    for name, weight in model.named_parameters():
        if body_rate < 1 and "visual.trunk" in name:
            (body if weight.ndim > 1 and weight.shape[1] > 1 else plain_body).append(weight)
        elif weight.ndim < 2:
            plain.append(weight)
        elif "embedding" in name or "classifiers" in name or ("conv1.0" in name and weight.shape[1] == 3):
            adam.append(weight)
        else:
            muon.append(weight)
    groups: list[dict[str, Any]] = [
        {"params": muon, "muon": True, "weight_decay": weight_decay},
        {"params": adam, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if body:
        groups.append({"params": body, "weight_decay": weight_decay, "rate": body_rate})
        groups.append({"params": plain_body, "weight_decay": 0.0, "rate": body_rate})
    return groups
