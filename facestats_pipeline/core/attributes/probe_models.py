"""The models a probe may be: multinomial logistic regression, from nothing or from another probe, and LightGBM; each gives logits.

All are fitted to balanced classes.
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

# Strengths for standardised embeddings; scikit-learn's C is the strength over the number of rows, so that a model of all rows is
# shrunk like the models of the folds, and its logits have the scale that the calibration was fitted to. With one C for both, the
# final model was surer than its folds, and a 90% age interval held 85–89% of new rows.
STRENGTHS = (0.03, 0.3, 3.0, 30.0, 300.0)
STRENGTHS_FROM = (0.003, 0.03, 0.3, 3.0)
"""Strengths of a model that starts from another: at the first little but the scale of what that says is learned."""
TRUST = 10.0
"""Standard deviations of the logits of such another, where an embedding's have 1: what it says is cheap to use. At 1 and 3, 60 to 400
labels of fairface_photos, london and congress_us gave higher losses in a trial that is not kept."""
ABSENT = -30.0  # logit of a class that a fold's training part does not have


class TimeLimit(Exception):
    """A fit ran past its deadline."""


@dataclass(frozen=True)
class ProbeModel:
    """A fitted model: `kind` is "logistic" (a scikit-learn Pipeline) or "lightgbm" (a Booster); `classes` counts k."""

    kind: str
    model: Pipeline | lgb.Booster
    classes: int
    setting: dict[str, float]

    def logits(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Uncalibrated logits (n, k) f64 of embeddings (n, d)."""
        rows = np.asarray(x, dtype=np.float32)
        if isinstance(self.model, Pipeline):
            raw = np.asarray(self.model.decision_function(rows), dtype=np.float64)
            present = np.asarray(self.model.classes_, dtype=np.intp)
        else:
            raw = np.asarray(self.model.predict(rows, raw_score=True, num_threads=1), dtype=np.float64)
            present = np.arange(self.classes)
        if raw.ndim == 1:  # two classes: one number, for the second against the first
            raw = np.stack([-raw / 2, raw / 2], axis=1)
        out = np.full((len(rows), self.classes), ABSENT)
        out[:, present] = raw
        return out


def fit_logistic(x: Floats, y: Ints, k: int, *, strength: float) -> ProbeModel:
    """Standardised multinomial logistic regression, classes balanced; a greater `strength` fits the rows more closely."""
    regression = LogisticRegression(C=strength / len(y), class_weight="balanced", max_iter=500)
    pipeline = Pipeline([("scale", StandardScaler()), ("regression", regression)])
    return ProbeModel("logistic", pipeline.fit(x, y), k, {"strength": strength})


def fit_adapted(x: Floats, y: Ints, k: int, *, start: ProbeModel, strength: float) -> ProbeModel:
    """Logistic regression on the logits of `start`, another logistic model of the same embeddings, and on the embedding itself.

    With few labels it says what `start` says, brought to their frequencies; many labels overrule that. Both are linear in the embedding,
    so what comes out is a model like those of `fit_logistic`.
    """
    rows = np.asarray(x, dtype=np.float64)
    scale = StandardScaler().fit(rows)
    spread = max(float(_centred(start, x).std()), 1e-9)

    def features(some: Floats) -> npt.NDArray[np.float64]:
        standard = (np.asarray(some, dtype=np.float64) - scale.mean_) / scale.scale_
        return np.hstack([TRUST / spread * _centred(start, some), standard])

    fitted = LogisticRegression(C=strength / len(y), class_weight="balanced", max_iter=500).fit(features(x), y)
    # What an affine function of the embedding does to no embedding and to each unit vector says all of it.
    none, units = np.zeros((1, x.shape[1]), np.float32), np.eye(x.shape[1], dtype=np.float32)
    intercept = fitted.intercept_ + features(none) @ fitted.coef_.T  # (1, k)
    weights = features(units) @ fitted.coef_.T + fitted.intercept_ - intercept  # (d, k)
    fitted.intercept_ = (intercept + scale.mean_ @ weights)[0]
    fitted.coef_ = (weights * scale.scale_[:, None]).T
    fitted.n_features_in_ = x.shape[1]
    return ProbeModel("logistic", Pipeline([("scale", scale), ("regression", fitted)]), k, {"strength": strength})


def restricted(model: ProbeModel, columns: Ints) -> ProbeModel:
    """A logistic model of the classes at `columns` alone, two or more, in that order."""
    if model.classes == len(columns) and (columns == np.arange(model.classes)).all():
        return model
    if not isinstance(model.model, Pipeline):
        raise TypeError("only a logistic model can be restricted to some of its classes")
    scale, regression = model.model[0], copy(model.model[-1])
    weights, intercept = regression.coef_, regression.intercept_
    if len(weights) == 1:  # of two classes: one row, for the second against the first
        weights, intercept = np.vstack([-weights, weights]) / 2, np.concatenate([-intercept, intercept]) / 2
    weights, intercept = weights[columns], intercept[columns]
    if len(columns) == 2:
        weights, intercept = weights[1:] - weights[:1], intercept[1:] - intercept[:1]
    regression.coef_, regression.intercept_, regression.classes_ = weights, intercept, np.arange(len(columns))
    pipeline = Pipeline([("scale", scale), ("regression", regression)])
    return ProbeModel("logistic", pipeline, len(columns), model.setting)


def _centred(model: ProbeModel, x: Floats) -> npt.NDArray[np.float64]:
    """Logits (n, k) less their mean over classes."""
    logits = model.logits(x)
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def fit_boosted(
    x: Floats, y: Ints, k: int, *, groups: Ints, seed: int, threads: int = 1, deadline: float | None = None
) -> ProbeModel:
    """LightGBM with small trees, stopped early on an inner split. Raises TimeLimit past `deadline` (time.process_time())."""
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
    text = booster.model_to_string(num_iteration=booster.best_iteration)  # what will be stored is what is measured
    return ProbeModel("lightgbm", lgb.Booster(model_str=text), k, {"rounds": float(booster.best_iteration)})
