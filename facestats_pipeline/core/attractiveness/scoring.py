"""Ranks of scores: percentile and decile within a stored reference distribution.

The reference is the collection's own scores, so a photo scored later gets the rank that it would have in the collection.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

REFERENCE_SIZE = 10_001


def build_reference(raw: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The sorted scores (m,) f32 of a collection without NaN. Above REFERENCE_SIZE scores, that many evenly spaced quantiles."""
    values = np.asarray(raw, dtype=np.float32).reshape(-1)
    values = np.sort(values[np.isfinite(values)])
    if len(values) <= REFERENCE_SIZE:
        return values
    # Existing scores instead of interpolated ones: ties in the collection stay ties in the reference.
    at = np.round(np.linspace(0, len(values) - 1, REFERENCE_SIZE)).astype(np.intp)
    return np.asarray(values[at])


def percentile(raw: npt.ArrayLike, reference: npt.ArrayLike) -> Floats:
    """(n,) f64 mid-ranks of scores in the reference, in [0, 1]: the share below plus half the share equal.

    A score of the reference itself gets (rank − ½)/m. NaN for NaN and for an empty reference.
    """
    values = np.asarray(raw, dtype=np.float32).reshape(-1)
    sorted_scores = np.asarray(reference, dtype=np.float32).reshape(-1)
    if not len(sorted_scores):
        return np.full(len(values), np.nan)
    below = np.searchsorted(sorted_scores, values, side="left")
    through = np.searchsorted(sorted_scores, values, side="right")
    return np.where(np.isfinite(values), (below + through) / (2 * len(sorted_scores)), np.nan)


ROUNDING = 1e-5
"""Relative difference below which scores count as equal: a hundred times float32's rounding, far below the resolution of ratings."""


def snap(raw: npt.ArrayLike, reference: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """(n,) f32 scores, each replaced by the nearest entry of the sorted reference if they differ only by rounding.

    A photo embedded in a batch of another size gets a score with other last bits. Without this, it would no longer equal its own entry in
    the reference, and its rank would move.
    """
    values = np.asarray(raw, dtype=np.float32).reshape(-1)
    entries = np.asarray(reference, dtype=np.float32).reshape(-1)
    if not len(entries):
        return values
    right = (
        np.clip(np.searchsorted(entries, values), 1, len(entries) - 1)
        if len(entries) > 1
        else np.zeros(len(values), int)
    )
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(values - entries[left]) <= np.abs(values - entries[right]), entries[left], entries[right])
    return np.where(np.abs(values - nearest) <= ROUNDING * (1 + np.abs(values)), nearest, values).astype(np.float32)


def decile(pct: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """(n,) i8 deciles 1–10 of percentiles in [0, 1]: [0, 0.1) is 1, [0.9, 1] is 10; 0 for NaN, which tables turn into null."""
    p = np.asarray(pct, dtype=np.float64).reshape(-1)
    # The small offset keeps 0.3 in the fourth tenth, although its binary form is slightly smaller.
    tenth = np.floor(np.nan_to_num(p) * 10 + 1e-9).astype(np.int8) + 1
    return np.where(np.isfinite(p), np.clip(tenth, 1, 10), 0).astype(np.int8)
