"""Text tables as people save them: any delimiter, encoding or line ending, and one clear error when a file is no table at all."""

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
"""row: as a spreadsheet numbers it (the header is row 1); column: "" when the whole row is meant."""


class LabelsError(Exception):
    """A label or rating file that cannot be used; the message names the file, what is wrong and which columns are expected."""


@dataclass(frozen=True)
class LabelTable:
    """A parsed text table.

    Attributes:
        rows: (row number, {column meaning: cell}) for every data row; cells are stripped text, "" where the row is short.
        columns: the meanings that the header has.
        ignored: header words that mean nothing here.
        warnings: one sentence each.
        rejected: REJECTED_SCHEMA rows for lines that could not be split into cells.
    """

    rows: list[tuple[int, dict[str, str]]]
    columns: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)
    rejected: list[dict[str, object]] = field(default_factory=list)


def read_bytes(path: Path) -> bytes:
    """The bytes of a label file; LabelsError when it is missing, a folder, unreadable or empty."""
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
    """Text of a label file: UTF-8 or UTF-16 with or without a byte-order mark, else Latin-1 with a warning."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
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
    """Split `text` into rows by the delimiter under which its first line is a header.

    meanings: {meaning: accepted header words}, compared by `word_key`; need: the meaning without which there is no table; expected:
    the sentence about columns that ends every error. Raises LabelsError.
    """
    text = text.removeprefix("\ufeff")
    first = next((line for line in re.split(r"\r\n|\r|\n", text) if line.strip()), "")
    words = {word_key(w): meaning for meaning, accepted in meanings.items() for w in accepted}
    best = max(DELIMITERS, key=lambda d: (sum(word_key(w) in words for w in _split(first, d)), first.count(d)))
    header = [word_key(w) for w in _split(first, best)]
    found = [words.get(w, "") for w in header]
    if need not in found:
        shown = ", ".join(repr(w[:40]) for w in header[:8]) or "nothing"
        raise LabelsError(f"{path}: no {need!r} column; the first line reads {shown}. {expected}")
    if doubled := {m for m in found if m and found.count(m) > 1}:
        raise LabelsError(f"{path}: two columns both mean {sorted(doubled)[0]!r}. {expected}")
    table = LabelTable(
        [], tuple(m for m in found if m), tuple(h for h, m in zip(header, found, strict=True) if h and not m)
    )
    try:
        records = list(enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=best), start=1))
    except csv.Error as error:
        raise LabelsError(f"{path}: not a text table ({error}). {expected}") from None
    for number, cells in [(n, r) for n, r in records if any(c.strip() for c in r)][1:]:
        if any(c.strip() for c in cells[len(found) :]):
            reason = f"{len(cells)} cells under {len(found)} columns (a name with a {best!r} in it must be quoted)"
            table.rejected.append({"row": number, "column": "", "value": best.join(cells)[:200], "reason": reason})
        else:
            table.rows.append((number, {m: c.strip() for m, c in zip(found, cells, strict=False) if m}))
    if not table.rows:
        raise LabelsError(f"{path}: a header and no usable row under it. {expected}")
    return table


def rejected_frame(rejected: list[dict[str, object]]) -> pl.DataFrame:
    """Rejections as a frame of REJECTED_SCHEMA, by row."""
    return pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row").sort("row", maintain_order=True)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
