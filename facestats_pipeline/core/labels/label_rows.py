"""Collects labels row by row into one frame: merges repeats, removes contradictions, and lists everything unused."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline.core.user_files.text_table import rejected_frame


def labels_schema(catalogue: Catalogue = BUILT_IN) -> dict[str, pl.DataType]:
    """Columns of a frame of labels: file, every attribute (for one with years, these too), group.

    group: who is in the photo, where the file says so; keeps a person within one fold.
    """
    columns: dict[str, pl.DataType] = {"file": pl.String()}
    for attribute in catalogue:
        columns[attribute.name] = pl.String()
        if attribute.years is not None:
            columns[attribute.stem] = pl.Float32()
    return columns | {"group": pl.String()}


LABELS_SCHEMA = labels_schema()
"""`labels_schema` of the built-in attributes."""


@dataclass(frozen=True)
class Labels:
    """Labels of one file or folder.

    Attributes:
        frame: `labels_schema`, one row per file name; null without a usable label.
        warnings: one sentence per kind of repair, with its count.
        rejected: row, column, value, reason of everything unused.
        provenance: where the labels come from.
    """

    frame: pl.DataFrame
    warnings: list[str]
    rejected: pl.DataFrame
    provenance: Provenance


@dataclass
class LabelRows:
    """A builder of `Labels`. `warnings` maps a sentence that contains `{n}` to its count."""

    catalogue: Catalogue = BUILT_IN
    rows: dict[str, dict[str, object]] = field(default_factory=dict)
    warnings: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, object]] = field(default_factory=list)

    def reject(self, row: int, column: str, value: str, reason: str) -> None:
        """Record an unused cell, or an unused row with column ""."""
        self.rejected.append({"row": row, "column": column, "value": value[:200], "reason": reason})

    def add(self, row: int, file: str, cells: dict[str, object]) -> None:
        """Add a row. A second row of the same file fills in missing cells; cells on which both disagree become null."""
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
        """The collected labels; the warnings `extra` come first."""
        for attribute in self.catalogue:
            if attribute.years is None:
                continue
            both = {attribute.name, attribute.stem}
            for row in self.rows.values():  # if the class is contradicted, the years are in doubt too, and vice versa
                if both & set(row["_dead"]):  # type: ignore[call-overload]
                    row |= dict.fromkeys(both)
        schema = labels_schema(self.catalogue)
        frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in self.rows.values()], schema=schema)
        said = [text.replace("{n}", str(n)) for text, n in self.warnings.items()]
        return Labels(frame, [*extra, *said], rejected_frame(self.rejected), provenance)
