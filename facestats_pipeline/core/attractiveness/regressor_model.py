"""The attractiveness regressor: a small torch network on embeddings or another candidate, its checkpoint, and its predictions.

The score says how the raters behind the ratings file would rate a photo on average. It is an opinion poll in numbers, nothing more.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.data import Dataset

from facestats_pipeline.core.attractiveness.kernel_ridge import KernelRidge
from facestats_pipeline.core.attributes.probe_store import check_encoder

CHECKPOINT_FORMAT = "facestats-attractiveness/1"
MLP, MLP_MEAN, RIDGE, KERNEL_RIDGE = "mlp", "mlp_mean", "ridge", "kernel_ridge"
"""Kinds of model that a checkpoint may hold."""


class CheckpointError(Exception):
    """A dict that is not a checkpoint of the attractiveness regressor; the message says what is wrong with it."""


@dataclass(frozen=True)
class RegressorConfig:
    """How the regressor is built and trained."""

    hidden: int = 256
    hidden2: int = 64
    dropout: float = (
        0.4  # few ratings and 512 inputs: without it the network learns the training rows by heart in ten epochs
    )
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    batch_size: int = 128
    max_epochs: int = 100
    patience: int = 12  # epochs without a better validation loss
    validation: float = 0.15  # share of the training rows that decides when to stop
    members: int = 5  # networks whose mean is one of the candidates
    folds: int = 5
    coverage: float = 0.9  # of the conformal interval
    min_ratings: int = 30


class EmbeddingDataset(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Embeddings (n, d), targets (n,) and weights (n,; ones by default) as float32 triples."""

    def __init__(self, x: npt.ArrayLike, y: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> None:
        self.x = torch.as_tensor(np.array(x, dtype=np.float32))
        self.y = torch.as_tensor(np.array(y, dtype=np.float32))
        ones = np.ones(len(self.y), dtype=np.float32)
        self.weight = torch.as_tensor(np.array(weight if weight is not None else ones, dtype=np.float32))
        if not len(self.x) == len(self.y) == len(self.weight) or self.x.ndim != 2:
            raise ValueError(f"{tuple(self.x.shape)} embeddings, {len(self.y)} targets, {len(self.weight)} weights")

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.x[index], self.y[index], self.weight[index]


class AttractivenessRegressor(nn.Module):
    """ratings = linear(z) + mlp(z), z the standardised embedding, (n, d) → (n,) in units of the rating scale.

    The linear part starts as a ridge regression and the network at zero, so that training starts from the best linear model and
    adds to it only what helps on the validation rows. With a hundred ratings that is often nothing.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    target_mean: torch.Tensor
    target_scale: torch.Tensor

    def __init__(self, dim: int, config: RegressorConfig | None = None) -> None:
        super().__init__()
        config = config or RegressorConfig()
        self.dim = dim
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_scale", torch.ones(()))
        self.linear = nn.Linear(dim, 1)
        last = nn.Linear(config.hidden2, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.hidden2),
            nn.GELU(),
            last,
        )

    def standard(self, x: torch.Tensor) -> torch.Tensor:
        """The rating (n,) of embeddings (n, d) in standard units, in which the network is trained."""
        z = (x - self.mean) / self.scale
        rating: torch.Tensor = (self.linear(z) + self.mlp(z)).squeeze(-1)  # (n, d) → (n, 1) → (n,)
        return rating

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The rating (n,) of embeddings (n, d)."""
        return self.standard(x) * self.target_scale + self.target_mean


class MeanOfNetworks(nn.Module):
    """The mean rating of several networks, (n, d) → (n,)."""

    def __init__(self, networks: Iterable[AttractivenessRegressor]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.dim: int = self.networks[0].dim  # type: ignore[assignment]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The rating (n,) of embeddings (n, d)."""
        return torch.stack([network(x) for network in self.networks]).mean(0)


def build_model(kind: str, dim: int, config: RegressorConfig) -> nn.Module:
    """A model of one of the kinds, without its weights. Raises ValueError for another kind."""
    if kind in (MLP, RIDGE):  # a ridge regression is the network that was not trained
        return AttractivenessRegressor(dim, config)
    if kind == MLP_MEAN:
        return MeanOfNetworks(AttractivenessRegressor(dim, config) for _ in range(config.members))
    if kind == KERNEL_RIDGE:
        return KernelRidge(dim)
    raise ValueError(f"its kind of model is {kind!r}")


def make_checkpoint(model: nn.Module, config: RegressorConfig, kind: str = MLP, **facts: Any) -> dict[str, Any]:
    """Tensors and plain values only, so that `torch.load(weights_only=True)` reads it."""
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    about = {"format": CHECKPOINT_FORMAT, "kind": kind, "dim": model.dim, "config": asdict(config)}
    return {**about, "state_dict": state, **facts}


def load_regressor(checkpoint: Mapping[str, Any]) -> nn.Module:
    """The model of a checkpoint, ready to predict; one that names no kind holds a network. Raises CheckpointError."""
    if not isinstance(checkpoint, Mapping) or checkpoint.get("format") != CHECKPOINT_FORMAT:
        found = checkpoint.get("format") if isinstance(checkpoint, Mapping) else type(checkpoint).__name__
        raise CheckpointError(
            f"not an attractiveness checkpoint: its format is {found!r}, expected {CHECKPOINT_FORMAT!r}"
        )
    try:
        config = RegressorConfig(**checkpoint["config"])
        model = build_model(str(checkpoint.get("kind", MLP)), int(checkpoint["dim"]), config)
        model.load_state_dict(checkpoint["state_dict"])
        half_width = float(checkpoint["conformal"]["half_width"])
        str(checkpoint["encoder_id"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"an attractiveness checkpoint with parts missing or changed: {error}") from None
    if math.isnan(half_width) or not all(torch.isfinite(t).all() for t in model.state_dict().values()):
        raise CheckpointError("an attractiveness checkpoint with numbers that are not finite; train it again")
    return model.eval()


def predict_scores(
    checkpoint: Mapping[str, Any], x: npt.ArrayLike, *, encoder_id: str | None = None, batch_size: int = 8192
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Ratings with the bounds of their conformal interval: three (n,) f32, NaN for embeddings (n, d) that are not finite.

    Bounds are cut at the ends of the rating scale. encoder_id: the embeddings' model_id; another than the checkpoint's raises
    EncoderMismatch. Raises CheckpointError.
    """
    model = load_regressor(
        checkpoint
    ).double()  # in f32 the last bit of a score depends on how many are predicted together
    if encoder_id is not None:
        check_encoder("the attractiveness regressor", str(checkpoint["encoder_id"]), encoder_id)
    rows = np.asarray(x, dtype=np.float32).reshape(-1, int(checkpoint["dim"]))
    raw = np.full(len(rows), np.nan, dtype=np.float32)
    finite = np.flatnonzero(np.isfinite(rows).all(axis=1))
    with torch.inference_mode():
        for start in range(0, len(finite), batch_size):
            at = finite[start : start + batch_size]
            raw[at] = model(torch.from_numpy(rows[at].astype(np.float64))).numpy()
    low, high = (float(v) for v in checkpoint["rating_scale"])
    half = np.float32(checkpoint["conformal"]["half_width"])
    # A score beyond the scale stays inside its own interval.
    return raw, np.clip(raw - half, np.minimum(low, raw), None), np.clip(raw + half, None, np.maximum(high, raw))
