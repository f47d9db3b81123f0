"""Files of labels and ratings without the rows of some images. Every other byte stays as people wrote it."""

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
    """What is looked for: ids, file names, and the names of all photos, among which a label's file name is understood."""

    ids: frozenset[str]
    filenames: frozenset[str]
    collection: tuple[str, ...]

    def means(self, files: Collection[str]) -> set[str]:
        """The names in a label file that mean, or may mean, an erased photo.

        A name that could mean several photos is dropped as well: with one of them gone it would seem to mean another.
        """
        match = match_report(list(files), self.collection)
        certain = {file for file, filename in match.matched.items() if filename in self.filenames}
        return certain | {file for file, several in match.ambiguous.items() if self.filenames & set(several)}


def without_rows(data: bytes, erasing: Erasing) -> tuple[bytes | None, int]:
    """The file without the rows that name an erased image by file name or id, and how many those were.

    A table with a header, a list whose lines begin with a file name, or any text with ids in it; UTF-8, UTF-16, else Latin-1. None in
    place of the bytes when no row is left under the header: an empty table of labels is no table of labels.
    """
    mark, encoding = next(((mark, name) for mark, name in _ENCODINGS if data.startswith(mark)), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        mark, encoding = b"", "latin-1"
        text = data.decode(encoding)
    lines = io.StringIO(text, newline="").readlines()
    header = next((line for line in lines if line.strip()), "")
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
    """The column that says which photo a row is about."""
    cells = next(csv.reader([header], delimiter=delimiter), [])
    words = [word_key(cell.removeprefix("\ufeff")) for cell in cells]
    return next((i for i, word in enumerate(words) if word in FILE_WORDS or word in ID_WORDS), None)


def _records(lines: list[str], delimiter: str, column: int | None) -> list[tuple[str, list[str]]]:
    """(text as it stands in the file, cells) of each record; a quoted cell may span lines."""
    if column is None:  # SCUT-FBP5500's list: a name and a number
        return [(line, re.split(r"[\s,;]+", line.strip())[:1]) for line in lines]
    reader = csv.reader(lines, delimiter=delimiter)
    records: list[tuple[str, list[str]]] = []
    start = 0
    for cells in reader:
        records.append(("".join(lines[start : reader.line_num]), cells))
        start = reader.line_num
    return records
