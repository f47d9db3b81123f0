"""Trains a calibrated, abstaining classifier on embeddings, with out-of-fold metrics and their intervals."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.attributes.attribute import UNKNOWN, Attribute
from facestats_pipeline.core.attributes.duplicate_groups import DuplicateGroups
from facestats_pipeline.core.attributes.probe_models import (
    STRENGTHS,
    STRENGTHS_FROM,
    ProbeModel,
    TimeLimit,
    fit_adapted,
    fit_boosted,
    fit_logistic,
    restricted,
)
from facestats_pipeline.core.attributes.probe_report import FittedRollup, classifier_report, fit_rollup, log_loss
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.single_thread import single_threaded
from facestats_pipeline.core.statistics import calibration as cal
from facestats_pipeline.core.statistics.bootstrap import classifier_figures, intervals, log_losses
from facestats_pipeline.core.statistics.folds import group_ids, make_folds
from facestats_pipeline.core.training.provenance import Provenance, TrainingRefused, check_provenance

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]
Logits = npt.NDArray[np.float64]
Fit = Callable[[Floats, Ints, Ints], ProbeModel]

MIN_PER_CLASS = 5
MIN_FOR_LIGHTGBM = 100
LIGHTGBM_LIMIT_S = 300.0


@dataclass(frozen=True)
class TrainedProbe:
    """A calibrated classifier of one attribute.

    Attributes:
        attribute: its name ("gender").
        classes: the k classes it knows; classes with too few labels are missing.
        model: the fitted model, which returns logits.
        calibration: maps logits to probabilities.
        threshold: the lowest probability at which it answers; below it the decision is "unknown".
        rollup: the fitted roll-up into coarser classes; None for an attribute without one.
        target_error: the error among answers for which the threshold was chosen.
        encoder_id: model_id of the encoder whose embeddings it reads.
        provenance: where its labels come from.
        image_ids: its n training images; empty for a probe saved without its rows.
        oof_proba: (n, k) f32 out-of-fold calibrated probabilities (model and calibration did not see the row); empty if unknown.
        oof_target, oof_fold: (n,) class indices of the labels, and the fold in which each row was held out.
        report: JSON-able metrics for model cards.
        source: "probe" for a user's own, "shipped" for one that came with FaceStats.
        created_by: the FaceStats version.
    """

    attribute: str
    classes: tuple[str, ...]
    model: ProbeModel
    calibration: cal.Calibration
    threshold: float
    target_error: float
    encoder_id: str
    provenance: Provenance
    image_ids: tuple[str, ...]
    oof_proba: Floats
    oof_target: Ints
    oof_fold: Ints
    report: dict[str, Any]
    rollup: FittedRollup | None = None
    source: str = "probe"
    created_by: str = field(default_factory=lambda: f"facestats-pipeline {version('facestats-pipeline')}")

    @property
    def labelled(self) -> int:
        """The number of its training images, also for a probe without their ids."""
        return int(self.report.get("trained_on", self.report["n"]))

    @property
    def metrics(self) -> dict[str, float | int | str]:
        """The few metrics to show with the model; `report` has all of them."""
        return {
            "model": self.model.kind,
            "labelled": self.labelled,
            "classes": len(self.classes),
            "accuracy": float(self.report["accuracy"]["value"]),
            "accuracy_ci_lo": float(self.report["accuracy"]["ci_lo"]),
            "accuracy_ci_hi": float(self.report["accuracy"]["ci_hi"]),
            "balanced_accuracy": float(self.report["balanced_accuracy"]),
            "calibration_error": float(self.report["ece"]),
            "answered": float(self.report["coverage"]["value"]),
            "threshold": self.threshold,
            "target_error": self.target_error,
        }

    def predict_proba(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(n, k) f64 calibrated probabilities of embeddings (n, d); NaN rows for non-finite embeddings."""
        rows = np.asarray(x, dtype=np.float32)
        out = np.full((len(rows), len(self.classes)), np.nan)
        finite = np.isfinite(rows).all(axis=1)
        if finite.any():
            out[finite] = self.calibration.apply(self.model.logits(rows[finite]))
        return out


