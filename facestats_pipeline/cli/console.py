"""How the command line speaks: tables and bars on a terminal, plain lines elsewhere, JSON where it is asked for."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from facestats_pipeline.core.progress import listening

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def show_error(error: Exception) -> None:
    """The message in red on standard error."""
    err.print(Text.assemble(("error: ", "bold red"), str(error)))


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def say_waiting(holder: str) -> None:
    """Who works in the data folder, while a command waits for it."""
    err.print(f"Waiting for {holder}, which works in the same folder (Ctrl-C gives up).", markup=False, soft_wrap=True)


Say = Callable[[str], None]
"""Tells what is worked on now, in a few words."""


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Say]:
    """Show what `core` reports of its loops: bars with rate and time left on a terminal, a line now and then elsewhere.

    Work that reports nothing is named by the function that is given: with a clock on a terminal, as a line elsewhere.
    """
    if quiet:
        yield lambda text: None
    elif err.is_terminal:
        with _Bars() as bars, listening(bars.report):
            yield bars.say
    else:
        lines = _Lines()
        with listening(lines.report):
            yield lines.say


def pace(done: int, seconds: float) -> str:
    """`68/s`, `3.4/s`, or for slow work `12 s each`."""
    rate = done / max(seconds, 1e-3)
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 0.5 else f"{1 / max(rate, 1e-6):.0f} s each"


def _note(done: int, total: int | None, seconds: float) -> str:
    """`128 of 300, 68/s, 0:03 left`."""
    if total is None or done >= total:
        return f"{done}{f' of {total}' if total else ''}, {pace(done, seconds)}"
    left = round(seconds / done * (total - done))
    return f"{done} of {total}, {pace(done, seconds)}, {left // 60}:{left % 60:02d} left"


class _Bars:
    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", table_column=Column(ratio=1, overflow="ellipsis", no_wrap=True)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, justify="right")),
            TimeElapsedColumn(),
            console=err,
            transient=True,
            expand=True,
        )
        self._now: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Above the bars: what is worked on, for how long."""
        if self._now is not None:
            self._progress.remove_task(self._now)
        for task in self._tasks.values():  # of what was worked on before
            self._progress.remove_task(task)
        self._tasks.clear()
        self._now = self._progress.add_task(escape(text), total=None, note="")

    def report(self, stage: str, done: int, total: int | None) -> None:
        if done == 0 or stage not in self._tasks:
            if stage in self._tasks:
                self._progress.remove_task(self._tasks[stage])
            self._tasks[stage] = self._progress.add_task(stage, total=total, note="")
            self._started[stage] = time.monotonic()
        note = _note(done, total, time.monotonic() - self._started[stage]) if done else ""
        self._progress.update(self._tasks[stage], completed=done, total=total, note=note)
        if total is not None and done >= total:
            self._progress.update(self._tasks[stage], visible=False)


class _Lines:
    """A line when a long stage begins to be long, every 10 seconds, and when it ends."""

    EVERY = 10.0
    LONG = 2.0

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def say(self, text: str) -> None:
        """A line of its own."""
        err.print(text, markup=False, soft_wrap=True)

    def report(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done == 0 or stage not in self._started:
            self._started[stage] = self._said[stage] = now
            return
        seconds = now - self._started[stage]
        ended = total is not None and done >= total
        if (ended and seconds > self.LONG) or now - self._said[stage] > self.EVERY:
            self._said[stage] = now
            err.print(f"{stage}: {_note(done, total, seconds)}, {seconds:.0f} s so far", markup=False, soft_wrap=True)
