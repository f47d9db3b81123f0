"""Processes that a test starts: what they print goes into a file, and they end with the test, whatever became of it."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def start(
    command: Sequence[object], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """`command` in a session of its own, so that `end` reaches what it starts; its output goes into `log`."""
    with log.open("wb") as output:
        return subprocess.Popen(
            list(map(str, command)), env=env, cwd=cwd, stdout=output, stderr=output, start_new_session=True
        )


def end(process: subprocess.Popen[bytes], patience: float = 30, ask: signal.Signals = signal.SIGTERM) -> None:
    """Ask a process of `start` to end; after `patience` seconds kill it and its whole session."""
    process.send_signal(ask)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        kill_session(process)
        process.wait()


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process of `start` and of what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def running(
    command: Sequence[object],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    patience: float = 30,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process from `start` to `end`."""
    process = start(command, log, env=env, cwd=cwd)
    try:
        yield process
    finally:
        end(process, patience)
