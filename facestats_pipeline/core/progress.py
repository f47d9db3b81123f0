"""Progress reports of long loops, independent of how they are shown.

`core` reports; the caller (the command line, a notebook, or nobody) decides what to show. The listener is a context variable, so two
runs in one process do not receive each other's reports.
"""

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

Listener = Callable[[str, int, int | None], None]
"""Called with (stage, done so far, total or None)."""

_listener: ContextVar[Listener | None] = ContextVar("facestats_progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every progress report inside the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(stage: str, done: int, total: int | None = None) -> None:
    """Report that `done` of `total` items of `stage` are finished. Without a listener this does nothing."""
    if (listener := _listener.get()) is not None:
        listener(stage, done, total)


def track(items: Iterable[T], stage: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` unchanged and report after each. `total` defaults to their length, if they have one."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    report(stage, 0, total)
    for done, item in enumerate(items, start=1):
        yield item
        report(stage, done, total)
