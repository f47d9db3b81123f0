"""Exports: copies outside the data folder, written atomically and recorded, so that an erasure can name them.

`exports.json` in the data folder records the target folder, the time and the state of the collection of each export, but no image ids or
file names. It is outside `processed/`, because the copies still exist when `processed/` is deleted and made again.
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
"""File that marks a folder as an export of FaceStats. It records what the export was made from, without image ids."""


class ExportFolderTaken(ValueError):
    """The target folder is not usable for an export, or holds files that would be lost."""


@dataclass(frozen=True)
class Export:
    """One export.

    Attributes:
        out: the folder, absolute.
        layout: huggingface, fiftyone, webdataset or csv.
        started_at: UTC, ISO 8601.
        finished_at: "" while it is being written or if it was interrupted; the `.partial` folder beside `out` may then hold parts of it.
        photos: number of photos; 0 until it is finished.
        collection: fingerprint of the master table it was made from.
    """

    out: str
    layout: str
    started_at: str
    finished_at: str = ""
    photos: int = 0
    collection: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the export's folder, or its `.partial` folder, exists on this machine."""
        return Path(self.out).exists() or partial_folder(Path(self.out)).exists()


def exports_of(data_dir: Path) -> list[Export]:
    """Every export that was started from a data folder, oldest first. Raises ValueError for an unreadable record."""
    path = data_dir / RECORD
    try:
        return [Export(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); it lists where copies of photos are, so check it before deleting it"
        ) from None


def may_hold(data_dir: Path, added_at: datetime | None) -> list[Export]:
    """The exports that may contain a photo: those unfinished or finished after `added_at` (None, if unknown: all of them)."""
    return [
        one
        for one in exports_of(data_dir)
        if added_at is None or not one.finished_at or one.finished_at >= _text(added_at)
    ]


@contextmanager
def new_export(
    data_dir: Path, raw: Path, out: Path, layout: str, *, collection: str, replace: bool
) -> Iterator["Writing"]:
    """A folder to write into. It becomes `out` if the block succeeds, and is removed if it fails.

    The export is recorded before its first byte is written. `raw` is the folder of photos, which must not overlap with `out`. Raises
    ExportFolderTaken unless `out` is free, or is an earlier export and `replace` is true.
    """
    out = out.absolute()
    check_folder(out, data_dir, raw, replace=replace)
    partial = partial_folder(out)
    shutil.rmtree(partial, ignore_errors=True)  # left by an interrupted export to the same folder
    before = exports_of(data_dir)
    begun = Export(str(out), layout, _text(datetime.now(UTC)), collection=collection)
    _write(data_dir, [*before, begun])
    partial.mkdir(parents=True)
    writing = Writing(partial)
    try:
        yield writing
        if out.exists():
            shutil.rmtree(out)  # empty, or an earlier export to replace
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        _write(data_dir, before)
        raise
    finished = Export(**asdict(begun) | {"finished_at": _text(datetime.now(UTC)), "photos": writing.photos})
    _write(data_dir, [*(one for one in before if one.out != str(out)), finished])


@dataclass
class Writing:
    """An export in progress: the folder to write into, and the number of photos, set by the writer."""

    folder: Path
    photos: int = 0


def partial_folder(out: Path) -> Path:
    """The temporary folder in which an export to `out` is written."""
    return out.with_name(f".{out.name}.partial")


def check_folder(out: Path, data_dir: Path, raw: Path, *, replace: bool) -> None:
    """Raises ExportFolderTaken, with what to do, when `out` cannot take an export."""
    for folder, what in ((data_dir.resolve(), "data folder"), (raw.resolve(), "folder of photos")):
        if out.resolve().is_relative_to(folder):  # its pictures would be ingested as photos, or be lost among artifacts
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
