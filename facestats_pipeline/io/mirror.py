"""Local copies of objects under a URI, for libraries that need files. Copies are downloaded on demand; written files are uploaded.

The objects are the source of truth. Each folder is listed once, and the listing is cached until `refresh()`, with which every run, plan
and sensor tick begins. A copy is current while its ETag equals the listed one. Processes of one machine can share the copies.
"""

import hashlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from facestats_pipeline.io.remote import Entry, Remote, StorageUnavailable

NOTES = ".mirror.db"
"""SQLite database with the ETag of each copy. If it is lost, everything is downloaded again."""
FETCHING = ".fetching"
A_DAY = 86_400  # seconds
AT_A_TIME = 16
"""Parallel downloads. Latency dominates: a request takes tens of milliseconds whatever its size."""


class Mirror:
    """The local copies of one URI in one folder."""

    def __init__(self, remote: Remote, folder: Path) -> None:
        self.remote = remote
        self.folder = folder
        self._lists: dict[str, dict[str, Entry]] = {}
        self._guard = threading.Lock()
        self._of_thread = threading.local()

    def refresh(self) -> None:
        """Drop the cached listings, so that objects written by others become visible."""
        with self._guard:
            self._lists.clear()

    def listing(self, folder: str) -> dict[str, Entry]:
        """Object name → entry, for one folder without its subfolders."""
        with self._guard:
            known = self._lists.get(folder)
        if known is None:
            known = self.remote.listing(folder)
            with self._guard:
                self._lists[folder] = known
        return known

    def entry(self, name: str) -> Entry | None:
        """The listed entry of an object; None when there is none."""
        folder, _, last = name.rpartition("/")
        return self.listing(folder).get(last)

    def path(self, name: str) -> Path:
        """Local path of a copy, whether or not it exists or is current."""
        return self.folder / name

    def fetch(self, name: str) -> Path:
        """Path of the up-to-date copy. Without such an object, the path of a file that does not exist; an older copy is kept."""
        entry = self.entry(name)
        if entry is None:
            absent = self.folder / ".absent" / name
            absent.unlink(missing_ok=True)
            return absent
        target = self.path(name)
        if not self._is_current(name, entry):
            temporary = self.temporary(target.suffix)
            try:
                self._note(name, self.download(name, temporary).etag, temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        return target

    def download(self, name: str, target: Path) -> Entry:
        """Download an object into a file; returns the entry of the downloaded version. Raises FileNotFoundError."""
        entry = self.entry(name)
        if entry is None:
            raise FileNotFoundError(f"{self.remote}/{name} is not there")
        try:
            self.remote.download(name, target, size=entry.size)
        except (StorageUnavailable, FileNotFoundError):
            now = self.remote.entry(name)
            if now is None or now == entry or now.etag == entry.etag:
                raise
            entry = now  # replaced after the folder was listed
            self.remote.download(name, target, size=entry.size)
            self._wrote(name, entry, None)
        return entry

    def fetch_all(self, names: Iterable[str]) -> list[Path]:
        """Paths of the up-to-date copies of many objects, downloaded in parallel."""
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            return list(pool.map(self.fetch, names))

    def name_of(self, path: Path) -> str:
        """The object name of a local path."""
        return path.relative_to(self.folder).as_posix().removeprefix(".absent/")

    def put(self, path: Path) -> None:
        """Upload a file at a path that `path` or `fetch` returned, as the object of that path."""
        name = self.name_of(path)
        self._wrote(name, self.remote.upload(path, name), path)

    def put_file(self, path: Path, name: str) -> Entry:
        """Upload a file as an object without keeping a copy."""
        entry = self.remote.upload(path, name)
        self._wrote(name, entry, None)
        return entry

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects and their copies."""
        gone = list(names)
        self.remote.remove(gone)
        for name in gone:
            folder, _, last = name.rpartition("/")
            with self._guard:
                self._lists.get(folder, {}).pop(last, None)
            self.path(name).unlink(missing_ok=True)

    def noted(self, key: str, entry: Entry, find: Callable[[], str]) -> str:
        """A text derived from an object's content by `find`, cached by ETag."""
        known = self.note_of(key)
        if known is not None and known[0] == entry.etag:
            return known[1]
        text = find()
        self.keep_note(key, entry.etag, text)
        return text

    def note_of(self, key: str) -> tuple[str, str] | None:
        """The cached (ETag, text)."""
        row = self._notes.execute("SELECT etag, text FROM texts WHERE key = ?", (key,)).fetchone()
        return (str(row[0]), str(row[1])) if row is not None else None

    def keep_note(self, key: str, etag: str, text: str) -> None:
        """Cache a text about the content with this ETag."""
        self._notes.execute("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", (key, etag, text))

    def forget_note(self, key: str) -> None:
        """Drop the cached text."""
        self._notes.execute("DELETE FROM texts WHERE key = ?", (key,))

    # --- which content a copy has -----------------------------------------------------------------------------------------------

    def _wrote(self, name: str, entry: Entry, path: Path | None) -> None:
        if path is not None:
            self._note(name, entry.etag, path)
        folder, _, last = name.rpartition("/")
        with self._guard:
            if folder in self._lists:
                self._lists[folder][last] = entry

    def _is_current(self, name: str, entry: Entry) -> bool:
        """Whether the local file is the noted version. The note includes a stamp of the file, because when two processes download
        at once, the note of one may meet the file of the other.
        """
        try:
            now = _stamp(self.path(name))
        except FileNotFoundError:
            return False
        row = self._notes.execute("SELECT etag, stamp FROM copies WHERE name = ?", (_hidden(name),)).fetchone()
        return row is not None and (row[0], row[1]) == (entry.etag, now)

    def _note(self, name: str, etag: str, path: Path) -> None:
        self._notes.execute("INSERT OR REPLACE INTO copies VALUES (?, ?, ?)", (_hidden(name), etag, _stamp(path)))

    @property
    def _notes(self) -> sqlite3.Connection:
        """One connection per thread: a lookup takes 10 µs, opening a connection 200."""
        notes: sqlite3.Connection | None = getattr(self._of_thread, "notes", None)
        if notes is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            notes = sqlite3.connect(self.folder / NOTES, timeout=60, isolation_level=None)
            notes.execute("PRAGMA journal_mode = WAL")
            notes.execute("PRAGMA synchronous = OFF")  # a lost note only costs one more download
            notes.execute("CREATE TABLE IF NOT EXISTS copies (name TEXT PRIMARY KEY, etag TEXT, stamp TEXT)")
            notes.execute("CREATE TABLE IF NOT EXISTS texts (key TEXT PRIMARY KEY, etag TEXT, text TEXT)")
            self._of_thread.notes = notes
        return notes

    def tidy(self) -> int:
        """Remove partial downloads of killed processes that are at least a day old; returns the number of files."""
        before = time.time() - A_DAY
        left = [path for path in (self.folder / FETCHING).glob("*") if path.stat().st_mtime < before]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def temporary(self, suffix: str = "") -> Path:
        """A new temporary path on the file system of the copies, outside every dataset."""
        folder = self.folder / FETCHING
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{uuid.uuid4().hex}{suffix}"


def _hidden(name: str) -> str:
    """A hash of the name, as key of its note. JPEG names are image ids, which must not remain in the notes after an erasure."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _stamp(path: Path) -> str:
    info = path.stat()
    return f"{info.st_ino}-{info.st_size}-{info.st_mtime_ns}"
