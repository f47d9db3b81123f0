"""Reads text tables with any delimiter, encoding or line ending. A file that is not a table gives one clear error."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from facestats_pipeline.core.user_files.cells import word_key

DELIMITERS = ",;\t|"
REJECTED_SCHEMA = {"row": pl.Int64(), "column": pl.String(), "value": pl.String(), "reason": pl.String()}
"""Rejected cells. row: the number a spreadsheet shows (the header is row 1); column: "" if the whole row is rejected."""


class LabelsError(Exception):
    """A label or rating file cannot be used. The message names the file, the problem and the expected columns."""


@dataclass(frozen=True)
class LabelTable:
    """A parsed text table.

    Attributes:
        rows: (row number, {column meaning: cell}) per data row; cells are stripped text; a row that is too short lacks its last cells.
        columns: the meanings found in the header.
        ignored: header words without a known meaning.
        warnings: one sentence each.
        rejected: REJECTED_SCHEMA rows for lines with more cells than the header.
    """

    rows: list[tuple[int, dict[str, str]]]
    columns: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)
    rejected: list[dict[str, object]] = field(default_factory=list)


def read_bytes(path: Path) -> bytes:
    """The bytes of a user file. Raises LabelsError when it is missing, a folder, unreadable or empty."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise LabelsError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise LabelsError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not data.strip():
        raise LabelsError(f"{path}: the file is empty")
    return data


def decode(data: bytes, warnings: list[str]) -> str:
    """The text of a user file: UTF-8, UTF-16 with a byte-order mark, else Latin-1 with a warning appended to `warnings`."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        # A Latin-1 file may begin with the same bytes ("ÿþ"), so a failure is no error yet.
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            pass
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.append("the file is not UTF-8; it was read as Latin-1, so check names with accents")
        return data.decode("latin-1")


def parse_table(
    path: Path, text: str, meanings: Mapping[str, Sequence[str]], *, need: str, expected: str
) -> LabelTable:
    """Split `text` into rows, by the delimiter that makes most sense of the header.

    meanings: {meaning: accepted header words}, compared by `word_key`. need: the meaning that must be present. expected: the sentence
    about columns that ends every error message. Raises LabelsError.
    """
    text = text.removeprefix("\ufeff")
    first = next((line for line in re.split(r"\r\n|\r|\n", text) if line.strip()), "")
    words = {word_key(w): meaning for meaning, accepted in meanings.items() for w in accepted}
    best = max(DELIMITERS, key=lambda d: (sum(word_key(w) in words for w in _split(first, d)), first.count(d)))
    header = [word_key(w) for w in _split(first, best)]
    column_meanings = [words.get(w, "") for w in header]
    if need not in column_meanings:
        shown = ", ".join(repr(w[:40]) for w in header[:8]) or "nothing"
        raise LabelsError(f"{path}: no {need!r} column; the first line reads {shown}. {expected}")
    if doubled := {m for m in column_meanings if m and column_meanings.count(m) > 1}:
        raise LabelsError(f"{path}: two columns both mean {sorted(doubled)[0]!r}. {expected}")
    table = LabelTable(
        [],
        tuple(m for m in column_meanings if m),
        tuple(h for h, m in zip(header, column_meanings, strict=True) if h and not m),
    )
    try:
        records = list(enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=best), start=1))
    except csv.Error as error:
        raise LabelsError(f"{path}: not a text table ({error}). {expected}") from None
    for number, cells in [(n, r) for n, r in records if any(c.strip() for c in r)][1:]:
        # Extra cells mean an unquoted delimiter in some cell: the values after it would land in the wrong columns.
        if any(c.strip() for c in cells[len(column_meanings) :]):
            reason = (
                f"{len(cells)} cells under {len(column_meanings)} columns (a name with a {best!r} in it must be quoted)"
            )
            table.rejected.append({"row": number, "column": "", "value": best.join(cells)[:200], "reason": reason})
        else:
            table.rows.append((number, {m: c.strip() for m, c in zip(column_meanings, cells, strict=False) if m}))
    if not table.rows:
        raise LabelsError(f"{path}: no usable row under the header. {expected}")
    return table


def rejected_frame(rejected: list[dict[str, object]]) -> pl.DataFrame:
    """Rejections as a frame of REJECTED_SCHEMA, sorted by row."""
    return pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row").sort("row", maintain_order=True)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
