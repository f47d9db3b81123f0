"""One frame of labels, gathered row by row: repeats merged, contradictions taken out, everything unused accounted for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from facestats_pipeline.core.labels.provenance import Provenance
from facestats_pipeline.core.user_files.text_table import rejected_frame

LABELS_SCHEMA = {
    "file": pl.String(),
    "gender": pl.String(),
    "ethnicity": pl.String(),
    "age_bin": pl.String(),
    "age": pl.Float32(),
    "group": pl.String(),
}
"""age: years, where the file has years. group: who is in the photo, where the file says so; keeps a person within one fold."""


@dataclass(frozen=True)
class Labels:
    """Labels of one file or folder.

    Attributes:
        frame: LABELS_SCHEMA, one row per file name; null where there is no usable label.
        warnings: one sentence per kind of repair, with its count.
        rejected: row, column, value, reason of everything that was not used.
        provenance: where the labels come from.
    """

    frame: pl.DataFrame
    warnings: list[str]
    rejected: pl.DataFrame
    provenance: Provenance


@dataclass
class LabelRows:
    """Collects labels. `warnings` maps a sentence with `{n}` in it to its count."""

    rows: dict[str, dict[str, object]] = field(default_factory=dict)
    warnings: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, object]] = field(default_factory=list)

    def reject(self, row: int, column: str, value: str, reason: str) -> None:
        """Record a cell (or, with column "", a row) that is not used."""
        self.rejected.append({"row": row, "column": column, "value": value[:200], "reason": reason})

    def add(self, row: int, file: str, cells: dict[str, object]) -> None:
        """Take a row; a second row of the same file adds what the first lacks, and takes out what they disagree about."""
        if file not in self.rows:
            self.rows[file] = {"file": file, "_dead": set(), **cells}
            return
        kept = self.rows[file]
        dead = kept["_dead"]
        assert isinstance(dead, set)
        self.warnings["{n} row(s) repeat a file and were merged with its first row"] += 1
        for column, value in cells.items():
            if value is None or column in dead:
                continue
            if kept[column] is not None and kept[column] != value:
                self.reject(
                    row, column, str(value), f"another row says {kept[column]!r} of {file[:200]!r}; neither is used"
                )
                kept[column] = None
                dead.add(column)
            elif kept[column] is None:
                kept[column] = value

    def labels(self, provenance: Provenance, extra: Sequence[str] = ()) -> Labels:
        """Everything gathered; `extra` are warnings that come first."""
        for row in self.rows.values():  # years of a bin that was taken out, or the reverse, are in doubt too
            if row["_dead"] and {"age", "age_bin"} & set(row["_dead"]):  # type: ignore[call-overload]
                row["age"] = row["age_bin"] = None
        frame = pl.DataFrame([{k: r[k] for k in LABELS_SCHEMA} for r in self.rows.values()], schema=LABELS_SCHEMA)
        said = [text.replace("{n}", str(n)) for text, n in self.warnings.items()]
        return Labels(frame, [*extra, *said], rejected_frame(self.rejected), provenance)
