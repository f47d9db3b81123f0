"""Kernel ridge regression on embeddings: photos that look alike are rated alike, along no straight line.

The kernel is exp(−γ |a − b|²). Its textbook form keeps the embedding of each photo it learned from, which an erased photo must not
leave behind. So the kernel is written as a product of random features (Rahimi & Recht 2007; orthogonal ones, Yu et al. 2016): what is
kept is then one weight a feature, as of any linear model.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Floats = npt.NDArray[np.float64]

PAIRS = 2048
"""Directions, each with a cosine and a sine. The product of two photos' features is off their kernel by about 1/√PAIRS."""
CHOICE = 1024
"""Rows by which γ and the strength are chosen: finding a kernel's eigenvalues takes time with the cube of it."""
WIDTHS = (0.25, 0.5, 1.0, 2.0)
"""γ tried, in units of one over the median squared distance."""
STRENGTHS = 10.0 ** np.arange(-3.0, 2.0, 0.5)


class KernelRidge(nn.Module):
    """rating = middle + features(x) · weights, (n, d) → (n,)."""

    directions: Tensor
    weights: Tensor
    middle: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("directions", torch.zeros(dim, PAIRS))
        self.register_buffer("weights", torch.zeros(2 * PAIRS, dtype=torch.float64))  # large, of both signs
        self.register_buffer("middle", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """The rating (n,) of embeddings (n, d)."""
        return self.middle + (features(x.double(), self.directions.double()) @ self.weights).to(x.dtype)


def features(x: Tensor, directions: Tensor) -> Tensor:
    """(n, d) → (n, 2 · PAIRS), whose products are the kernel's values."""
    turned = x @ directions
    return torch.cat([turned.cos(), turned.sin()], 1) / math.sqrt(directions.shape[1])


def fit_kernel_ridge(x: npt.ArrayLike, y: Floats, weight: npt.ArrayLike, seed: int) -> KernelRidge:
    """The regression of ratings y (n,) on embeddings x (n, d), each row counting as `weight` (n,) of mean 1."""
    rows = torch.as_tensor(np.asarray(x, dtype=np.float64))
    w = torch.as_tensor(np.asarray(weight, dtype=np.float64))
    middle = float(np.average(y, weights=w.numpy()))
    t = torch.as_tensor(y - middle)
    some = torch.as_tensor(np.random.default_rng(seed).permutation(len(rows))[:CHOICE])
    gamma, strength = choose(rows[some], t[some], w[some])
    model = KernelRidge(rows.shape[1])
    model.directions.copy_((2 * gamma) ** 0.5 * _directions(rows.shape[1], seed))
    seen = features(rows, model.directions.double())
    # Least Σ w (t − features · v)² + strength · |v|²; of the two ways to solve it, the one with the smaller matrix.
    if len(rows) <= seen.shape[1]:
        product = seen @ seen.T
        product.diagonal().add_(strength / w)
        model.weights.copy_(seen.T @ torch.linalg.solve(product, t))
    else:
        product = (seen.T * w) @ seen
        product.diagonal().add_(strength)
        model.weights.copy_(torch.linalg.solve(product, seen.T @ (w * t)))
    model.middle.fill_(middle)
    return model.eval()


def choose(x: Tensor, t: Tensor, w: Tensor) -> tuple[float, float]:
    """γ and strength with the least leave-one-out error on rows x (n, d) with centred ratings t (n,) and weights w (n,).

    In closed form: (G t)ᵢ / Gᵢᵢ, with G the inverse of the strengthened kernel (Craven & Wahba 1979).
    """
    distance = torch.cdist(x, x).square()
    apart = distance[distance > 1e-9]
    unit = 1 / float(apart.median()) if len(apart) else 1.0
    root = w.sqrt()
    best, chosen = float("inf"), (unit, 1.0)
    for width in WIDTHS:
        values, vectors = torch.linalg.eigh(root[:, None] * torch.exp(-width * unit * distance) * root)
        turned = vectors.T @ (root * t)
        for strength in STRENGTHS.tolist():
            inverse = 1 / (values.clamp(min=0) + strength)
            left_out = (vectors @ (inverse * turned)) / (vectors.square() @ inverse)
            if (error := float(left_out.square().mean())) < best:
                best, chosen = error, (width * unit, strength)
    return chosen


def _directions(dim: int, seed: int) -> Tensor:
    """(dim, PAIRS): in blocks at right angles to each other, each as long as a random normal direction is."""
    rng = np.random.default_rng((seed, 1))
    blocks = [np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(-(-PAIRS // dim))]
    lengths = np.sqrt(rng.chisquare(dim, PAIRS))
    return torch.as_tensor(np.concatenate(blocks, 1)[:, :PAIRS] * lengths)
