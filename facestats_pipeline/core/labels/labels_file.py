"""Reads label files (FairFace's CSV, SCUT-FBP5500's list) into one frame with FaceStats' vocabulary.

An unreadable cell is dropped and reported; the rest of its row is kept. A file without labels raises one LabelsError.
"""

import re
from functools import lru_cache
from pathlib import Path

from facestats_pipeline.core.attributes.attribute import Attribute
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.labels.ages import ParsedAge, parse_age
from facestats_pipeline.core.labels.label_names import labels_from_scut, labels_from_utkface
from facestats_pipeline.core.labels.label_rows import LABELS_SCHEMA, LabelRows, Labels
from facestats_pipeline.core.training.provenance import Provenance, provenance_of_file
from facestats_pipeline.core.user_files.cells import is_null, word_key
from facestats_pipeline.core.user_files.text_table import (
    LabelsError,
    LabelTable,
    decode,
    parse_table,
    read_bytes,
)

__all__ = [
    "LABELS_SCHEMA",
    "Labels",
    "LabelsError",
    "canonical_value",
    "labels_from_scut",
    "labels_from_utkface",
    "read_labels",
]

FILE_WORDS = (
    "file",
    "filename",
    "file name",
    "image",
    "image path",
    "image name",
    "image file",
    "img",
    "img path",
    "path",
    "photo",
)
"""Header words of the column with the file name of a row's photo."""
_PREDICTED = (
    "race scores fair",
    "gender scores fair",
    "age scores fair",
    "race4",
    "dominant race",
    "dominant gender",
)
"""Header words that only the output of a model has (FairFace's predict.py, DeepFace); tables with them are refused."""
_MODEL_WORDS = frozenset(
    [
        "model",
        "predicted",
        "prediction",
        "probe",
        "zeroshot",
        "zero shot",
        "shipped",
        "classifier",
        "deepface",
        "pseudo",
        "pseudo label",
    ]
)
_SCUT_LINE = re.compile(r"\s*([AC])([FM])\w*\.jpe?g[\s,;]+\d+(?:\.\d+)?\s*", re.IGNORECASE)


def read_labels(path: Path | str, catalogue: Catalogue = BUILT_IN) -> Labels:
    """Labels from FairFace's CSV form (file, age, gender, race; age_years, identity), or from SCUT-FBP5500's list.

    Columns of other attributes of the catalogue are read too. Comma, semicolon, tab or bar; UTF-8, UTF-16 or Latin-1; header words in
    any case, with synonyms. Ages may be bins, years, or bins that a spreadsheet turned into dates. Raises LabelsError when the file has
    no labels at all.
    """
    path = Path(path)
    data = read_bytes(path)
    notes: list[str] = []
    text = decode(data, notes)
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    if lines and all(_SCUT_LINE.fullmatch(line) for line in lines):
        names = [re.split(r"[\s,;]+", line.strip())[0] for line in text.splitlines() if line.strip()]
        labels = labels_from_scut(names, catalogue)
        return Labels(labels.frame, notes + labels.warnings, labels.rejected, provenance_of_file(path, data))
    expected = _expected(catalogue)
    table = parse_table(path, text, meanings(catalogue), need="file", expected=expected)
    if found := sorted(prediction_columns(catalogue) & set(table.ignored)):
        raise LabelsError(
            f"{path}: the column {found[0].replace(' ', '_')!r} shows that a model made this table; "
            "models learn from people's labels only."
        )
    if not set(table.columns) & {"group", *(column for attribute in catalogue for column in attribute.headers)}:
        raise LabelsError(f"{path}: a file column and no labels beside it. {expected}")
    return _from_table(table, provenance_of_file(path, data), notes, catalogue)


def meanings(catalogue: Catalogue = BUILT_IN) -> dict[str, tuple[str, ...]]:
    """Column that is read from a labels file → its header words."""
    return {
        "file": FILE_WORDS,
        **{column: words for attribute in catalogue for column, words in attribute.headers.items()},
        "group": ("identity", "person", "person id", "subject", "subject id"),
        "made_by": ("source", "label source", "labelled by", "labeled by", "provenance"),
    }


