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
