"""The models behind probes: multinomial logistic regression (from scratch or adapted from another probe) and LightGBM.

All return logits and are fitted with balanced classes.
"""

import time
from copy import copy
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from facestats_pipeline.core.statistics.folds import make_folds

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

# Inverse regularisation for standardised embeddings. scikit-learn's C is the strength divided by the number of rows, so the final model
# is shrunk like the models of the folds and its logits have the scale that the calibration was fitted to. With the same C for both, the
# final model was surer than its folds, and a 90% age interval covered only 85–89% of new rows.
STRENGTHS = (0.03, 0.3, 3.0, 30.0, 300.0)
STRENGTHS_FROM = (0.003, 0.03, 0.3, 3.0)
"""Strengths for a model adapted from another. With the first, little more than the scale of the other's logits is learned."""
TRUST = 10.0
"""Standard deviation to which the other model's logits are scaled, where embeddings have 1: regularisation then hardly penalises using
them. With 1 and 3, 60 to 400 labels of fairface_photos, london and congress_us gave higher losses in a trial that is not kept."""
ABSENT = -30.0  # logit of a class that is missing in a fold's training part


class TimeLimit(Exception):
    """A fit ran past its deadline."""


@dataclass(frozen=True)
class ProbeModel:
    """A fitted model. `kind` is "logistic" (a scikit-learn Pipeline) or "lightgbm" (a Booster); `classes` is the number k of classes."""

    kind: str
    model: Pipeline | lgb.Booster
    classes: int
    setting: dict[str, float]

    def logits(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(n, k) f64 uncalibrated logits of embeddings (n, d)."""
        rows = np.asarray(x, dtype=np.float32)
        if isinstance(self.model, Pipeline):
            raw = np.asarray(self.model.decision_function(rows), dtype=np.float64)
            present = np.asarray(self.model.classes_, dtype=np.intp)
        else:
            raw = np.asarray(self.model.predict(rows, raw_score=True, num_threads=1), dtype=np.float64)
            present = np.arange(self.classes)
        if raw.ndim == 1:  # two classes: one log-odds of the second against the first
            raw = np.stack([-raw / 2, raw / 2], axis=1)
        out = np.full((len(rows), self.classes), ABSENT)
        out[:, present] = raw
        return out


def fit_logistic(x: Floats, y: Ints, k: int, *, strength: float) -> ProbeModel:
    """Fit multinomial logistic regression on standardised embeddings, classes balanced; a greater `strength` means less regularisation."""
    regression = LogisticRegression(C=strength / len(y), class_weight="balanced", max_iter=500)
    pipeline = Pipeline([("scale", StandardScaler()), ("regression", regression)])
    return ProbeModel("logistic", pipeline.fit(x, y), k, {"strength": strength})


def fit_adapted(x: Floats, y: Ints, k: int, *, start: ProbeModel, strength: float) -> ProbeModel:
    """Fit logistic regression on the logits of `start`, another logistic model of the same embeddings, and on the embeddings themselves.

    With few labels the result repeats `start` with adjusted class frequencies; many labels overrule it. Both inputs are linear in the
    embedding, so the result is a model of the same form as from `fit_logistic`.
    """
    rows = np.asarray(x, dtype=np.float64)
    scale = StandardScaler().fit(rows)
    spread = max(float(_centred(start, x).std()), 1e-9)

    def features(some: Floats) -> npt.NDArray[np.float64]:
        standard = (np.asarray(some, dtype=np.float64) - scale.mean_) / scale.scale_
        return np.hstack([TRUST / spread * _centred(start, some), standard])

    fitted = LogisticRegression(C=strength / len(y), class_weight="balanced", max_iter=500).fit(features(x), y)
    # An affine function is determined by its values at zero and at the unit vectors: that turns both inputs into one set of weights.
    none, units = np.zeros((1, x.shape[1]), np.float32), np.eye(x.shape[1], dtype=np.float32)
    intercept = fitted.intercept_ + features(none) @ fitted.coef_.T  # (1, k)
    weights = features(units) @ fitted.coef_.T + fitted.intercept_ - intercept  # (d, k)
    fitted.intercept_ = (intercept + scale.mean_ @ weights)[0]
    fitted.coef_ = (weights * scale.scale_[:, None]).T
    fitted.n_features_in_ = x.shape[1]
    return ProbeModel("logistic", Pipeline([("scale", scale), ("regression", fitted)]), k, {"strength": strength})


def restricted(model: ProbeModel, columns: Ints) -> ProbeModel:
    """The logistic model restricted to the classes at `columns` (two or more), in that order. Raises TypeError for another kind."""
    if model.classes == len(columns) and (columns == np.arange(model.classes)).all():
        return model
    if not isinstance(model.model, Pipeline):
        raise TypeError("only a logistic model can be restricted to some of its classes")
    scale, regression = model.model[0], copy(model.model[-1])
    weights, intercept = regression.coef_, regression.intercept_
    if len(weights) == 1:  # two classes have one row of weights, for the second against the first
        weights, intercept = np.vstack([-weights, weights]) / 2, np.concatenate([-intercept, intercept]) / 2
    weights, intercept = weights[columns], intercept[columns]
    if len(columns) == 2:
        weights, intercept = weights[1:] - weights[:1], intercept[1:] - intercept[:1]
    regression.coef_, regression.intercept_, regression.classes_ = weights, intercept, np.arange(len(columns))
    pipeline = Pipeline([("scale", scale), ("regression", regression)])
    return ProbeModel("logistic", pipeline, len(columns), model.setting)


def _centred(model: ProbeModel, x: Floats) -> npt.NDArray[np.float64]:
    """(n, k) logits minus their mean over classes."""
    logits = model.logits(x)
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def fit_boosted(
    x: Floats, y: Ints, k: int, *, groups: Ints, seed: int, threads: int = 1, deadline: float | None = None
) -> ProbeModel:
    """Fit LightGBM with small trees and early stopping on an inner split. Raises TimeLimit past `deadline` (time.process_time())."""
    inner = make_folds(y, 6, groups=groups.tolist(), seed=seed) == 0
    weight = len(y) / (k * np.maximum(np.bincount(y, minlength=k), 1))[y]
    # Small, heavily shrunk trees on a tenth of the features each: embeddings carry many weak directions, and 3,000 rows are few.
    params: dict[str, object] = {"objective": "binary"} if k == 2 else {"objective": "multiclass", "num_class": k}
    params |= {
        "learning_rate": 0.05,
        "num_leaves": 7,
        "feature_fraction": 0.1,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
    }
    params |= {"max_bin": 63, "min_data_in_leaf": 20, "lambda_l2": 5.0, "verbose": -1, "seed": seed}
    params |= {"num_threads": threads, "deterministic": True, "force_row_wise": True}

    def watch(_: object) -> None:
        if deadline is not None and time.process_time() > deadline:
            raise TimeLimit

    booster = lgb.train(
        params,
        lgb.Dataset(x[~inner], y[~inner], weight=weight[~inner]),
        num_boost_round=400,
        valid_sets=[lgb.Dataset(x[inner], y[inner], weight=weight[inner])],
        callbacks=[lgb.early_stopping(25, verbose=False), watch],
    )
    text = booster.model_to_string(
        num_iteration=booster.best_iteration
    )  # evaluate the model in the form in which it is stored
    return ProbeModel("lightgbm", lgb.Booster(model_str=text), k, {"rounds": float(booster.best_iteration)})
