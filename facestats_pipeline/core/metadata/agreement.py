"""Inter-annotator agreement: Krippendorff's alpha for nominal labels.

Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C (any number of observers, missing data).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Nominal alpha of `units`; a unit holds the values that different observers gave to one object.

    1 is perfect agreement, 0 is chance level, negative values are systematic disagreement. Units with fewer than two values are left out.
    None if alpha is undefined: no unit has two values, or all values are equal.
    """
    # Each ordered pair of values within a unit counts 1 / (m - 1), so that a unit of m values has the weight m.
    totals: Counter[Hashable] = Counter()
    observed = 0.0
    for values in units:
        m = len(values)
        if m < 2:
            continue
        counts = Counter(values)
        totals.update(counts)
        observed += (m * m - sum(c * c for c in counts.values())) / (m - 1)
    n = totals.total()
    expected = n * n - sum(c * c for c in totals.values())
    if expected == 0:
        return None
    return 1.0 - (n - 1) * observed / expected
