"""Of which shards the preprocessed photos were compared with the table, so that the next process need not compare them again."""

import json
from collections.abc import Callable
from pathlib import Path

NOTES_FILE = ".pictures.json"
"""In the data folder."""


class PictureNotes:
    """Shard → (state of table and folder, whether their names agree), as this process or one before it found.

    Ten thousand shards take 20 seconds to compare. A file that cannot be read is one without notes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, tuple[list[int], bool]] | None = None
        self.changed = False

    def agree(self, shard: str, table: Path, folder: Path, compare: Callable[[], bool]) -> bool:
        """What `compare` said when table and folder were in the state that they are in now; asked again when they are in another."""
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
    """Changes when a file is replaced, a folder's entries change, or either is a copy."""
    info = path.stat()
    return info.st_ino, info.st_mtime_ns
