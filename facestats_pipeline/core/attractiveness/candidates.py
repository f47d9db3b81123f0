"""The models that compete to be the regressor, and which of them is kept: the one that is least wrong about photos it never saw."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from facestats_pipeline.core.attractiveness.kernel_ridge import fit_kernel_ridge
from facestats_pipeline.core.attractiveness.network_fit import fit_network, fit_ridge
from facestats_pipeline.core.attractiveness.regressor_model import (
    KERNEL_RIDGE,
    MLP,
    MLP_MEAN,
    RIDGE,
    MeanOfNetworks,
    RegressorConfig,
)

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

CANDIDATES = (MLP, MLP_MEAN, RIDGE, KERNEL_RIDGE)
"""In this order where two are equally wrong."""


def fit_candidates(
    x: Rows,
    y: Floats,
    weight: Rows,
    ids: Ints,
    config: RegressorConfig,
    seed: int,
    kinds: Sequence[str] = CANDIDATES,
) -> tuple[dict[str, nn.Module], list[dict[str, float]]]:
    """Kind → model for each of `kinds`, on embeddings x (n, d) and ratings y (n,), and the learning curve of the network.

    The network is always among them. `MLP_MEAN` is the mean of `config.members` networks, for each of which another part of the rows
    decides when to stop.
    """
    members = config.members if MLP_MEAN in kinds else 1
    networks, curves = zip(
        *(fit_network(x, y, weight, ids, config, seed, member) for member in range(members)), strict=True
    )
    models: dict[str, nn.Module] = {MLP: networks[0]}
    if MLP_MEAN in kinds:
        models[MLP_MEAN] = MeanOfNetworks(networks).eval()
    if RIDGE in kinds:
        models[RIDGE] = fit_ridge(x, y, weight, config)
    if KERNEL_RIDGE in kinds:
        models[KERNEL_RIDGE] = fit_kernel_ridge(x, y, weight, seed)
    return models, curves[0]


@torch.inference_mode()
def predictions(models: Mapping[str, nn.Module], x: Rows) -> dict[str, Floats]:
    """Kind → ratings (n,) of embeddings x (n, d)."""
    rows = torch.from_numpy(np.ascontiguousarray(x))
    return {kind: model(rows).numpy().astype(np.float64) for kind, model in models.items()}


def choose(out_of_fold: Mapping[str, Floats], target: Floats, weight: Rows, parts: Ints) -> tuple[str, Floats]:
    """The kind that is least wrong, and ratings (n,) of which each row's kind was chosen on other rows.

    out_of_fold: kind → ratings (n,) of models that had not seen the row; parts: (n,) at least two of them. For the rows of a part the
    kind is chosen by the weighted squared errors on the other parts: figures of the best of four would else be better than it is.
    """
    squared = {kind: weight * (rating - target) ** 2 for kind, rating in out_of_fold.items()}
    honest = np.empty_like(target)
    for part in np.unique(parts):
        mine = parts == part
        honest[mine] = out_of_fold[min(squared, key=lambda kind: squared[kind][~mine].sum())][mine]
    return min(squared, key=lambda kind: squared[kind].sum()), honest
