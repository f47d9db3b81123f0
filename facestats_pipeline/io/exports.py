"""Folders of copies outside the data folder: written whole or not at all, and remembered, so that an erasure can name them.

`exports.json` in the data folder says where an export went, when, and which state of the collection it was made from; no image id and
no file name. It lies outside `processed/`, which may be deleted and made again: the copies are then still out there.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RECORD = "exports.json"
MARKER = "facestats-export.json"
"""File by which an export is recognised as FaceStats' own; what it was made from, without any image."""


class ExportFolderTaken(ValueError):
    """The folder to write into holds something that would be lost."""


@dataclass(frozen=True)
class Export:
    """One export.

    Attributes:
        out: the folder, absolute.
        layout: huggingface, fiftyone, webdataset or csv.
        started_at: UTC, ISO 8601.
        finished_at: "" while it is being written, and for one that never ended: parts of it may lie in the `.partial` folder beside `out`.
        photos: how many it holds; 0 until it is finished.
        collection: fingerprint of the master table that it was made from.
    """

    out: str
    layout: str
    started_at: str
    finished_at: str = ""
    photos: int = 0
    collection: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the folder, or what an export that was killed left of it, can be seen from here."""
        return Path(self.out).exists() or partial_folder(Path(self.out)).exists()


def exports_of(data_dir: Path) -> list[Export]:
    """Every export that was begun in a data folder, oldest first. Raises ValueError for a record that cannot be read."""
    path = data_dir / RECORD
    try:
        return [Export(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); it lists where copies of photos went, so look before deleting it"
        ) from None


def may_hold(data_dir: Path, added_at: datetime | None) -> list[Export]:
    """The exports that were not finished before a photo came into the collection; all of them where it is not known when it came."""
    return [
        one
        for one in exports_of(data_dir)
        if added_at is None or not one.finished_at or one.finished_at >= _text(added_at)
    ]


@contextmanager
def new_export(
    data_dir: Path, raw: Path, out: Path, layout: str, *, collection: str, replace: bool
) -> Iterator["Writing"]:
    """A folder to write into, which becomes `out` when the block ends well and is removed when it does not. `raw`: the photos.

    The export is on record before its first byte. Raises ExportFolderTaken when `out` holds anything, unless that is an export of
    FaceStats and `replace` says that it may go.
    """
    out = out.absolute()
    check_folder(out, data_dir, raw, replace=replace)
    partial = partial_folder(out)
    shutil.rmtree(partial, ignore_errors=True)  # of an export to the same place that was killed
    before = exports_of(data_dir)
    begun = Export(str(out), layout, _text(datetime.now(UTC)), collection=collection)
    _write(data_dir, [*before, begun])
    partial.mkdir(parents=True)
    writing = Writing(partial)
    try:
        yield writing
        if out.exists():
            shutil.rmtree(out)  # empty, or an export that is replaced
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        _write(data_dir, before)
        raise
    finished = Export(**asdict(begun) | {"finished_at": _text(datetime.now(UTC)), "photos": writing.photos})
    _write(data_dir, [*(one for one in before if one.out != str(out)), finished])


@dataclass
class Writing:
    """An export under way: the folder to write into, and, once known, how many photos it holds."""

    folder: Path
    photos: int = 0


def partial_folder(out: Path) -> Path:
    """Where an export to `out` is written until it is whole."""
    return out.with_name(f".{out.name}.partial")


def check_folder(out: Path, data_dir: Path, raw: Path, *, replace: bool) -> None:
    """Raises ExportFolderTaken, with what to do, where `out` is not a place for an export."""
    for folder, what in ((data_dir.resolve(), "data folder"), (raw.resolve(), "folder of photos")):
        if out.resolve().is_relative_to(folder):  # there it would be taken for photos, or never be found again
            raise ExportFolderTaken(f"{out} is inside the {what}; choose a folder outside of {folder}")
        if folder.is_relative_to(out.resolve()):
            raise ExportFolderTaken(f"{out} holds the {what}; choose another folder")
    if not out.exists():
        return
    if not out.is_dir():
        raise ExportFolderTaken(f"{out} is a file; an export is a folder")
    if (out / MARKER).is_file():
        if not replace:
            raise ExportFolderTaken(
                f"{out} holds an earlier export; add --replace to put the new one in its place, or choose another folder"
            )
    elif any(out.iterdir()):
        raise ExportFolderTaken(f"{out} holds something else; choose a folder that is empty or does not exist")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(data_dir: Path, exports: list[Export]) -> None:
    target = data_dir / RECORD
    temporary = target.with_name(f".{RECORD}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps([asdict(one) for one in exports], indent=1, ensure_ascii=False) + "\n")
    temporary.replace(target)
