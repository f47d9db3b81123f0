"""Leases between machines that share a bucket: objects that only one machine can create.

A run over shards creates an object for each shard, then lists whether another run leases the whole folder. A run over the whole folder
creates one object, then waits until no shard is leased. A store orders puts and lists alike for every client, so of two runs that meet at
least one sees the other. A holder writes a heartbeat. Without one for `expires_after` seconds its leases expire, and whoever waits removes
them.

Leases save double work. They are not needed for correct data: every artifact is put whole with its recipe. When one machine pauses for so
long that two runs work on the same shard, either result is right, or the next plan sees that it is stale.
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
"""Name of the lease on the whole folder; a lease on a shard is named like the shard."""
HEARTBEATS = "alive"
"""Prefix of the objects that holders write again and again."""
POLL_SECONDS = 2.0
HEARTBEATS_BEFORE_EXPIRY = 6
"""More than one, because a heartbeat may be lost on the way."""


class Leases:
    """The leases below one URI. They expire `expires_after` seconds after the last heartbeat of their holder."""

    def __init__(
        self, remote: Remote, *, expires_after: float, poll: float = POLL_SECONDS, heartbeat: float | None = None
    ) -> None:
        self.remote = remote
        self.expires_after, self.poll = expires_after, poll
        self.heartbeat = heartbeat if heartbeat is not None else expires_after / HEARTBEATS_BEFORE_EXPIRY

    @contextmanager
    def hold(self, shards: Sequence[str] | None, what: str, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Lease `shards` (None: the whole folder) until the block ends. `on_wait` is told once who holds them now."""
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
        """Who holds anything, as text for people; None when nobody does."""
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
        """Name of a lease that is in the way; None when all of `names` are held."""
        for name in names:
            if not self.remote.create(name, text) and self._read(name)[0] != holder:
                # While it waits, it must not keep other runs from the shards that it could lease.
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
        """Whether the heartbeat is too old. Both times are the store's, because clocks of machines differ."""
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
            except OSError:  # the store does not answer; the run notices that by itself
                continue
