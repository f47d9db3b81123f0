"""Files of a data folder and its models, whole or not at all, on this machine or as copies of what lies under a URI.

A file appears under its final name complete or not at all: it is written into a temporary folder of the same file system and renamed.
The temporary folder lies beside the datasets, never inside one, where readers would take its files for shards. What a killed process
leaves in it is removed by the next run that has the data folder to itself.

Where the data lie under a URI, the folder holds copies (see `mirror.py`): paths that are given out are of current copies; what is written
is put when it is whole.
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
        data_dir, processed, labels, models: the data folder, what is made in it, what people provide, and the models' folder.
    """

    def __init__(self, data_dir: Path, models_dir: Path, *, mirrors: Sequence[Mirror] = ()) -> None:
        self.data_dir = data_dir
        self.processed = data_dir / "processed"
        self.labels = data_dir / "labels"
        self.models = models_dir
        self._mirrors = tuple(mirrors)
        self._made: set[Path] = set()

    def refresh(self) -> None:
        """From now on, see what other machines have written since."""
        for mirror in self._mirrors:
            mirror.refresh()

    def current(self, path: Path) -> Path:
        """A file of the data or models folder, fetched where its copy is not current."""
        mirror = self._mirror(path)
        return path if mirror is None else mirror.fetch(mirror.name_of(path))

    def publish(self, path: Path) -> None:
        """Let others see a file that was written in place. What goes through this class is published by it."""
        mirror = self._mirror(path)
        if mirror is not None:
            mirror.put(path)

    def remove(self, path: Path) -> None:
        """Remove a file, where there is one."""
        mirror = self._mirror(path)
        if mirror is None:
            path.unlink(missing_ok=True)
        else:
            mirror.remove([mirror.name_of(path)])

    def names(self, folder: Path) -> set[str]:
        """Names of the files in a folder, without those below it."""
        mirror = self._mirror(folder)
        if mirror is not None:
            return set(mirror.listing(mirror.name_of(folder)))
        if not folder.is_dir():
            return set()
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}

    def size(self, path: Path) -> int | None:
        """Bytes of a file; None where there is none."""
        mirror = self._mirror(path)
        if mirror is not None:
            entry = mirror.entry(mirror.name_of(path))
            return entry.size if entry is not None else None
        return path.stat().st_size if path.is_file() else None

    def files_below(self, folder: Path) -> list[Path]:
        """Every file in a folder and below it, each current."""
        mirror = self._mirror(folder)
        if mirror is not None:
            name = mirror.name_of(folder)
            return mirror.fetch_all(f"{name}/{below}" for below, _ in mirror.remote.walk(name))
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []

    def stamp(self, path: Path) -> int:
        """Changes when a file, or a file in a folder, is written; 0 where there is nothing."""
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
        """A temporary path to write to; renamed to `target` (and published) when the block ends well, removed when it does not."""
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
        """A new name on the same file system as `target`, outside every dataset."""
        folder = (self.models if target.is_relative_to(self.models) else self.processed) / TEMPORARY
        self._make_folder(folder)
        return folder / f"{uuid.uuid4().hex}{target.suffix}"

    def clear_temporary(self) -> int:
        """Remove what killed processes left in the temporary folders; how many entries. Only for whoever has the data folder locked."""
        left = [path for base in (self.processed, self.models) for path in (base / TEMPORARY).glob("*")]
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(left) + sum(mirror.tidy() for mirror in self._mirrors)

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._made:  # once a folder, not once a photo
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)
