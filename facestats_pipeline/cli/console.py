"""Console output: tables and progress bars on a terminal, plain lines elsewhere, JSON on request."""

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
    """Print an error message to standard error, in red on a terminal."""
    err.print(Text.assemble(("error: ", "bold red"), str(error)))


def print_json(value: Any) -> None:
    """Print one JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def say_waiting(holder: str) -> None:
    """Print the holder of the lock that the command waits for."""
    err.print(
        f"Waiting for {holder}, which holds the lock of this data folder (Ctrl-C cancels).",
        markup=False,
        soft_wrap=True,
    )


Say = Callable[[str], None]
"""Shows the name of the current step."""


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Say]:
    """Show the progress that loops in `core` report: bars with rate and time left on a terminal, occasional lines elsewhere.

    The block gets a function that shows the name of the current step, for steps that report no progress.
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
        """Line above the bars: the current step and its duration."""
        if self._now is not None:
            self._progress.remove_task(self._now)
        for task in self._tasks.values():  # bars of the step before
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
    """Prints a line when a stage turns out to be long, then every 10 seconds, and when it ends."""

    EVERY = 10.0
    LONG = 2.0

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Print a line."""
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
