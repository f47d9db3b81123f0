"""How the command line speaks: tables and bars on a terminal, plain lines elsewhere, JSON where it is asked for."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from facestats_pipeline.core.progress import listening

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class ExpectedError(Exception):
    """Something a user can put right: shown as one message with the next step, exit code 1."""


def show_error(error: Exception) -> None:
    """The message in red on standard error."""
    err.print("[bold red]error:[/] ", end="")
    err.print(str(error), markup=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[None]:
    """Show what `core` reports of its loops: bars with rate and time left on a terminal, a line now and then elsewhere."""
    if quiet:
        yield
    elif err.is_terminal:
        with _Bars() as bars, listening(bars.report):
            yield
    else:
        with listening(_Lines().report):
            yield


class _Bars:
    def __init__(self) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns, TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=err, transient=True
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def report(self, stage: str, done: int, total: int | None) -> None:
        if done == 0 or stage not in self._tasks:
            if stage in self._tasks:
                self._progress.remove_task(self._tasks[stage])
            self._tasks[stage] = self._progress.add_task(stage, total=total, rate="")
            self._started[stage] = time.monotonic()
        rate = f"{done / max(time.monotonic() - self._started[stage], 1e-3):.0f}/s" if done else ""
        self._progress.update(self._tasks[stage], completed=done, total=total, rate=rate)
        if total is not None and done >= total:
            self._progress.update(self._tasks[stage], visible=False)


class _Lines:
    """A line when a long stage begins to be long, every 10 seconds, and when it ends."""

    EVERY = 10.0
    LONG = 2.0

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def report(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done == 0 or stage not in self._started:
            self._started[stage] = self._said[stage] = now
            return
        seconds = now - self._started[stage]
        ended = total is not None and done >= total
        if (ended and seconds > self.LONG) or now - self._said[stage] > self.EVERY:
            self._said[stage] = now
            of = f" of {total}" if total is not None else ""
            err.print(f"{stage}: {done}{of}, {done / seconds:.0f}/s, {seconds:.0f} s", markup=False)
