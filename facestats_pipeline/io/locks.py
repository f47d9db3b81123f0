"""Locks of a data folder: runs over different shards run in parallel, all others one after another.

A run over shards takes a shared lock on the folder and an exclusive lock on each of its shards. A run across shards (discovery, models,
reports, a whole update) takes an exclusive lock on the folder. The locks are flock locks of the operating system. They end with the
process that holds them, so a crash leaves nothing to clean up. The text in a lock file is only for display.
"""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from facestats_pipeline.io.leases import WHOLE_FOLDER, Leases

POLL_SECONDS = 0.2
_held: dict[tuple[Path, int], frozenset[str] | None] = {}
"""(lock folder, thread) → shards held; None for the whole folder. Makes locks re-entrant: a run inside an update does not wait for it."""


class FolderLocks:
    """The locks of one data folder, kept in its `.locks`. With `leases`, they also hold against runs on other machines."""

    def __init__(self, data_dir: Path, leases: Leases | None = None) -> None:
        self.folder = data_dir.resolve() / ".locks"
        self.leases = leases

    @contextmanager
    def hold(
        self,
        shards: Sequence[str] | None = None,
        *,
        what: str = "a run",
        on_wait: Callable[[str], None] = lambda holder: None,
    ) -> Iterator[None]:
        """Lock `shards` (None: the whole folder) until the block ends; waits while another run holds them.

        Calls `on_wait` once with a description of the holder. A nested block of the same thread does not wait when the outer block
        covers it. Raises RuntimeError when the outer block does not, because the thread would wait for itself.
        """
        key = (self.folder, threading.get_ident())
        wanted = None if shards is None else frozenset(shards)
        if key in _held:
            around = _held[key]
            if around is not None and (wanted is None or not wanted <= around):
                raise RuntimeError("this thread holds some shards already and cannot wait for more")
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            mode = fcntl.LOCK_EX if shards is None else fcntl.LOCK_SH
            stack.enter_context(self._one(WHOLE_FOLDER, mode, what, on_wait))
            for shard in sorted(wanted or ()):  # always in the same order, which prevents deadlocks
                stack.enter_context(self._one(shard, fcntl.LOCK_EX, what, on_wait))
            if self.leases is not None:
                stack.enter_context(self.leases.hold(shards, what, on_wait))
            _held[key] = wanted
            try:
                yield
            finally:
                del _held[key]

    def holder(self) -> str | None:
        """A readable description of the run that holds a lock now; None when there is none."""
        path = self.folder / WHOLE_FOLDER
        if path.exists():
            with path.open("rb") as file:
                if not _try(file.fileno(), fcntl.LOCK_EX):
                    return _read(file.fileno())
        return self.leases.holder() if self.leases is not None else None

    @contextmanager
    def _one(self, name: str, mode: int, what: str, on_wait: Callable[[str], None]) -> Iterator[None]:
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            refused = 0
            while not _try(descriptor, mode):
                refused += 1
                if refused == 2:  # the first failure may be caused by `holder`, which locks only for a moment
                    on_wait(_read(descriptor))
                time.sleep(POLL_SECONDS)
            os.ftruncate(descriptor, 0)
            since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            os.pwrite(
                descriptor, f"{what} (process {os.getpid()} on {socket.gethostname()}, since {since})".encode(), 0
            )
            yield
        finally:
            os.close(descriptor)  # releases the lock


def _try(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> str:
    return os.pread(descriptor, 1000, 0).decode(errors="replace") or "another run"
