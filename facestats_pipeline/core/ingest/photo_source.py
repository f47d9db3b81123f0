"""Photo sources: the interface for listing and reading photos, and its implementation for a folder."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from facestats_pipeline.core.ingest.identity import decode_filename, encode_filename, read_photo

_IGNORED = {"thumbs.db", "desktop.ini"}
PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif")


@dataclass(frozen=True)
class Found:
    """A listed file: stored name, size in bytes and time, or the reason why it is not a readable regular file."""

    filename: str
    bytes: int
    mtime_ns: int
    state: str = "ok"
    reason: str = ""


class PhotoSource(Protocol):
    """The interface of a place with photos, used by discovery, manifest and preprocessing. `str()` gives its name for messages."""

    def available(self) -> bool:
        """Whether the place exists."""

    def listed(self, *, max_bytes: int) -> list[Found]:
        """All files, sorted by the parts of their paths. Raises OSError when the place itself cannot be listed."""

    def scan(self, *, max_bytes: int, after: str = "") -> Iterator[Found]:
        """Yield all files in the source's own stable order; with `after` (a stored name), only those that come after it."""

    def read(self, filename: str, expected_id: str | None = None, *, size: int | None = None) -> bytes:
        """The bytes of a listed photo; `size` is their expected number, if known.

        Raises OSError; PhotoChanged when the bytes do not match `expected_id`; PhotosUnavailable when the fault is not the photo's.
        """


@dataclass(frozen=True)
class PhotoFolder:
    """Photos in a local folder."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def available(self) -> bool:
        """Whether the folder exists."""
        return self.root.is_dir()

    def listed(self, *, max_bytes: int) -> list[Found]:
        """See `scan_folder`."""
        return list(scan_folder(self.root, max_bytes=max_bytes))

    def scan(self, *, max_bytes: int, after: str = "") -> Iterator[Found]:
        """See `scan_folder`."""
        return scan_folder(self.root, max_bytes=max_bytes, after=after)

    def read(self, filename: str, expected_id: str | None = None, *, size: int | None = None) -> bytes:
        """See `read_photo`. `size` is ignored: a local file is read whole, whatever its size is now."""
        return read_photo(self.root, filename, expected_id)


def scan_folder(root: Path, *, max_bytes: int, after: str = "") -> Iterator[Found]:
    """Yield all files below `root`, sorted by name. Clutter is skipped (`is_clutter`); links are followed only within `root`.

    With `after` (a stored name), only files after it: a long scan can be resumed. Raises OSError when `root` itself cannot be listed; a
    sub-folder that cannot be listed becomes one entry with the reason.
    """
    inside = os.path.realpath(root)
    seen = decode_filename(after).split("/") if after else []
    yield from _scan(os.fspath(root), "", inside, max_bytes, seen, top=True)


def _scan(
    folder: str, prefix: str, inside: str, max_bytes: int, seen: list[str], *, top: bool = False
) -> Iterator[Found]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if top:
            raise
        yield Found(
            encode_filename(prefix.rstrip("/")), 0, 0, "corrupt", f"the folder cannot be listed: {error.strerror}"
        )
        return
    for entry in entries:
        if is_clutter(entry.name) or (seen and (entry.name < seen[0] or [entry.name] == seen)):
            continue
        name = prefix + entry.name
        try:
            info = entry.stat()
        except OSError as error:
            yield Found(encode_filename(name), 0, 0, "unsupported", f"a link that leads nowhere: {error.strerror}")
            continue
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if os.path.commonpath([target, inside]) != inside:
                yield Found(encode_filename(name), 0, 0, "unsupported", "a link that leaves the photo folder")
                continue
            if stat.S_ISDIR(info.st_mode):  # following it would list photos twice, or forever
                yield Found(
                    encode_filename(name), 0, 0, "unsupported", "a link to a folder of photos that is read already"
                )
                continue
        if stat.S_ISDIR(info.st_mode):
            yield from _scan(entry.path, name + "/", inside, max_bytes, seen[1:] if seen[:1] == [entry.name] else [])
        elif not stat.S_ISREG(info.st_mode):
            yield Found(encode_filename(name), 0, 0, "unsupported", "not a regular file")
        else:
            yield regular_file(name, info.st_size, info.st_mtime_ns, max_bytes)


def is_clutter(name: str) -> bool:
    """Whether a name belongs to a file that programs leave behind. A photo's name may begin with a dot, but not with macOS's `._`."""
    hidden = name.startswith(".") and (name.startswith("._") or not name.lower().endswith(PHOTO_ENDINGS))
    return hidden or name.lower() in _IGNORED


def regular_file(name: str, size: int, stamp: int, max_bytes: int) -> Found:
    """The entry of a regular file, judged by its size alone. `stamp`: a number that changes with the content, such as mtime in ns."""
    filename = encode_filename(name)
    if size == 0:
        return Found(filename, 0, stamp, "corrupt", "the file is empty")
    if size > max_bytes:
        return Found(filename, size, stamp, "too_large", f"{size} bytes are more than ingest.max_bytes ({max_bytes})")
    return Found(filename, size, stamp)
