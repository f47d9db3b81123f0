"""Training the attractiveness regressor: k-fold for the figures and the interval, one more fit for the model that is kept."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from facestats_pipeline.core.attractiveness.regressor_figures import (
    figures_by_group,
    interval_folds,
    pearson,
    regression_figures,
)
from facestats_pipeline.core.attractiveness.regressor_model import (
    AttractivenessRegressor,
    EmbeddingDataset,
    RegressorConfig,
    make_checkpoint,
)
from facestats_pipeline.core.attributes.duplicate_groups import DuplicateGroups
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.single_thread import single_threaded
from facestats_pipeline.core.statistics import calibration as cal
from facestats_pipeline.core.statistics.folds import group_ids, make_folds
from facestats_pipeline.core.training.provenance import (
    Provenance,
    TrainingRefused,
    check_provenance,
    refuse_name_derived,
)

__all__ = ["TrainingRefused", "TrainingResult", "run_training"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

WHAT = "attractiveness"
OOF = ("rating", "score", "reach")
"""What a checkpoint keeps of its n images under `oof`, as lists: the rating, the score of a model that had not seen it (None for rows
that were only trained on), and the half-width of the interval that the other folds give."""


@dataclass(frozen=True)
class TrainingResult:
    """A trained regressor and everything that was measured about it.

    Attributes:
        checkpoint: tensors and plain values, for `torch.save` and `torch.load(weights_only=True)`.
        curves: one dict an epoch of the final fit: epoch, train_loss, val_loss (weighted squared error in units of the ratings'
            variance), val_pearson. Epoch 0 is the linear model before any training.
        metrics: figures with intervals, JSON-able.
        oof: (n,) f32 out-of-fold predictions, in the order of `image_ids`; NaN for rows that were only trained on.
        oof_target: (n,) f32 the ratings themselves.
        image_ids: the n images that were used.
        half_width: of the conformal interval, in units of the rating scale.
    """

    checkpoint: dict[str, Any]
    curves: list[dict[str, float]]
    metrics: dict[str, Any]
    oof: Rows
    oof_target: Rows
    image_ids: tuple[str, ...]
    half_width: float


@single_threaded
def run_training(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    sd: npt.ArrayLike | None = None,
    n: npt.ArrayLike | None = None,
    image_ids: Sequence[str],
    encoder_id: str,
    provenance: Provenance | None,
    seed: int = 0,
    config: RegressorConfig | None = None,
    groups: Sequence[Hashable | None] | None = None,
    duplicates: DuplicateGroups | None = None,
    fold_of: npt.ArrayLike | None = None,
    files: Sequence[str] | None = None,
    kinds: Mapping[str, Sequence[str | None]] | None = None,
    rating_scale: tuple[float, float] | None = None,
) -> TrainingResult:
    """Train on embeddings x (m, d) and mean ratings y (m,); rows whose rating or embedding is not finite are left out.

    sd, n: spread and number of the ratings behind each mean (NaN where unknown): noisier means weigh less. groups: rows of one person
    stay in one fold. duplicates: what `duplicate_groups` found among the m rows (it takes the groups in): copies of a photo stay in one
    fold too, and the metrics say what that saved from. fold_of: fixed folds instead of drawn ones; −1 marks rows that are only trained
    on and never measured, so that a published train/test split is −1 and 0. files: the photos' names, to refuse ratings that are a
    function of them. kinds: name of a kind of group ("gender", …) → m groups by people's labels (None: not labelled), for which error
    and coverage are reported apart. rating_scale: the least and greatest possible rating, at which
    intervals are cut (default: the range of y and as much again on either side, since means lie well within their scale).

    The same arguments give the same model. Raises TrainingRefused, saying why: no provenance or labels of a model, constant ratings,
    ratings derived from file names, fewer than `config.min_ratings`.
    """
    config = config or RegressorConfig()
    source = check_provenance(provenance, WHAT)
    rows, target = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float64)
    if rows.ndim != 2 or not len(rows) == len(target) == len(image_ids):
        raise ValueError(f"{rows.shape} embeddings, {len(target)} ratings, {len(image_ids)} image ids")
    use = np.flatnonzero(np.isfinite(rows).all(axis=1) & np.isfinite(target))
    rows, target = rows[use], target[use]
    _refuse(target, [files[i] for i in use.tolist()] if files is not None else None, config)
    ids = (group_ids(groups, len(image_ids)) if duplicates is None else duplicates.ids)[use]
    weight, noise = rating_weights(target, _optional(sd, use), _optional(n, use))
    fold = np.asarray(fold_of)[use] if fold_of is not None else _stratified(target, config.folds, ids, seed)
    oof, linear = np.full(len(use), np.nan), np.full(len(use), np.nan)
    for f in track(np.unique(fold[fold >= 0]).tolist(), "Training attractiveness"):
        held = fold == f
        model, start, _ = _fit(rows[~held], target[~held], weight[~held], ids[~held], config, seed)
        with torch.inference_mode():
            oof[held] = model(torch.from_numpy(rows[held])).numpy()
            linear[held] = start(torch.from_numpy(rows[held])).numpy()
    model, _, curves = _fit(rows, target, weight, ids, config, seed)

    seen = fold >= 0
    errors, folds, measured = np.abs(oof - target)[seen], fold[seen], ids[seen]
    half_width = cal.conformal_quantile(errors, config.coverage)
    scale = rating_scale or (float(2 * target.min() - target.max()), float(2 * target.max() - target.min()))
    if not np.isfinite(half_width):
        half_width = scale[1] - scale[0]  # too few ratings for the coverage asked: the interval is the whole scale
    parts = interval_folds(folds, measured, seed)
    inside = cal.crossfit_coverage(errors, parts, config.coverage)
    rows_of = use[seen].tolist()
    by_group = {kind: [labels[i] for i in rows_of] for kind, labels in (kinds or {}).items()}
    metrics = regression_figures(oof[seen], target[seen], folds, measured, seed) | {
        "attribute": WHAT,
        "n": len(use),
        "measured": int(seen.sum()),
        "folds": len(np.unique(folds)),
        "seed": seed,
        "encoder": encoder_id,
        "provenance": str(source),
        "linear": regression_figures(linear[seen], target[seen], folds, measured, seed),
        "epochs": len(curves) - 1,
        "interval": {"nominal": config.coverage, "half_width": half_width, "coverage": cal.proportion(inside)},
        "by_group": figures_by_group(oof[seen], target[seen], inside, by_group),
        "mean_squared_rating_noise": noise,
        "noise_ceiling_pearson": float(np.sqrt(max(0.0, 1 - noise / target.var()))) if noise is not None else None,
        "warnings": [],
    }
    if metrics["pearson"]["ci_lo"] <= 0:
        metrics["warnings"].append("not clearly better than chance; check the ratings, their number and the encoder")
    covered = metrics["interval"]["coverage"]
    if not covered["ci_lo"] <= config.coverage <= covered["ci_hi"]:
        metrics["warnings"].append(
            f"the interval holds {covered['value']:.1%} of the ratings, not {config.coverage:.0%}"
        )
    if duplicates is not None:
        alone = _stratified(target, config.folds, duplicates.label_ids[use], seed)
        metrics["duplicates"] = duplicates.report(use, fold, alone)
    kept = tuple(str(image_ids[i]) for i in use.tolist())
    reach = np.full(len(use), np.nan)  # of each row's interval, by the errors of the other folds
    for part in np.unique(parts):
        own = np.flatnonzero(seen)[parts == part]
        reach[own] = min(cal.conformal_quantile(errors[parts != part], config.coverage), scale[1] - scale[0])
    checkpoint = make_checkpoint(
        model,
        config,
        metrics=metrics,
        curves=curves,
        encoder_id=encoder_id,
        provenance=source.as_dict(),
        conformal={"half_width": half_width, "coverage": config.coverage},
        rating_scale=[float(v) for v in scale],
        image_ids=list(kept),
        oof={name: _plain(values) for name, values in zip(OOF, (target, oof, reach), strict=True)},
        created_by=f"facestats-pipeline {version('facestats-pipeline')}",
    )
    return TrainingResult(
        checkpoint, curves, metrics, oof.astype(np.float32), target.astype(np.float32), kept, half_width
    )


def _plain(values: Floats) -> list[float | None]:
    return [round(v, 6) if np.isfinite(v) else None for v in values.tolist()]


def rating_weights(target: Floats, sd: Floats | None, n: Floats | None) -> tuple[Rows, float | None]:
    """Weights (m,) of mean 1 for mean ratings, and the mean of their squared standard errors (None where n is unknown).

    A mean of n ratings with spread sd is off by sd²/n (squared); what the embedding cannot explain, taken as half the variance of the
    ratings, adds to it. A weight is the inverse of the sum: 2,513 raters a photo give nearly equal weights, two against forty do not.
    An unknown sd or n takes the mean of the known ones.
    """
    if n is None or not np.isfinite(n).any():
        return np.ones(len(target), dtype=np.float32), None
    count = np.where(np.isfinite(n) & (n >= 1), n, np.nanmean(n))
    known = np.isfinite(sd) if sd is not None else np.zeros(len(target), dtype=bool)
    typical = float(np.sqrt(np.mean(sd[known] ** 2))) if sd is not None and known.any() else 0.0
    if typical == 0.0:
        return np.ones(len(target), dtype=np.float32), None
    # With few raters their own sd is a poor guide (two who agree by chance give 0), so it is pooled with the typical one.
    own = np.where(known, sd if sd is not None else 0.0, typical)
    pooled = ((count - 1) * own**2 + 5 * typical**2) / (count + 4)
    squared_error = pooled / count
    weight = 1 / (squared_error + 0.5 * target.var())
    return (weight / weight.mean()).astype(np.float32), float(squared_error.mean())


def _refuse(target: Floats, files: Sequence[str] | None, config: RegressorConfig) -> None:
    if len(target) < config.min_ratings:
        raise TrainingRefused(
            f"{WHAT}: {len(target)} rated photo(s) with an embedding, fewer than the {config.min_ratings} that are needed."
        )
    if np.ptp(target) < 1e-9:
        raise TrainingRefused(f"{WHAT}: all {len(target)} ratings are {target[0]:g}; there is nothing to learn.")
    if files is not None:
        refuse_name_derived(files, target, WHAT)


def _stratified(target: Floats, folds: int, ids: Ints, seed: int) -> Ints:
    """Folds with low and high ratings spread evenly: stratified by fifths of the rating."""
    fifths = np.digitize(target, np.quantile(target, [0.2, 0.4, 0.6, 0.8]))
    return make_folds(fifths, folds, groups=ids.tolist(), seed=seed)


def _fit(
    x: Rows, y: Floats, weight: Rows, ids: Ints, config: RegressorConfig, seed: int
) -> tuple[AttractivenessRegressor, AttractivenessRegressor, list[dict[str, float]]]:
    """The network stopped at its best validation loss, the linear model it started from, and its learning curve."""
    parts = max(2, round(1 / config.validation))
    held = _stratified(y, parts, ids, seed) == 0
    mean, scale = x[~held].mean(axis=0), x[~held].std(axis=0) + 1e-6
    y_mean, y_scale = float(y[~held].mean()), float(y[~held].std()) or 1.0
    z = ((x - mean) / scale).astype(np.float64)
    t = (y - y_mean) / y_scale
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, start = AttractivenessRegressor(x.shape[1], config), AttractivenessRegressor(x.shape[1], config)
        coefficients, intercept = _ridge(z[~held], t[~held], weight[~held])
        with torch.no_grad():
            for each in (model, start):
                each.mean.copy_(torch.from_numpy(mean))
                each.scale.copy_(torch.from_numpy(scale))
                each.target_mean.fill_(y_mean)
                each.target_scale.fill_(y_scale)
                each.linear.weight.copy_(torch.from_numpy(coefficients)[None])
                each.linear.bias.fill_(intercept)
        train = EmbeddingDataset(x[~held], t[~held], weight[~held])
        validation = EmbeddingDataset(x[held], t[held], weight[held])
        curves = _descend(model, train, validation, config)
    return model.eval(), start.eval(), curves


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


def _optional(values: npt.ArrayLike | None, use: Ints) -> Floats | None:
    return (
        None
        if values is None
        else np.array([np.nan if v is None else float(v) for v in np.asarray(values, dtype=object)])[use]
    )
