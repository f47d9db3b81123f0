"""Top-label calibration: correct the confidence of the decision, leave the decision unchanged.

Temperature and class biases fit the whole distribution, but the greatest probability of a row can stay biased. It does for age: of the
answers with 60% confidence about half were right, while those with 90% held. A slope and an intercept of its log-odds correct that
(Platt, 1999; top-label calibration: Gupta & Ramdas, 2022).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

Floats = npt.NDArray[np.float64]

LEAST_ROWS = 100
"""With fewer rows, the two extra parameters would fit noise."""
_SURE = 1 - 1e-9  # log-odds stay finite
_AHEAD = 1e-6  # lead of the top class over the second: the decision stays the same after rounding
_SLOPES = (0.2, 5.0)  # positive, so that the order of confidences never changes


@dataclass(frozen=True)
class TopLabel:
    """Maps the log-odds of the greatest probability to slope × log-odds + intercept; (1, 0) is the identity."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, proba: npt.ArrayLike) -> Floats:
        """Probabilities (n, k) f64 with the same top class per row; the other classes keep their proportions. NaN rows stay NaN.

        A top class that would fall behind the second is kept just ahead of it.
        """
        p = np.asarray(proba, dtype=np.float64)
        if (self.slope, self.intercept) == (1.0, 0.0) or not len(p):
            return p
        best = p.argmax(axis=1)[:, None]
        top = np.take_along_axis(p, best, axis=1)
        second = np.partition(p, -2, axis=1)[:, -2:-1]
        tie = second / np.maximum(1 - top + second, 1e-300)
        wanted = expit(self.slope * logit(np.clip(top, 1e-12, _SURE)) + self.intercept)
        new = np.clip(wanted, np.minimum(tie + _AHEAD, _SURE), _SURE)
        rest = (1 - new) / np.maximum(1 - top, 1 - _SURE)
        as_it_is = top >= _SURE
        out = p * np.where(as_it_is, 1.0, rest)
        np.put_along_axis(out, best, np.where(as_it_is, top, new), axis=1)
        return np.asarray(out)


def fit_top_label(proba: npt.ArrayLike, y: npt.ArrayLike, *, prior_strength: float = 10.0) -> TopLabel:
    """Fit slope and intercept by maximum likelihood of "the decision is right", with a prior at (1, 0) worth `prior_strength` rows.

    proba (n, k): out-of-fold probabilities, from models and calibrations that did not see the row; y (n,) class indices. Fewer than
    LEAST_ROWS rows give the identity.
    """
    p, target = np.asarray(proba, dtype=np.float64), np.asarray(y)
    if len(p) < LEAST_ROWS:
        return TopLabel()
    odds = logit(np.clip(p.max(axis=1), 1e-12, _SURE))
    right = (p.argmax(axis=1) == target).astype(np.float64)

    def loss(line: Floats) -> tuple[float, Floats]:
        z = line[0] * odds + line[1]
        pull = line - (1.0, 0.0)
        value = float((np.logaddexp(0, z) - right * z).sum() + prior_strength / 2 * (pull @ pull))
        error = expit(z) - right
        return value / len(p), (np.array([error @ odds, error.sum()]) + prior_strength * pull) / len(p)

    fit = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[_SLOPES, (-5.0, 5.0)])
    return TopLabel(float(fit.x[0]), float(fit.x[1]))
