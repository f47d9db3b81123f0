"""Timings of a stage by phase: seconds spent reading, decoding, computing and writing.

`core` records its phases; a caller collects them with `measuring`. Seconds are summed over threads, so on two cores they can reach twice
the elapsed time.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

Phase = Literal["read", "decode", "compute", "write"]
PHASES: tuple[Phase, ...] = ("read", "decode", "compute", "write")


@dataclass
class Phases:
    """Seconds by phase, and the number of processed images. Safe to use from several threads."""

    seconds: dict[Phase, float] = field(default_factory=dict)
    images: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def timing(self, phase: Phase) -> Iterator[None]:
        """Add the duration of the block to `phase`, also when the block raises."""
        started = perf_counter()
        try:
            yield
        finally:
            self.add(phase, perf_counter() - started)

    def add(self, phase: Phase, seconds: float) -> None:
        """Add `seconds` to `phase`."""
        with self._lock:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    def count(self, images: int = 1) -> None:
        """Add to the number of processed images. Rows reused from an earlier run do not count."""
        with self._lock:
            self.images += images


_current: ContextVar[Phases | None] = ContextVar("facestats_phases", default=None)


@contextmanager
def measuring() -> Iterator[Phases]:
    """Collect the timings recorded inside the block."""
    phases = Phases()
    token = _current.set(phases)
    try:
        yield phases
    finally:
        _current.reset(token)


def current() -> Phases:
    """The active collector, or a throw-away one outside `measuring`.

    New threads do not inherit context variables: call this before starting them and pass the result on.
    """
    return _current.get() or Phases()
