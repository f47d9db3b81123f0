"""How many examples Hypothesis tries: `make quick` tries a fifth of what every other run tries."""

from typing import Any

from hypothesis import HealthCheck, settings

FULL, QUICK = "facestats", "facestats-quick"
# On a machine that does other things too, an example may take any time.
settings.register_profile(FULL, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(QUICK, settings.get_profile(FULL), max_examples=20)


def examples(number: int, **others: Any) -> settings:
    """Settings of a test with `number` examples, and with a fifth of them in `make quick`."""
    share = settings().max_examples / settings.get_profile(FULL).max_examples
    return settings(max_examples=max(1, round(number * share)), **others)