@single_threaded
def train_classifier(
    x: npt.ArrayLike,
    y: Sequence[str | None],
    attribute: Attribute,
    *,
    image_ids: Sequence[str],
    encoder_id: str,
    provenance: Provenance | None,
    groups: Sequence[Hashable | None] | None = None,
    duplicates: DuplicateGroups | None = None,
    seed: int = 0,
    folds: int = 5,
    kind: Literal["auto", "logistic", "lightgbm"] = "auto",
    target_error: float | None = None,
    min_per_class: int = MIN_PER_CLASS,
    start: TrainedProbe | None = None,
    threads: int = 1,
) -> TrainedProbe:
    """Train a calibrated, abstaining classifier of one attribute on embeddings.

    x: (n, d) f32. y: n labels; rows with None or "unknown" and rows with non-finite embeddings are left out. groups: rows of one group (a
    person) share a fold. duplicates: the result of `duplicate_groups` (which includes the groups) also keeps near-duplicates in one
    fold, and the report counts the leaks that this prevents.

    Classes are balanced in the fit; the calibration restores their true frequencies, so probabilities hold for collections like the
    labelled one. kind "auto" compares candidates by out-of-fold log-likelihood and keeps the best: logistic regression; LightGBM (from
    MIN_FOR_LIGHTGBM rows on, within LIGHTGBM_LIMIT_S seconds of processor time); and, with a probe of the same encoder as `start`, that
    probe "adapted" to the labels, and the probe itself with a new calibration and threshold ("shipped"). The report lists all candidates
    with bootstrap intervals over groups, or the reason why one was not compared.

    Raises TrainingRefused (no provenance, labels made by a model, fewer than two classes with `min_per_class` independent examples) and
    ValueError for inconsistent arguments.
    """
    source = check_provenance(provenance, attribute.name)
    rows = np.asarray(x, dtype=np.float32)
    if not len(rows) == len(y) == len(image_ids) or rows.ndim != 2:
        raise ValueError(f"{attribute.name}: {rows.shape} embeddings, {len(y)} labels, {len(image_ids)} image ids")
    if len(set(image_ids)) != len(image_ids):
        raise ValueError(f"{attribute.name}: an image is listed twice among the training rows")
    if unknown := sorted({v for v in y if v is not None and v != UNKNOWN} - set(attribute.classes)):
        raise ValueError(f"{attribute.name}: labels outside the vocabulary: {unknown[:5]}")

    if duplicates is not None and (groups is not None or len(duplicates.ids) != len(rows)):
        raise ValueError(f"{attribute.name}: give `duplicates` of the same {len(rows)} rows, and the groups to them")

    warnings: list[str] = []
    ids = group_ids(groups, len(rows)) if duplicates is None else duplicates.ids
    finite = np.isfinite(rows).all(axis=1)
    labelled = np.array([v is not None and v != UNKNOWN for v in y], dtype=bool)
    if lost := int((labelled & ~finite).sum()):
        warnings.append(f"{lost} labelled image(s) have no embedding")
    use = labelled & finite
    kept, dropped = _classes_with_enough(y, use, ids, attribute.classes, min_per_class)
    warnings += [
        f"{name}: {n} independent example(s), fewer than {min_per_class}; not learned" for name, n in dropped.items()
    ]
    if len(kept) < 2:
        seen = ", ".join(f"{n} {name}" for name, n in dropped.items()) or "none"
        raise TrainingRefused(
            f"{attribute.name}: two classes with at least {min_per_class} labelled photos each are needed; there are "
            f"{', '.join(kept) or 'none'} with enough, and too few of: {seen}. Label more photos."
        )
    use &= np.array([v in kept for v in y])
    at = np.flatnonzero(use)
    data = rows[at]
    target = np.array([kept.index(str(y[i])) for i in at.tolist()], dtype=np.intp)
    fold = make_folds(target, folds, groups=ids[at].tolist(), seed=seed)

    facts: dict[str, Any] = {"dropped_classes": dropped, "groups": len(np.unique(ids[at])), "seed": seed}
    if duplicates is not None:
        alone = make_folds(target, folds, groups=duplicates.label_ids[at].tolist(), seed=seed)
        facts["duplicates"] = duplicates.report(at, fold, alone)
    if start is not None and (start.encoder_id != encoder_id or start.model.kind != "logistic"):
        raise ValueError(
            f"{attribute.name}: the probe to start from is {start.model.kind} on {start.encoder_id}, not logistic on {encoder_id}"
        )
    more = _from_start(start, kept) if start is not None and kind == "auto" else []
    candidates, missing = _cross_validate(
        data, target, len(kept), fold, ids[at], kind, more, seed, threads, attribute.name
    )
    return calibrated_probe(
        {name: (partial(fit, data, target, ids[at]), logits) for name, (fit, logits) in candidates.items()},
        target,
        fold,
        tuple(kept),
        attribute=attribute,
        target_error=target_error,
        encoder_id=encoder_id,
        provenance=source,
        image_ids=tuple(str(image_ids[i]) for i in at.tolist()),
        groups=ids[at],
        missing=missing,
        facts=facts,
        warnings=warnings,
    )


