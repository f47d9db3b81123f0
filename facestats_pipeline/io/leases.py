"""Turns between machines that share a bucket, by objects that only one of them can create.

Whoever wants shards creates an object for each, then looks whether somebody has the whole folder; whoever wants the folder creates its
object, then waits until no shard is held. Stores answer a put and a list in one order for everybody, so of two that meet at least one sees
the other. A holder renews a sign of life; after `stale` seconds without one its objects are removed by whoever waits.

Leases save double work; they are not what keeps data right. Every artifact is put whole with its recipe, so that two runs over the same
shard, which a long pause of one of them can bring about, leave one of two equal results, or one that the next plan sees is stale.
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
LIVES = "alive"
POLL_SECONDS = 2.0
SIGNS_OF_LIFE = 6
"""Within the time after which leases are void: some may be lost on the way."""


class Leases:
    """The leases below one URI, void after `stale` seconds without a sign of life."""

    def __init__(self, remote: Remote, *, stale: float, poll: float = POLL_SECONDS, renew: float | None = None) -> None:
        self.remote = remote
        self.stale, self.poll = stale, poll
        self.renew = renew if renew is not None else stale / SIGNS_OF_LIFE

    @contextmanager
    def hold(self, shards: Sequence[str] | None, what: str, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Have `shards` (None: the whole folder) until the block ends. `on_wait` is told once who has them now."""
        holder = uuid.uuid4().hex
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        text = json.dumps({"holder": holder, "what": f"{what} (on {socket.gethostname()}, since {since})"}).encode()
        done = threading.Event()
        self.remote.write(f"{LIVES}/{holder}", b"alive")
        living = threading.Thread(target=self._live, args=(holder, done), daemon=True)
        living.start()
        try:
            self._acquire([WHOLE_FOLDER] if shards is None else sorted(shards), text, holder, on_wait)
            yield
        finally:
            done.set()
            living.join()
            names = [WHOLE_FOLDER] if shards is None else list(shards)
            self.remote.remove([name for name in names if self._read(name)[0] == holder])
            self.remote.remove([f"{LIVES}/{holder}"])

    def holder(self) -> str | None:
        """Who holds anything, as text for people; None when nobody does."""
        for name in self.remote.listing(""):
            who, what = self._read(name)
            if who and not self._is_dead(who):
                return what
        return None

    def _acquire(self, names: Sequence[str], text: bytes, holder: str, on_wait: Callable[[str], None]) -> None:
        said = False
        while (other := self._try(names, text, holder)) is not None:
            who, what = self._read(other)
            if who and self._is_dead(who):
                self.remote.remove([other])
                continue
            if not said and who:
                said = True
                on_wait(what)
            time.sleep(self.poll)

    def _try(self, names: Sequence[str], text: bytes, holder: str) -> str | None:
        """Name of an object that is in the way; None when all of `names` are held."""
        for name in names:
            if not self.remote.create(name, text) and self._read(name)[0] != holder:
                if names != [WHOLE_FOLDER]:  # keeps what it has got of shards from nobody while it waits
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

    def _is_dead(self, holder: str) -> bool:
        """Both times are the store's: clocks of machines differ."""
        mine = f"{LIVES}/look-{uuid.uuid4().hex}"
        self.remote.write(mine, b"now")
        now, theirs = self.remote.entry(mine), self.remote.entry(f"{LIVES}/{holder}")
        self.remote.remove([mine])
        if theirs is None:
            return True
        if now is None or now.modified is None or theirs.modified is None:
            return False
        return (now.modified - theirs.modified).total_seconds() > self.stale

    def _live(self, holder: str, done: threading.Event) -> None:
        while not done.wait(self.renew):
            try:
                self.remote.write(f"{LIVES}/{holder}", b"alive")
            except OSError:  # the store does not answer: the run will notice by itself
                continue
