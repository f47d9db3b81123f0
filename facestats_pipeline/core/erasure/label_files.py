"""Removes the rows of erased images from label and rating files. Every other byte stays as it was."""

import csv
import io
import re
from collections.abc import Collection
from dataclasses import dataclass

from facestats_pipeline.core.labels.labels_file import FILE_WORDS
from facestats_pipeline.core.user_files.cells import word_key
from facestats_pipeline.core.user_files.name_match import match_report
from facestats_pipeline.core.user_files.text_table import DELIMITERS

ID_WORDS = ("image id",)
_ENCODINGS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"))


@dataclass(frozen=True)
class Erasing:
    """What to remove: image ids and file names. `collection` holds the names of all photos, to resolve the names in a label file."""

    ids: frozenset[str]
    filenames: frozenset[str]
    collection: tuple[str, ...]

    def means(self, files: Collection[str]) -> set[str]:
        """The names in a label file that match, or may match, an erased photo.

        Ambiguous names are included: with one candidate erased, such a name would seem to match another photo.
        """
        match = match_report(list(files), self.collection)
        certain = {file for file, filename in match.matched.items() if filename in self.filenames}
        return certain | {file for file, several in match.ambiguous.items() if self.filenames & set(several)}


def without_rows(data: bytes, erasing: Erasing) -> tuple[bytes | None, int]:
    """(the file without rows that name an erased image by file name or id, number of removed rows).

    The file may be a table with a header, a list whose lines begin with a file name, or any text that contains ids; UTF-8, UTF-16, else
    Latin-1. The bytes are None when no row remains under the header, because the reader refuses an empty table: delete the file instead.
    """
    mark, encoding = next(((mark, name) for mark, name in _ENCODINGS if data.startswith(mark)), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        mark, encoding = b"", "latin-1"
        text = data.decode(encoding)
    lines = io.StringIO(text, newline="").readlines()  # keeps the line endings, so kept rows stay byte for byte
    header = next((line for line in lines if line.strip()), "")
    # The delimiter under which a known column appears wins; the number of delimiters only breaks ties.
    delimiter = max(DELIMITERS, key=lambda d: (_named(header, d) is not None, header.count(d)))
    column = _named(header, delimiter)
    records = _records(lines, delimiter, column)
    at = column or 0
    cells = {cells[at].strip() for _, cells in records if len(cells) > at}
    gone = erasing.means(cells) | {cell for cell in cells if cell.lower() in erasing.ids}

    def stays(record: tuple[str, list[str]]) -> bool:
        raw, cells = record
        named = len(cells) > at and cells[at].strip() in gone
        return not named and not any(image_id in raw.lower() for image_id in erasing.ids)

    kept = [record for record in records if stays(record)]
    dropped = len(records) - len(kept)
    rows = sum(bool(raw.strip()) for raw, _ in kept) - (column is not None)
    if dropped and rows < 1:
        return None, dropped
    return mark + "".join(raw for raw, _ in kept).encode(encoding), dropped


def _named(header: str, delimiter: str) -> int | None:
    """Index of the column that holds the file name or image id; None without one."""
    cells = next(csv.reader([header], delimiter=delimiter), [])
    words = [word_key(cell.removeprefix("\ufeff")) for cell in cells]
    return next((i for i, word in enumerate(words) if word in FILE_WORDS or word in ID_WORDS), None)


def _records(lines: list[str], delimiter: str, column: int | None) -> list[tuple[str, list[str]]]:
    """(raw text, cells) of each record; a quoted cell may span lines. Raw text is kept so that untouched rows stay byte for byte."""
    if column is None:  # a list without a header, such as SCUT-FBP5500's: name and number
        return [(line, re.split(r"[\s,;]+", line.strip())[:1]) for line in lines]
    reader = csv.reader(lines, delimiter=delimiter)
    records: list[tuple[str, list[str]]] = []
    start = 0
    for cells in reader:
        records.append(("".join(lines[start : reader.line_num]), cells))
        start = reader.line_num
    return records
