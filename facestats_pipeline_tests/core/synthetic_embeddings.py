"""Embeddings with known classes: unit-norm mixtures of Gaussians, as hard as asked."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def mixture(labels: Sequence[str], *, dim: int = 64, separation: float = 3.0, seed: int = 0) -> npt.NDArray[np.float32]:
    """(n, dim) f32 unit-norm rows; each class has a centre `separation` noise deviations from the origin."""
    rng = np.random.default_rng(seed)
    centres = {name: rng.normal(size=dim) for name in sorted(set(labels))}
    centres = {name: separation * c / np.linalg.norm(c) for name, c in centres.items()}
    x = np.stack([centres[name] for name in labels]) + rng.normal(size=(len(labels), dim))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)


def ids_of(n: int) -> list[str]:
    """n different image ids."""
    return [f"{i:032x}" for i in range(n)]


def groups(per_group: int, seed: int = 0, width: int = 16) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Three well separated clouds and which one each row is from."""
    random = np.random.default_rng(seed)
    centres = np.zeros((3, width))
    centres[0, 0], centres[1, 1], centres[2, 2] = 8, 6, 4
    truth = np.repeat(np.arange(3), per_group)
    return (centres[truth] + random.normal(size=(3 * per_group, width)) * 0.3).astype(np.float32), truth


def labels(n: int, shares: dict[str, float], seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [str(v) for v in rng.choice(list(shares), size=n, p=list(shares.values()))]
