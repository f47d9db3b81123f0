"""Where photos come from: source, licence and consent of a whole collection, of a folder in it, or of one photo.

`labels/sources.csv` has a row for each folder or photo that differs: path (below the raw folder; `.` is all of it), source, licence,
consent. The longest path that a photo lies under decides, cell by cell: an empty cell is filled by the next shorter one, and last by
the settings. `labels/ratings.csv` and the like stand for what people provide beside the photos; cards name its licence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import polars as pl

from facestats_pipeline.core.ingest.usage import COLUMNS
from facestats_pipeline.core.user_files.text_table import LabelsError, decode, parse_table, read_bytes, rejected_frame

Origin = dict[str, str | None]
"""source, licence, consent of one photo."""

LABEL_FOLDER = "labels/"
EXPECTED = "Expected a table with a header: path, and one or more of source, licence, consent."
_MEANINGS = {
    "path": ("path", "folder", "file", "filename", "file name", "photo", "image"),
    "source": ("source", "collection", "dataset", "data set", "origin"),
    "licence": ("licence", "license"),
    "consent": ("consent",),
}


@dataclass(frozen=True)
class Sources:
    """What is said of photos by path.

    Attributes:
        by_path: path (`""` for everything) → the cells that are filled.
        rows: path → its row in the file, as a spreadsheet numbers it.
        otherwise: what holds where no path says anything.
        rejected: row, column, value, reason of what was not used.
    """

    by_path: Mapping[str, Origin] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    otherwise: Origin = field(default_factory=dict)
    rejected: pl.DataFrame = field(default_factory=lambda: rejected_frame([]))

    def of(self, filename: str) -> Origin:
        """source, licence and consent of a photo."""
        found: Origin = {column: self.otherwise.get(column) for column in COLUMNS}
        if self.by_path:
            for path in _upwards(filename):
                found |= self.by_path.get(path, {})
        return found

    def of_label_file(self, name: str) -> Origin:
        """What is said of a file of the labels folder itself, under the path `labels/NAME`; not what is said of photos."""
        return self.by_path.get(LABEL_FOLDER + name, {})

    def unused_rows(self, filenames: Iterable[str]) -> list[int]:
        """Rows of the file whose path is neither a photo nor a folder of one: spelling mistakes, mostly."""
        used = {path for filename in filenames for path in _upwards(filename)} | {""}
        labels = {path for path in self.rows if path.startswith(LABEL_FOLDER) and path.endswith(".csv")}
        return sorted(row for path, row in self.rows.items() if path not in used | labels)


def read_sources(path: Path, otherwise: Origin | None = None) -> Sources:
    """Read sources.csv. Cells are taken as written. Raises LabelsError when the file is no such table, or has a path twice."""
    text = decode(read_bytes(path), [])
    table = parse_table(path, text, _MEANINGS, need="path", expected=EXPECTED)
    if len(table.columns) < 2:
        raise LabelsError(f"{path}: no column source, licence or consent. {EXPECTED}")
    rejected = list(table.rejected)
    by_path: dict[str, Origin] = {}
    rows: dict[str, int] = {}
    for number, cells in table.rows:
        if not cells.get("path"):
            rejected.append(
                {"row": number, "column": "path", "value": "", "reason": "no path; `.` is the whole folder"}
            )
            continue
        key = _plain(cells["path"])
        if key in rows:
            raise LabelsError(f"{path}: rows {rows[key]} and {number} are about the same path; keep one of them")
        rows[key] = number
        by_path[key] = {column: cells[column] for column in COLUMNS if cells.get(column)}
    return Sources(by_path, rows, otherwise or {}, rejected_frame(rejected))


def _plain(path: str) -> str:
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts)


def _upwards(filename: str) -> list[str]:
    """`""`, each folder that a photo lies in, and the photo: shortest first."""
    parents = [p.as_posix() for p in PurePosixPath(filename).parents]
    return ["" if p == "." else p for p in reversed(parents)] + [filename]
