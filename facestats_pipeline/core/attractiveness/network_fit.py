"""Fitting the network of the regressor, and the ridge regression that it starts from."""

import numpy as np
import numpy.typing as npt
import torch

from facestats_pipeline.core.attractiveness.regressor_figures import pearson
from facestats_pipeline.core.attractiveness.regressor_model import (
    AttractivenessRegressor,
    EmbeddingDataset,
    RegressorConfig,
)
from facestats_pipeline.core.statistics.folds import make_folds

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]


def stratified(target: Floats, folds: int, ids: Ints, seed: int) -> Ints:
    """Folds with low and high ratings spread evenly: stratified by fifths of the rating."""
    fifths = np.digitize(target, np.quantile(target, [0.2, 0.4, 0.6, 0.8]))
    return make_folds(fifths, folds, groups=ids.tolist(), seed=seed)


def fit_network(
    x: Rows, y: Floats, weight: Rows, ids: Ints, config: RegressorConfig, seed: int, member: int = 0
) -> tuple[AttractivenessRegressor, list[dict[str, float]]]:
    """The network, stopped at its best validation loss, and its learning curve.

    `member` is which part of the rows decides when to stop; the network is trained on the others and starts as their ridge regression.
    """
    parts = max(2, round(1 / config.validation))
    held = stratified(y, parts, ids, seed) == member % parts
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + member)
        model = _linear(x[~held], y[~held], weight[~held], config)
        train = _standard(model, x[~held], y[~held], weight[~held])
        validation = _standard(model, x[held], y[held], weight[held])
        curves = _descend(model, train, validation, config)
    return model.eval(), curves


def fit_ridge(x: Rows, y: Floats, weight: Rows, config: RegressorConfig) -> AttractivenessRegressor:
    """Ridge regression on all rows: the network before any training, which adds nothing to its linear part."""
    with torch.random.fork_rng(devices=[]):
        model = _linear(x, y, weight, config)
    with torch.no_grad():
        for unused in model.mlp.parameters():
            unused.zero_()
    return model.eval()


def _linear(x: Rows, y: Floats, weight: Rows, config: RegressorConfig) -> AttractivenessRegressor:
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    y_mean, y_scale = float(y.mean()), float(y.std()) or 1.0
    coefficients, intercept = _ridge(((x - mean) / scale).astype(np.float64), (y - y_mean) / y_scale, weight)
    model = AttractivenessRegressor(x.shape[1], config)
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(mean))
        model.scale.copy_(torch.from_numpy(scale))
        model.target_mean.fill_(y_mean)
        model.target_scale.fill_(y_scale)
        model.linear.weight.copy_(torch.from_numpy(coefficients)[None])
        model.linear.bias.fill_(intercept)
    return model


def _standard(model: AttractivenessRegressor, x: Rows, y: Floats, weight: Rows) -> EmbeddingDataset:
    """Rows with their ratings in the standard units that the network is trained in."""
    return EmbeddingDataset(x, (y - float(model.target_mean)) / float(model.target_scale), weight)


def _ridge(z: Floats, t: Floats, weight: Rows) -> tuple[Floats, float]:
    """Weighted ridge coefficients (d,) and intercept; of seven strengths the one with the least leave-one-out error.

    Leave-one-out comes in closed form (Golub, Heath & Wahba, 1979): residual / (1 − leverage). It uses all training rows, where a
    validation split of a hundred ratings would choose by fifteen.
    """
    root = np.sqrt(weight.astype(np.float64))
    middle = float(np.average(t, weights=weight))
    u, s, vt = np.linalg.svd(z * root[:, None], full_matrices=False)
    projected = u.T @ ((t - middle) * root)
    losses: list[float] = []
    shrinks = [s**2 / (s**2 + strength) for strength in 10.0 ** np.arange(0, 7)]
    for shrink in shrinks:
        leverage = (u**2) @ shrink + 1 / len(t)  # the intercept takes 1/n
        residual = (t - middle) * root - u @ (shrink * projected)
        losses.append(float(((residual / np.maximum(1 - leverage, 1e-6)) ** 2).mean()))
    best = shrinks[int(np.argmin(losses))]
    return np.asarray(vt.T @ (best / np.maximum(s, 1e-12) * projected)), middle


def _descend(
    model: AttractivenessRegressor, train: EmbeddingDataset, validation: EmbeddingDataset, config: RegressorConfig
) -> list[dict[str, float]]:
    """AdamW on the weighted squared error until the validation loss stops falling; the model ends with its best weights."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    for group in optimizer.param_groups:
        group["foreach"] = False
    curves = [_epoch(0, model, train, validation)]
    best, best_state = curves[0]["val_loss"], {k: v.clone() for k, v in model.state_dict().items()}
    best_epoch = 0
    for epoch in range(1, config.max_epochs + 1):
        model.train()
        for batch in torch.randperm(len(train)).split(config.batch_size):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            residual = model.standard(train.x[batch]) - train.y[batch]
            loss = (train.weight[batch] * residual**2).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        curves.append(_epoch(epoch, model, train, validation))
        if curves[-1]["val_loss"] < best - 1e-5:
            best, best_epoch = curves[-1]["val_loss"], epoch
            best_state = {k: v.clone() for k, v in model.state_dict().items()}
        elif epoch - best_epoch >= config.patience:
            break
    model.load_state_dict(best_state)
    return curves


def _epoch(
    epoch: int, model: AttractivenessRegressor, train: EmbeddingDataset, validation: EmbeddingDataset
) -> dict[str, float]:
    model.eval()
    with torch.inference_mode():
        losses = []
        for part in (train, validation):
            predicted = model.standard(part.x)
            losses.append(float((part.weight * (predicted - part.y) ** 2).mean()))
    row = {"epoch": epoch, "train_loss": losses[0], "val_loss": losses[1]}
    return row | {"val_pearson": pearson(predicted.numpy(), validation.y.numpy())}
