"""Provenance: source, licence and consent of a whole collection, a folder, or a single photo, from labels/sources.csv.

A row of `labels/sources.csv` has a path (below the raw folder; `.` is all of it), source, licence and consent. For each photo the longest
matching path wins, cell by cell; an empty cell takes the value of the next shorter path, and finally of the settings. Paths such as
`labels/ratings.csv` describe user files instead of photos; cards name their licence.
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
    """Source, licence and consent by path.

    Attributes:
        by_path: path (`""` for all photos) → its non-empty cells.
        rows: path → its row number in the file, as in a spreadsheet.
        otherwise: default values, from the settings.
        rejected: row, column, value, reason of rejected rows.
    """

    by_path: Mapping[str, Origin] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    otherwise: Origin = field(default_factory=dict)
    rejected: pl.DataFrame = field(default_factory=lambda: rejected_frame([]))

    def of(self, filename: str) -> Origin:
        """source, licence and consent of a photo."""
        origin: Origin = {column: self.otherwise.get(column) for column in COLUMNS}
        if self.by_path:
            for path in _ancestors(filename):
                origin |= self.by_path.get(path, {})
        return origin

    def of_label_file(self, name: str) -> Origin:
        """Source, licence and consent of a file in the labels folder, listed as `labels/NAME`. Defaults for photos do not apply."""
        return self.by_path.get(LABEL_FOLDER + name, {})

    def unused_rows(self, filenames: Iterable[str]) -> list[int]:
        """Numbers of rows whose path matches no photo and no folder with photos: mostly spelling mistakes."""
        used = {path for filename in filenames for path in _ancestors(filename)} | {""}
        labels = {path for path in self.rows if path.startswith(LABEL_FOLDER) and path.endswith(".csv")}
        return sorted(row for path, row in self.rows.items() if path not in used | labels)


def read_sources(path: Path, otherwise: Origin | None = None) -> Sources:
    """Read sources.csv; cells are kept as written. Raises LabelsError for another kind of file or a repeated path."""
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
            raise LabelsError(f"{path}: rows {rows[key]} and {number} have the same path; keep one of them")
        rows[key] = number
        by_path[key] = {column: cells[column] for column in COLUMNS if cells.get(column)}
    return Sources(by_path, rows, otherwise or {}, rejected_frame(rejected))


def _plain(path: str) -> str:
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts)


def _ancestors(filename: str) -> list[str]:
    """`""`, each folder above the photo, and the photo itself, shortest first."""
    parents = [p.as_posix() for p in PurePosixPath(filename).parents]
    return ["" if p == "." else p for p in reversed(parents)] + [filename]
