"""Where photos come from: a folder, or whatever lists and reads photos as a folder does."""

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
    """A directory entry: its stored name, size and time, or why it is not a readable regular file."""

    filename: str
    bytes: int
    mtime_ns: int
    state: str = "ok"
    reason: str = ""


class PhotoSource(Protocol):
    """What discovery, the manifest and preprocessing ask of the place where photos are; `str()` of it names the place to people."""

    def available(self) -> bool:
        """Whether there is such a place at all."""

    def listed(self, *, max_bytes: int) -> list[Found]:
        """Every file, sorted by the parts of its path. Raises OSError when the place itself cannot be listed."""

    def scan(self, *, max_bytes: int, after: str = "") -> Iterator[Found]:
        """Every file, in an order of the source's own; with `after`, the stored name of a file, only what comes after it."""

    def read(self, filename: str, expected_id: str | None = None, *, size: int | None = None) -> bytes:
        """The bytes of a listed photo, `size` of them where that is known.

        Raises OSError, PhotoChanged when they are not those of `expected_id`, PhotosUnavailable when the fault lies with no photo.
        """


@dataclass(frozen=True)
class PhotoFolder:
    """Photos in a folder of this machine."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def available(self) -> bool:
        """Whether there is such a folder."""
        return self.root.is_dir()

    def listed(self, *, max_bytes: int) -> list[Found]:
        """See `scan_folder`."""
        return list(scan_folder(self.root, max_bytes=max_bytes))

    def scan(self, *, max_bytes: int, after: str = "") -> Iterator[Found]:
        """See `scan_folder`."""
        return scan_folder(self.root, max_bytes=max_bytes, after=after)

    def read(self, filename: str, expected_id: str | None = None, *, size: int | None = None) -> bytes:
        """See `read_photo`. A file that has another size by now is read as it is."""
        return read_photo(self.root, filename, expected_id)


def scan_folder(root: Path, *, max_bytes: int, after: str = "") -> Iterator[Found]:
    """Every file below `root`, sorted by name; hidden clutter is passed over, links are followed only within `root`.

    With `after`, the stored name of a file, only what comes after it: a long look may be taken in parts. Raises OSError when `root`
    itself cannot be listed; a folder inside that cannot be listed becomes a row.
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
            if stat.S_ISDIR(info.st_mode):
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
    """Names that programs leave behind. A photo may begin with a dot, but not with macOS's `._`."""
    hidden = name.startswith(".") and (name.startswith("._") or not name.lower().endswith(PHOTO_ENDINGS))
    return hidden or name.lower() in _IGNORED


def regular_file(name: str, size: int, stamp: int, max_bytes: int) -> Found:
    """What is said of a file before it is read. `stamp` changes with its content."""
    filename = encode_filename(name)
    if size == 0:
        return Found(filename, 0, stamp, "corrupt", "the file is empty")
    if size > max_bytes:
        return Found(filename, size, stamp, "too_large", f"{size} bytes are more than ingest.max_bytes ({max_bytes})")
    return Found(filename, size, stamp)