def prediction_columns(catalogue: Catalogue = BUILT_IN) -> frozenset[str]:
    """Header words of columns that only a model's output has: those of attributes.parquet, and of other tools."""
    named = {word_key(name) for attribute in catalogue for name in (attribute.name, attribute.stem)}
    return frozenset(f"{name} {kind}" for name in named for kind in ("p", "top", "source", "pred")).union(_PREDICTED)


def _expected(catalogue: Catalogue) -> str:
    extra = "".join(f"{attribute.name}, " for attribute in catalogue if attribute.name not in BUILT_IN)
    return (
        f"Expected a table with a header: file, and one or more of age, age_years, gender, race, {extra}identity "
        "(FairFace's columns), or SCUT-FBP5500's list of 'AF1.jpg 3.2'."
    )


def _from_table(table: LabelTable, provenance: Provenance, notes: list[str], catalogue: Catalogue) -> Labels:
    out = LabelRows(catalogue, rejected=list(table.rejected))
    for row, cells in table.rows:
        file = cells.get("file", "")
        if not file:
            out.reject(row, "file", "", "no file name")
        elif word_key(cells.get("made_by", "")) in _MODEL_WORDS:
            out.reject(row, "source", cells["made_by"], "made by a model; models learn from people's labels only")
        else:
            labels: dict[str, object] = {"group": cells.get("group") or None}
            for attribute in catalogue:
                if attribute.years is None:
                    labels[attribute.name] = _word(out, row, attribute, cells.get(attribute.name, ""))
                else:
                    labels[attribute.name], labels[attribute.stem] = _age(out, row, attribute, cells)
            out.add(row, file, labels)
    return out.labels(provenance, [*notes, *table.warnings])


def _word(out: LabelRows, row: int, attribute: Attribute, cell: str) -> str | None:
    if is_null(cell):
        return None
    value = attribute.class_named(cell)
    if value is None:
        out.reject(row, attribute.name, cell, _why_not(attribute, cell))
    elif (key := word_key(cell)) in attribute.readings:
        out.warnings[f"{{n}} cell(s) {key!r} read as {value!r}"] += 1
    return value


def _why_not(attribute: Attribute, cell: str) -> str:
    key = word_key(cell)
    if len(several := [name for name in attribute.classes if key in word_key(name).split()]) > 1:
        return f"{cell.strip()!r} is {'two' if len(several) == 2 else 'several'} of the classes: {', '.join(several)}"
    if "/" in cell or "," in cell or "+" in cell:
        return "mixed: a label is exactly one class"
    if cell.strip().isdigit():
        return "a number: data sets disagree about what it means, so write the word"
    return "unknown word; expected " + ", ".join(attribute.classes)


_parse_age = lru_cache(maxsize=4096)(parse_age)


def _age(out: LabelRows, row: int, attribute: Attribute, cells: dict[str, str]) -> tuple[str | None, float | None]:
    """(class, years) of one row from up to three columns. If a class disagrees with the years, the years win."""
    name: str | None = None
    years: float | None = None
    for column in (f"{attribute.stem}_years", attribute.stem, attribute.name):
        cell = cells.get(column, "")
        if is_null(cell):
            continue
        parsed: ParsedAge = _parse_age(cell, attribute)
        if parsed.repaired:
            out.warnings[
                "{n} age(s) that a spreadsheet had turned into dates were repaired (9-Mar → 3-9, 19-Oct → 10-19)"
            ] += 1
        if parsed.problem or (column == f"{attribute.stem}_years" and parsed.years is None):
            out.reject(row, column, cell, parsed.problem or "not a number of years")
        elif name is not None and parsed.bin != name:
            out.reject(row, column, cell, f"another age column of this row says {name}, which was used")
        else:
            name = parsed.bin
            years = years if years is not None else parsed.years
    return name, years


def canonical_value(name: str, text: str, catalogue: Catalogue = BUILT_IN) -> str | None:
    """The class of the attribute `name` that `text` names (years are binned); None if it names none. ValueError for no attribute."""
    if name not in catalogue:
        raise ValueError(f"no attribute {name!r}; there are {', '.join(catalogue.names)}")
    attribute = catalogue[name]
    return attribute.class_named(text) if attribute.years is None else parse_age(text, attribute).bin
