"""Local copies of what lies under a URI, for libraries that read files: fetched when they are asked for and not current, put when written.

The objects are the truth. A folder is listed once and the list kept until `refresh()`, which each run, plan and sensor begins with; a copy
is current while the ETag that it was fetched with is the listed one. Several processes may share the copies of a machine.
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
"""Which content each copy has. Lost, everything is fetched again."""
FETCHING = ".fetching"
A_DAY = 86_400  # seconds
AT_A_TIME = 16
"""Objects that are fetched side by side: an answer takes tens of milliseconds, whatever its size."""


class Mirror:
    """The copies of one URI in one folder."""

    def __init__(self, remote: Remote, folder: Path) -> None:
        self.remote = remote
        self.folder = folder
        self._lists: dict[str, dict[str, Entry]] = {}
        self._guard = threading.Lock()
        self._of_thread = threading.local()

    def refresh(self) -> None:
        """Forget the lists: from now on, what others have written since is seen."""
        with self._guard:
            self._lists.clear()

    def listing(self, folder: str) -> dict[str, Entry]:
        """Names in a folder → entry."""
        with self._guard:
            known = self._lists.get(folder)
        if known is None:
            known = self.remote.listing(folder)
            with self._guard:
                self._lists[folder] = known
        return known

    def entry(self, name: str) -> Entry | None:
        """An object as it is listed; None where there is none."""
        folder, _, last = name.rpartition("/")
        return self.listing(folder).get(last)

    def path(self, name: str) -> Path:
        """Where the copy lies, current or not, there or not."""
        return self.folder / name

    def fetch(self, name: str) -> Path:
        """The copy, made current. A path where no file is when there is no such object; an older copy stays where it is."""
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
        """An object into any file; the entry of what came. Raises FileNotFoundError."""
        entry = self.entry(name)
        if entry is None:
            raise FileNotFoundError(f"{self.remote}/{name} is not there")
        try:
            self.remote.download(name, target, size=entry.size)
        except (StorageUnavailable, FileNotFoundError):
            now = self.remote.entry(name)
            if now is None or now == entry or now.etag == entry.etag:
                raise
            entry = now  # it was replaced after the folder was listed
            self.remote.download(name, target, size=entry.size)
            self._wrote(name, entry, None)
        return entry

    def fetch_all(self, names: Iterable[str]) -> list[Path]:
        """The copies of many objects, several fetched at a time."""
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            return list(pool.map(self.fetch, names))

    def name_of(self, path: Path) -> str:
        """The object's name of a path that was given out."""
        return path.relative_to(self.folder).as_posix().removeprefix(".absent/")

    def put(self, path: Path) -> None:
        """Make a file that lies where its copy would, or where `fetch` said that there is none, the object."""
        name = self.name_of(path)
        self._wrote(name, self.remote.upload(path, name), path)

    def put_file(self, path: Path, name: str) -> Entry:
        """A file as an object of which no copy is kept."""
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
        """A text about an object's content, found once for each content of it."""
        known = self.note_of(key)
        if known is not None and known[0] == entry.etag:
            return known[1]
        text = find()
        self.keep_note(key, entry.etag, text)
        return text

    def note_of(self, key: str) -> tuple[str, str] | None:
        """(ETag, text) that was noted last."""
        row = self._notes.execute("SELECT etag, text FROM texts WHERE key = ?", (key,)).fetchone()
        return (str(row[0]), str(row[1])) if row is not None else None

    def keep_note(self, key: str, etag: str, text: str) -> None:
        """Note a text about the content with this ETag."""
        self._notes.execute("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", (key, etag, text))

    def forget_note(self, key: str) -> None:
        """Forget what was noted."""
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
        """The note names the very file: of two processes that fetch at once, one's note may come beside the other's file."""
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
        """One connection for each thread: a lookup takes 10 µs, opening 200."""
        notes: sqlite3.Connection | None = getattr(self._of_thread, "notes", None)
        if notes is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            notes = sqlite3.connect(self.folder / NOTES, timeout=60, isolation_level=None)
            notes.execute("PRAGMA journal_mode = WAL")
            notes.execute("PRAGMA synchronous = OFF")  # a lost note costs one more fetch
            notes.execute("CREATE TABLE IF NOT EXISTS copies (name TEXT PRIMARY KEY, etag TEXT, stamp TEXT)")
            notes.execute("CREATE TABLE IF NOT EXISTS texts (key TEXT PRIMARY KEY, etag TEXT, text TEXT)")
            self._of_thread.notes = notes
        return notes

    def tidy(self) -> int:
        """Remove what processes that were killed had begun to fetch, a day ago or earlier; how many files."""
        before = time.time() - A_DAY
        left = [path for path in (self.folder / FETCHING).glob("*") if path.stat().st_mtime < before]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def temporary(self, suffix: str = "") -> Path:
        """A new name among the copies, outside every dataset."""
        folder = self.folder / FETCHING
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{uuid.uuid4().hex}{suffix}"


def _hidden(name: str) -> str:
    """Names of JPEGs are image ids, which must not stay in the notes when an image is erased."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _stamp(path: Path) -> str:
    info = path.stat()
    return f"{info.st_ino}-{info.st_size}-{info.st_mtime_ns}"
