"""Leases for machines that share a bucket. A lease is an object that only one machine can create.

A run over shards creates a lease for each shard, then checks whether another run leases the whole folder. A run over the whole folder
creates one lease, then waits until no shard is leased. The store orders puts and lists the same way for every client, so at least one of
two conflicting runs sees the other.

The holder of a lease writes a heartbeat. A lease expires after `expires_after` seconds without one, and a waiting run removes it.

Leases only avoid duplicate work. Correct data does not depend on them, because each artifact is uploaded in one put with its recipe. If
a machine pauses until its lease expires and two runs work on one shard, each result is either correct or stale in the next plan.
"""

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from facestats_pipeline.io.remote import Remote

WHOLE_FOLDER = "folder"
"""Name of the lease on the whole folder. A lease on a shard has the shard's name."""
HEARTBEATS = "alive"
"""Prefix of the heartbeat objects, which holders rewrite periodically."""
POLL_SECONDS = 2.0
HEARTBEATS_BEFORE_EXPIRY = 6
"""Heartbeats per expiry time. More than one, because a single heartbeat may fail."""


class Leases:
    """The leases below one URI. A lease expires `expires_after` seconds after its holder's last heartbeat."""

    def __init__(
        self, remote: Remote, *, expires_after: float, poll: float = POLL_SECONDS, heartbeat: float | None = None
    ) -> None:
        self.remote = remote
        self.expires_after, self.poll = expires_after, poll
        self.heartbeat = heartbeat if heartbeat is not None else expires_after / HEARTBEATS_BEFORE_EXPIRY

    @contextmanager
    def hold(self, shards: Sequence[str] | None, what: str, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Lease `shards` (None: the whole folder) until the block ends. Calls `on_wait` once with the current holder."""
        holder = uuid.uuid4().hex
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        text = json.dumps({"holder": holder, "what": f"{what} (on {socket.gethostname()}, since {since})"}).encode()
        done = threading.Event()
        self.remote.write(f"{HEARTBEATS}/{holder}", b"alive")
        beating = threading.Thread(target=self._beat, args=(holder, done), daemon=True)
        beating.start()
        try:
            self._acquire([WHOLE_FOLDER] if shards is None else sorted(shards), text, holder, on_wait)
            yield
        finally:
            done.set()
            beating.join()
            names = [WHOLE_FOLDER] if shards is None else list(shards)
            self.remote.remove([name for name in names if self._read(name)[0] == holder])
            self.remote.remove([f"{HEARTBEATS}/{holder}"])

    def holder(self) -> str | None:
        """A readable description of a current holder; None when there is no lease."""
        for name in self.remote.listing(""):
            who, what = self._read(name)
            if who and not self._has_expired(who):
                return what
        return None

    def _acquire(self, names: Sequence[str], text: bytes, holder: str, on_wait: Callable[[str], None]) -> None:
        said = False
        while (other := self._try(names, text, holder)) is not None:
            who, what = self._read(other)
            if who and self._has_expired(who):
                self.remote.remove([other])
                continue
            if not said and who:
                said = True
                on_wait(what)
            time.sleep(self.poll)

    def _try(self, names: Sequence[str], text: bytes, holder: str) -> str | None:
        """Name of a conflicting lease; None when this machine now holds all of `names`."""
        for name in names:
            if not self.remote.create(name, text) and self._read(name)[0] != holder:
                # Release the shards already leased: a waiting run must not block other runs.
                if names != [WHOLE_FOLDER]:
                    self.remote.remove([got for got in names if self._read(got)[0] == holder])
                return name
        others = [
            name
            for name in self.remote.listing("")
            if name not in names and (names == [WHOLE_FOLDER] or name == WHOLE_FOLDER)
        ]
        if others and names != [WHOLE_FOLDER]:
            self.remote.remove(names)
        return others[0] if others else None

    def _read(self, name: str) -> tuple[str, str]:
        try:
            values = json.loads(self.remote.read(name))
            return str(values["holder"]), str(values["what"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return "", ""

    def _has_expired(self, holder: str) -> bool:
        """Whether the last heartbeat is too old. Both times come from the store, because machines' clocks differ."""
        mine = f"{HEARTBEATS}/look-{uuid.uuid4().hex}"
        self.remote.write(mine, b"now")
        now, theirs = self.remote.entry(mine), self.remote.entry(f"{HEARTBEATS}/{holder}")
        self.remote.remove([mine])
        if theirs is None:
            return True
        if now is None or now.modified is None or theirs.modified is None:
            return False
        return (now.modified - theirs.modified).total_seconds() > self.expires_after

    def _beat(self, holder: str, done: threading.Event) -> None:
        while not done.wait(self.heartbeat):
            try:
                self.remote.write(f"{HEARTBEATS}/{holder}", b"alive")
            except OSError:  # the store is unreachable; the run itself will report that
                continue