def calibrated_probe(
    candidates: Mapping[str, tuple[Callable[[], ProbeModel], Logits]],
    target: Ints,
    fold: Ints,
    classes: tuple[str, ...],
    *,
    attribute: Attribute,
    encoder_id: str,
    provenance: Provenance,
    image_ids: tuple[str, ...] = (),
    target_error: float | None = None,
    groups: Ints | None = None,
    missing: Mapping[str, str] | None = None,
    facts: dict[str, Any] | None = None,
    warnings: list[str] | None = None,
) -> TrainedProbe:
    """Choose the best candidate by its out-of-fold logits; calibrate it, choose its threshold and compute all metrics.

    candidates: name → (function that returns the model, out-of-fold logits (n, k)). target: (n,) class indices. fold: (n,) folds across
    which calibration and threshold are evaluated. groups: (n,) groups for the bootstrap; by default each row is its own group. missing:
    name of a candidate → why it was not compared. facts: added to the report.
    """
    warnings = [] if warnings is None else warnings
    together = np.unique(np.arange(len(target)) if groups is None else groups, return_inverse=True)[1]
    probas = {name: cal.crossfit_calibration(z, target, fold) for name, (_, z) in candidates.items()}
    error = attribute.target_error if target_error is None else target_error
    figures = {
        name: classifier_report(p, target, fold, classes, error, candidates[name][1]) for name, p in probas.items()
    }
    best = min(figures, key=lambda name: figures[name]["log_loss"])
    proba = probas[best]
    make, logits = candidates[best]
    top, correct = proba.max(axis=1), proba.argmax(axis=1) == target
    rollup, figures4 = None, None
    if attribute.rollup is not None:
        rollup, figures4 = fit_rollup(proba, target, fold, classes, attribute.rollup, error)
    probe = TrainedProbe(
        attribute=attribute.name,
        classes=classes,
        model=make(),
        calibration=cal.fit_calibration(logits, target),
        threshold=cal.choose_threshold(top, correct, error),
        rollup=rollup,
        target_error=error,
        encoder_id=encoder_id,
        provenance=provenance,
        image_ids=image_ids,
        oof_proba=proba.astype(np.float32),
        oof_target=target,
        oof_fold=fold,
        report={},
    )
    seed = int((facts or {}).get("seed", 0))
    spread = {name: intervals(classifier_figures(p, target), together, seed=seed) for name, p in probas.items()}
    compared: dict[str, Any] = {name: {"accuracy": figures[name]["accuracy"], **spread[name]} for name in figures} | {
        name: {"not_compared": why} for name, why in (missing or {}).items()
    }
    if {"logistic", "lightgbm"} <= set(probas):
        less = log_losses(probas["lightgbm"], target) - log_losses(probas["logistic"], target)
        gain = intervals(lambda w: {"log_loss": w @ less / w.sum(axis=1)}, together, seed=seed)
        compared["lightgbm"]["log_loss_less_that_of_logistic"] = gain["log_loss"]
    warnings += [f"{name} was not compared: {why}" for name, why in (missing or {}).items()]
    report = _describe(probe, figures, best, warnings)
    report |= {"candidates": compared, "intervals": spread[best]} | (facts or {})
    return replace(probe, report=report | ({"rollup4": figures4} if figures4 else {}))


def _describe(probe: TrainedProbe, figures: dict[str, Any], best: str, warnings: list[str]) -> dict[str, Any]:
    chosen = figures[best]
    if chosen["accuracy"]["ci_lo"] <= chosen["majority_share"]:
        warnings.append(
            "not clearly better than always giving the most frequent class; check the labels and the encoder"
        )
    if probe.threshold >= 1:
        warnings.append(f"no threshold reaches the target error of {probe.target_error:.0%}: it always abstains")
    return {
        "attribute": probe.attribute,
        "classes": list(probe.classes),
        "n": len(probe.oof_target),
        "folds": int(probe.oof_fold.max()) + 1,
        "chosen": best,
        "setting": probe.model.setting,
        "temperature": probe.calibration.temperature,
        "bias": list(probe.calibration.bias),
        "top_label": {"slope": probe.calibration.top_label.slope, "intercept": probe.calibration.top_label.intercept},
        "threshold": probe.threshold,
        "encoder": probe.encoder_id,
        "provenance": str(probe.provenance),
        "warnings": warnings,
        **chosen,
    }


