"""Appends lines to manual_labels.csv. The file is append-only: a correction is a later line, and earlier lines stay.

A file that people made themselves keeps its form: new lines follow its header, order of columns and delimiter.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from filelock import FileLock

from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.metadata.manual_label_file import COLUMNS, read_columns, read_history
from facestats_pipeline.core.user_files.text_table import LabelsError

MOST_LETTERS = 60
# It starts with a letter or digit, so that no spreadsheet runs it as a formula; `;` is excluded because it joins names in other tables.
_NAME = re.compile(rf"[^\W_][\w .@'+-]{{0,{MOST_LETTERS - 1}}}")


def writing(path: Path) -> FileLock:
    """The lock to hold while changing a label file."""
    return FileLock(path.with_name(f".{path.name}.lock"))


@dataclass(frozen=True)
class Label:
    """An annotator's label of one image; `value` None withdraws the same annotator's earlier label."""

    image_id: str
    attribute: str
    value: str | None


def check_annotator(name: str) -> str:
    """`name` without surrounding spaces. Raises ValueError with the rules for names."""
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a name or initials of 1 to {MOST_LETTERS} letters, digits, spaces and . @ ' + - that starts with a letter or digit"
        )
    return name


def append_labels(
    path: Path,
    labels: Sequence[Label],
    annotator: str,
    *,
    now: datetime | None = None,
    catalogue: Catalogue = BUILT_IN,
) -> None:
    """Append one line per label to `path`; the file is created if missing. Several processes may append at the same time.

    Raises ValueError for an invalid name, attribute or value, and LabelsError, with the file's name, when the file cannot be read or
    written, lacks a column or is not UTF-8; then nothing is appended.
    """
    annotator = check_annotator(annotator)
    for label in labels:
        classes = catalogue[label.attribute].classes if label.attribute in catalogue else ()
        if label.value is not None and label.value not in classes:
            raise ValueError(f"{label.value!r} is not a label of {label.attribute!r}")
    time = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with writing(path):
            text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
            header, delimiter = read_columns(path) if text.strip() else (list(COLUMNS), ",")
            out = io.StringIO()
            write = csv.writer(out, delimiter=delimiter, lineterminator="\n").writerow
            if not text.strip():
                write(COLUMNS)
            elif not text.endswith(("\n", "\r")):
                out.write("\n")
            for label in labels:
                cells = {
                    "image_id": label.image_id,
                    "attribute": label.attribute,
                    "value": label.value or UNKNOWN,
                    "annotator": annotator,
                    "labelled_at": time,
                }
                write([cells.get(name, "") for name in header])
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(out.getvalue())
    except UnicodeDecodeError:
        raise LabelsError(f"{path}: is not UTF-8, so nothing was added; save it as UTF-8 first") from None
    except OSError as error:
        raise LabelsError(f"{path}: cannot be written ({error.strerror})") from None


def labels_by(path: Path, annotator: str, catalogue: Catalogue = BUILT_IN) -> pl.DataFrame:
    """image_id, attribute, value: the last label of one annotator per image and attribute, without withdrawn ones.

    It has no rows without a file. Raises LabelsError.
    """
    columns = {"image_id": pl.String(), "attribute": pl.String(), "value": pl.String()}
    if not path.is_file():
        return pl.DataFrame(schema=columns)
    history, _ = read_history(path, catalogue=catalogue)
    mine = history.filter(pl.col("annotator") == annotator).sort("labelled_at", "row")
    last = mine.group_by("image_id", "attribute", maintain_order=True).agg(pl.col("value").last())
    return last.filter(pl.col("value").is_not_null()).select(list(columns))
