"""Where the time of a stage goes: seconds of reading, decoding, computing and writing.

`core` says what it is doing; whoever wants to know listens with `measuring`, as for `progress`. Seconds are summed over the threads that
spend them, so on two cores they may come to twice those of the clock.
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
    """Seconds by phase, and how many images were worked on. Any number of threads may add to it."""

    seconds: dict[Phase, float] = field(default_factory=dict)
    images: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def timing(self, phase: Phase) -> Iterator[None]:
        """Add the seconds of the block to `phase`, also when it raises."""
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
        """Say that so many images more were worked on: read anew, not taken over from an earlier run."""
        with self._lock:
            self.images += images


_current: ContextVar[Phases | None] = ContextVar("facestats_phases", default=None)


@contextmanager
def measuring() -> Iterator[Phases]:
    """Collect what is timed inside the block."""
    phases = Phases()
    token = _current.set(phases)
    try:
        yield phases
    finally:
        _current.reset(token)


def current() -> Phases:
    """What collects now, or one that nobody looks at. Threads do not inherit it: ask before starting them, and hand it on."""
    return _current.get() or Phases()
