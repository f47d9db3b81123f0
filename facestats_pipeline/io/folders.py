"""Atomic file access to a data folder and its models, local or mirrored from a URI.

A file is written into a temporary folder on the same file system and then renamed, so that readers never see part of it. The temporary
folder is never inside a dataset, because readers would take its files for shards. The next run that locks the whole data folder
removes what killed processes left there.

With data under a URI, the folder holds local copies (see `mirror.py`): files are downloaded before their path is returned, and uploaded
when they are complete.
"""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facestats_pipeline.io.mirror import Mirror
from facestats_pipeline.io.recipes import digest

TEMPORARY = ".tmp"


class Folders:
    """The folders of one collection, and single files in them.

    Attributes:
        data_dir: the data folder.
        processed: its folder of artifacts.
        labels: its folder of user files.
        models: the folder of trained models.
    """

    def __init__(self, data_dir: Path, models_dir: Path, *, mirrors: Sequence[Mirror] = ()) -> None:
        self.data_dir = data_dir
        self.processed = data_dir / "processed"
        self.labels = data_dir / "labels"
        self.models = models_dir
        self._mirrors = tuple(mirrors)
        self._made: set[Path] = set()

    def refresh(self) -> None:
        """Drop cached listings, so that files written by other machines become visible."""
        for mirror in self._mirrors:
            mirror.refresh()

    def current(self, path: Path) -> Path:
        """The path, after downloading the file if its local copy is not current."""
        mirror = self._mirror(path)
        return path if mirror is None else mirror.fetch(mirror.name_of(path))

    def publish(self, path: Path) -> None:
        """Upload a file that was written in place. Files written through this class are uploaded by it."""
        mirror = self._mirror(path)
        if mirror is not None:
            mirror.put(path)

    def remove(self, path: Path) -> None:
        """Remove a file if it exists."""
        mirror = self._mirror(path)
        if mirror is None:
            path.unlink(missing_ok=True)
        else:
            mirror.remove([mirror.name_of(path)])

    def names(self, folder: Path) -> set[str]:
        """Names of the files directly in a folder."""
        mirror = self._mirror(folder)
        if mirror is not None:
            return set(mirror.listing(mirror.name_of(folder)))
        if not folder.is_dir():
            return set()
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}

    def size(self, path: Path) -> int | None:
        """Size of a file in bytes; None when it does not exist."""
        mirror = self._mirror(path)
        if mirror is not None:
            entry = mirror.entry(mirror.name_of(path))
            return entry.size if entry is not None else None
        return path.stat().st_size if path.is_file() else None

    def files_below(self, folder: Path) -> list[Path]:
        """Every file in a folder and its subfolders, as up-to-date copies."""
        mirror = self._mirror(folder)
        if mirror is not None:
            name = mirror.name_of(folder)
            return mirror.fetch_all(f"{name}/{below}" for below, _ in mirror.remote.walk(name))
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []

    def stamp(self, path: Path) -> int:
        """A number that changes when a file, or any file directly in a folder, is written; 0 when the path does not exist."""
        mirror = self._mirror(path)
        if mirror is None:
            return path.stat().st_mtime_ns if path.exists() else 0
        name = mirror.name_of(path)
        entries = {name: entry} if (entry := mirror.entry(name)) else mirror.listing(name)
        return int(digest(sorted((each, entry.etag) for each, entry in entries.items())), 16) if entries else 0

    def _mirror(self, path: Path) -> Mirror | None:
        return next((mirror for mirror in self._mirrors if path.is_relative_to(mirror.folder)), None)

    @contextmanager
    def replacing(self, target: Path, *, publish: bool = True) -> Iterator[Path]:
        """A temporary path to write to. It is renamed to `target` and uploaded if the block succeeds, and removed if it fails."""
        temporary = self.temporary_path(target)
        self._make_folder(target.parent)
        try:
            yield temporary
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if publish:
            self.publish(target)

    def temporary_path(self, target: Path) -> Path:
        """A new temporary path on the file system of `target`, outside every dataset."""
        folder = (self.models if target.is_relative_to(self.models) else self.processed) / TEMPORARY
        self._make_folder(folder)
        return folder / f"{uuid.uuid4().hex}{target.suffix}"

    def clear_temporary(self) -> int:
        """Remove what killed processes left in the temporary folders; returns the number of entries.

        Only for a caller that holds the lock of the whole data folder: other runs may be writing there.
        """
        left = [path for base in (self.processed, self.models) for path in (base / TEMPORARY).glob("*")]
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(left) + sum(mirror.tidy() for mirror in self._mirrors)

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._made:  # cached: once per folder, not once per photo
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)
