"""How sure a decision is, calibrated by itself.

Temperature and class biases make the whole distribution likely; the greatest probability of a row can still be wrong on average, as it
is for age: of what was said with 60% about half was right, while what was said with 90% held. Two numbers repair that, a slope and
an intercept of its log-odds (Platt, 1999; top-label calibration: Gupta & Ramdas, 2022). The decision itself never changes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

Floats = npt.NDArray[np.float64]

LEAST_ROWS = 100
"""With fewer rows two more numbers would say more about chance than about the model."""
_SURE = 1 - 1e-9
_AHEAD = 1e-6
_SLOPES = (0.2, 5.0)  # positive: surer stays surer


@dataclass(frozen=True)
class TopLabel:
    """Log-odds of the greatest probability become slope × log-odds + intercept; (1, 0) changes nothing."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, proba: npt.ArrayLike) -> Floats:
        """Probabilities (n, k) f64 whose rows keep their greatest class, the others in their old proportions; NaN rows stay NaN.

        Where the greatest would fall behind the second, it is kept just ahead of it.
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
    """Slope and intercept by maximum likelihood of "the decision is right", drawn to (1, 0) as firmly as a few rows would.

    proba (n, k): of models and calibrations that did not see the row; y (n,) class indices. The identity with fewer than LEAST_ROWS.
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

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[_SLOPES, (-5.0, 5.0)])
    return TopLabel(float(found.x[0]), float(found.x[1]))
