"""A cache, kept across processes, of which shards' JPEGs match their table."""

import json
from collections.abc import Callable
from pathlib import Path

NOTES_FILE = ".pictures.json"
"""File of the notes, in the data folder."""


class PictureNotes:
    """Shard → (stamp of table and folder, whether their names match).

    Comparing ten thousand shards takes 20 seconds. An unreadable notes file counts as empty.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, tuple[list[int], bool]] | None = None
        self.changed = False

    def agree(self, shard: str, table: Path, folder: Path, compare: Callable[[], bool]) -> bool:
        """The cached result of `compare`, which is called again when the table or the folder has changed."""
        stamp = [*_stamp(table), *(_stamp(folder) if folder.is_dir() else ())]
        if self._known is None:
            self._known = self._read()
        if self._known.get(shard, (None,))[0] != stamp:
            self._known[shard] = stamp, compare()
            self.changed = True
        return self._known[shard][1]

    def _read(self) -> dict[str, tuple[list[int], bool]]:
        try:
            known: dict[str, tuple[list[int], bool]] = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known

    def write(self, place: Path) -> None:
        """Write the notes to `place`."""
        place.write_text(json.dumps(self._known), encoding="utf-8")
        self.changed = False


def _stamp(path: Path) -> tuple[int, int]:
    """A stamp that changes when a file is replaced, a folder's entries change, or either is copied."""
    info = path.stat()
    return info.st_ino, info.st_mtime_ns
