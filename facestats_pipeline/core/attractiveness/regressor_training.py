"""Training the attractiveness regressor: k-fold for the choice, the figures and the interval, one more fit for the model that is kept."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.attractiveness.candidates import CANDIDATES, choose, fit_candidates, predictions
from facestats_pipeline.core.attractiveness.network_fit import stratified
from facestats_pipeline.core.attractiveness.regressor_figures import (
    figures_by_group,
    interval_folds,
    regression_figures,
)
from facestats_pipeline.core.attractiveness.regressor_model import MLP, RIDGE, RegressorConfig, make_checkpoint
from facestats_pipeline.core.attributes.duplicate_groups import DuplicateGroups
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.single_thread import single_threaded
from facestats_pipeline.core.statistics import calibration as cal
from facestats_pipeline.core.statistics.folds import group_ids
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
        curves: one dict an epoch of the network's final fit, whichever model is kept: epoch, train_loss, val_loss (weighted squared
            error in units of the ratings' variance), val_pearson. Epoch 0 is the linear model before any training.
        metrics: figures with intervals, JSON-able: of the predictions in `oof`, and under `candidates` of each model by itself.
        oof: (n,) f32 out-of-fold predictions by the model that was best on the other folds, in the order of `image_ids`; NaN for
            rows that were only trained on.
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
    fold = np.asarray(fold_of)[use] if fold_of is not None else stratified(target, config.folds, ids, seed)
    ratings = _out_of_fold(rows, target, weight, ids, fold, config, seed)
    seen = fold >= 0
    folds, measured = fold[seen], ids[seen]
    parts = interval_folds(folds, measured, seed)
    out_of_fold = {kind: rating[seen] for kind, rating in ratings.items()}
    oof = np.full(len(use), np.nan)
    if len(np.unique(folds)) > 1:
        chosen, oof[seen] = choose(out_of_fold, target[seen], weight[seen], parts)
    else:  # a published test set: the choice is made within the rows that are trained on, and knows no tested rating
        own = fold < 0
        inner = stratified(target[own], config.folds, ids[own], seed)
        among = _out_of_fold(rows[own], target[own], weight[own], ids[own], inner, config, seed)
        chosen, _ = choose(among, target[own], weight[own], inner)
        oof[seen] = out_of_fold[chosen]
    models, curves = fit_candidates(rows, target, weight, ids, config, seed, (MLP, chosen))
    errors = np.abs(oof - target)[seen]
    half_width = cal.conformal_quantile(errors, config.coverage)
    scale = rating_scale or (float(2 * target.min() - target.max()), float(2 * target.max() - target.min()))
    if not np.isfinite(half_width):
        half_width = scale[1] - scale[0]  # too few ratings for the coverage asked: the interval is the whole scale
    inside = cal.crossfit_coverage(errors, parts, config.coverage)
    rows_of = use[seen].tolist()
    by_group = {kind: [labels[i] for i in rows_of] for kind, labels in (kinds or {}).items()}
    candidates = {
        kind: regression_figures(rating, target[seen], folds, measured, seed) for kind, rating in out_of_fold.items()
    }
    metrics = regression_figures(oof[seen], target[seen], folds, measured, seed) | {
        "attribute": WHAT,
        "n": len(use),
        "measured": int(seen.sum()),
        "folds": len(np.unique(folds)),
        "seed": seed,
        "encoder": encoder_id,
        "provenance": str(source),
        "chosen": chosen,
        "candidates": candidates,
        "linear": candidates[RIDGE],
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
        alone = stratified(target, config.folds, duplicates.label_ids[use], seed)
        metrics["duplicates"] = duplicates.report(use, fold, alone)
    kept = tuple(str(image_ids[i]) for i in use.tolist())
    reach = np.full(len(use), np.nan)  # of each row's interval, by the errors of the other folds
    for part in np.unique(parts):
        own = np.flatnonzero(seen)[parts == part]
        reach[own] = min(cal.conformal_quantile(errors[parts != part], config.coverage), scale[1] - scale[0])
    checkpoint = make_checkpoint(
        models[chosen],
        config,
        chosen,
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


def _out_of_fold(
    x: Rows, y: Floats, weight: Rows, ids: Ints, fold: Ints, config: RegressorConfig, seed: int
) -> dict[str, Floats]:
    """Kind → ratings (n,) by models that had not seen the row's fold; NaN where `fold` is negative."""
    ratings = {kind: np.full(len(x), np.nan) for kind in CANDIDATES}
    for f in track(np.unique(fold[fold >= 0]).tolist(), "Training attractiveness"):
        held = fold == f
        models, _ = fit_candidates(x[~held], y[~held], weight[~held], ids[~held], config, seed)
        for kind, rating in predictions(models, x[held]).items():
            ratings[kind][held] = rating
    return ratings


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


def _optional(values: npt.ArrayLike | None, use: Ints) -> Floats | None:
    return (
        None
        if values is None
        else np.array([np.nan if v is None else float(v) for v in np.asarray(values, dtype=object)])[use]
    )