def _classes_with_enough(
    y: Sequence[str | None], use: npt.NDArray[np.bool_], ids: Ints, classes: Sequence[str], least: int
) -> tuple[list[str], dict[str, int]]:
    """(classes with at least `least` different groups, in order; other classes that occur → their number of groups)."""
    members: dict[str, set[int]] = {name: set() for name in classes}
    for i in np.flatnonzero(use).tolist():
        members[str(y[i])].add(int(ids[i]))
    kept = [name for name in classes if len(members[name]) >= max(2, least)]
    return kept, {name: len(members[name]) for name in classes if name not in kept and members[name]}


def _from_start(start: TrainedProbe, kept: Sequence[str]) -> list[tuple[str, Fit]]:
    """The candidates based on another probe: adapted with each strength, and unchanged if it knows all classes."""

    def adapted(strength: float) -> Fit:
        return lambda rows, target, _: fit_adapted(rows, target, len(kept), start=start.model, strength=strength)

    tried = [("adapted", adapted(s)) for s in STRENGTHS_FROM]
    if set(kept) <= set(start.classes):
        as_it_is = restricted(start.model, np.array([start.classes.index(name) for name in kept], dtype=np.intp))
        tried.append(("shipped", lambda *_: as_it_is))
    return tried


def _cross_validate(
    x: Floats,
    y: Ints,
    k: int,
    fold: Ints,
    ids: Ints,
    kind: str,
    more: Sequence[tuple[str, Fit]],
    seed: int,
    threads: int,
    attribute: str,
) -> tuple[dict[str, tuple[Fit, Logits]], dict[str, str]]:
    """(name → (fit function, out-of-fold logits (n, k)) for each candidate and `more`; name → why a candidate was not compared).

    All folds of a candidate share one setting, so their logits have one scale. They can be calibrated together, and the calibration is
    valid for the final model, which is fitted to all rows with the same setting.
    """
    if kind not in ("auto", "logistic", "lightgbm"):
        raise ValueError(f"no kind of probe {kind!r}; there are auto, logistic, lightgbm")
    deadline = time.process_time() + LIGHTGBM_LIMIT_S if kind == "auto" else None

    def logistic(strength: float) -> Fit:
        return lambda rows, target, _: fit_logistic(rows, target, k, strength=strength)

    def boosted(rows: Floats, target: Ints, groups: Ints) -> ProbeModel:
        return fit_boosted(rows, target, k, groups=groups, seed=seed, threads=threads, deadline=deadline)

    tried: list[tuple[str, Fit]] = [] if kind == "lightgbm" else [("logistic", logistic(s)) for s in STRENGTHS]
    tried += more
    missing: dict[str, str] = {}
    if kind == "lightgbm" or (kind == "auto" and len(y) >= MIN_FOR_LIGHTGBM):
        tried.append(("lightgbm", boosted))
    elif kind == "auto":
        missing["lightgbm"] = f"{len(y)} labelled photos, fewer than {MIN_FOR_LIGHTGBM}"
    found: dict[str, tuple[Fit, Logits]] = {}
    losses: dict[str, float] = {}
    passed: set[str] = set()
    for name, how in track(tried, f"Training {attribute}"):
        if name in passed:
            continue  # along the path the loss falls, then rises; the weakest regularisation is by far the slowest to fit
        logits = np.full((len(y), k), np.nan)
        try:
            for f in np.unique(fold):
                held = fold == f
                logits[held] = how(x[~held], y[~held], ids[~held]).logits(x[held])
        except TimeLimit:
            missing["lightgbm"] = f"it needs more than {LIGHTGBM_LIMIT_S:.0f} s of processor time here"
            continue
        loss = log_loss(cal.crossfit_calibration(logits, y, fold), y)
        if loss > losses.get(name, np.inf):
            passed.add(name)
        else:
            losses[name], found[name] = loss, (how, logits)
    return found, missing
