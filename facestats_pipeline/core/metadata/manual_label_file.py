"""Reads manual_labels.csv: one line per label that one person gave to one image. Unusable lines are rejected one by one.

The columns are image_id, attribute, value, annotator, labelled_at, in any order; others are ignored. The file is append-only: a later line
of the same annotator replaces the earlier one, and the value `unknown` withdraws it.
"""

import csv
import re
from collections.abc import Container
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from facestats_pipeline.core.attributes.attribute import UNKNOWN, Attribute
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.ingest.identity import IMAGE_ID_LENGTH
from facestats_pipeline.core.labels.ages import parse_age
from facestats_pipeline.core.tables import Schema
from facestats_pipeline.core.user_files.cells import is_null, word_key
from facestats_pipeline.core.user_files.text_table import REJECTED_SCHEMA, LabelsError, decode

COLUMNS = ("image_id", "attribute", "value", "annotator", "labelled_at")
HISTORY_SCHEMA: Schema = {
    "row": pl.Int64(),
    "image_id": pl.String(),
    "attribute": pl.String(),
    "value": pl.String(),  # null: the annotator withdrew an earlier label
    "annotator": pl.String(),
    "labelled_at": pl.Datetime("us", "UTC"),
}

_IMAGE_ID = re.compile(rf"[0-9a-f]{{{IMAGE_ID_LENGTH}}}")
_NAMES = {word_key(name): name for name in COLUMNS}


class _Rejected(Exception):
    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.value, self.reason = column, value, reason


def read_history(
    path: Path, known_ids: Container[str] | None = None, catalogue: Catalogue = BUILT_IN
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(usable lines as HISTORY_SCHEMA in file order, other lines as REJECTED_SCHEMA with a reason each).

    With `known_ids`, other image ids are rejected. `row` counts lines from 1, the header's. An empty file has no labels. Raises LabelsError
    when the file cannot be read or its header lacks a column.
    """
    lines = _lines(path)
    labels: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    if lines:
        header, delimiter = _header(path, lines[0][1])
        for row, line in lines[1:]:
            try:
                cells = _row(line, delimiter, header)
                labels.append({"row": row, **_label(cells, known_ids, catalogue)})
            except _Rejected as problem:
                cell = {"row": row, "column": problem.column, "value": problem.value[:200], "reason": problem.reason}
                rejected.append(cell)
    return pl.DataFrame(labels, schema=HISTORY_SCHEMA), pl.DataFrame(rejected, schema=REJECTED_SCHEMA)


def read_columns(path: Path) -> tuple[list[str], str]:
    """(meaning of each column of the file: one of COLUMNS, or "" for another; delimiter). Raises LabelsError."""
    lines = _lines(path)
    return _header(path, lines[0][1] if lines else "")


def _lines(path: Path) -> list[tuple[int, str]]:
    """(line number, line) of all non-empty lines. Each line is parsed alone, so an unclosed quote cannot swallow the lines below it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabelsError(f"{path}: cannot be read ({error.strerror})") from None
    return [(n, line) for n, line in enumerate(re.split(r"\r\n|\r|\n", decode(data, [])), 1) if line.strip()]


def _header(path: Path, line: str) -> tuple[list[str], str]:
    delimiter = max(",;\t|", key=line.count)
    header = [_NAMES.get(word_key(cell), "") for cell in _cells(line, delimiter) or []]
    if problem := _header_problem(header):
        raise LabelsError(f"{path}: {problem}. The columns are {', '.join(COLUMNS)}")
    return header, delimiter


def _header_problem(header: list[str]) -> str:
    if missing := [name for name in COLUMNS if name not in header]:
        return f"no column {', '.join(missing)} in the first line"
    doubled = [name for name in COLUMNS if header.count(name) > 1]
    return f"two columns {doubled[0]}" if doubled else ""


def _cells(line: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _row(line: str, delimiter: str, header: list[str]) -> dict[str, str]:
    cells = _cells(line, delimiter)
    if cells is None:
        raise _Rejected("", line, "a quotation mark is not closed")
    if len(cells) < len(header):
        raise _Rejected("", line, f"{len(cells)} cells under {len(header)} columns")
    if any(cell.strip() for cell in cells[len(header) :]):
        raise _Rejected(
            "", line, f"{len(cells)} cells under {len(header)} columns: quote a cell that holds {delimiter!r}"
        )
    return {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name}


def _label(cells: dict[str, str], known_ids: Container[str] | None, catalogue: Catalogue) -> dict[str, Any]:
    identity = cells["image_id"].lower()
    if not _IMAGE_ID.fullmatch(identity):
        raise _Rejected("image_id", cells["image_id"], f"not an image id: {IMAGE_ID_LENGTH} hexadecimal digits")
    if known_ids is not None and identity not in known_ids:
        raise _Rejected("image_id", cells["image_id"], "no image of the collection has this id")
    if (attribute := catalogue.asked_for(cells["attribute"])) is None:
        raise _Rejected("attribute", cells["attribute"], f"not one of {', '.join(catalogue.names)}")
    if not cells["annotator"]:
        raise _Rejected("annotator", "", "empty: every label needs the name or initials of who gave it")
    return {
        "image_id": identity,
        "attribute": attribute.name,
        "value": _value(attribute, cells["value"]),
        "annotator": cells["annotator"],
        "labelled_at": _time(cells["labelled_at"]),
    }


def _value(attribute: Attribute, text: str) -> str | None:
    if word_key(text) == UNKNOWN:
        return None
    if is_null(text):
        raise _Rejected("value", text, f"empty: give a label, or {UNKNOWN!r} to withdraw an earlier one")
    if attribute.years is not None:
        age = parse_age(text, attribute)
        if age.bin is None:
            raise _Rejected("value", text, age.problem)
        return age.bin
    value = attribute.class_named(text)
    if value is None:
        raise _Rejected("value", text, f"not a label of {attribute.name}: {', '.join(attribute.classes)}")
    return value


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Rejected(
            "labelled_at", text, "not a time like 2026-11-20T14:03:00Z (without a zone it is UTC)"
        ) from None
