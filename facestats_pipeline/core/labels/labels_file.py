"""Labels that people made: FairFace's CSV, UTKFace's file names, SCUT-FBP5500's list, as one frame in FaceStats' words.

A cell that cannot be read costs that cell and is reported; the rest of its row is kept. A file that holds no labels raises one
LabelsError.
"""

import re
from functools import lru_cache
from pathlib import Path

from facestats_pipeline.core.labels.ages import ParsedAge, parse_age
from facestats_pipeline.core.labels.label_names import labels_from_scut, labels_from_utkface
from facestats_pipeline.core.labels.label_rows import LABELS_SCHEMA, LabelRows, Labels
from facestats_pipeline.core.labels.provenance import Provenance, provenance_of_file
from facestats_pipeline.core.labels.vocabulary import (
    ETHNICITIES,
    GENDERS,
    READ_AS,
    canonical_ethnicity,
    canonical_gender,
)
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

EXPECTED = (
    "Expected a table with a header: file, and one or more of age, age_years, gender, race, identity "
    "(FairFace's columns), or SCUT-FBP5500's list of 'AF1.jpg 3.2'."
)
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
"""Header words of the column that says which photo a row is about."""
_MEANINGS = {
    "file": FILE_WORDS,
    "gender": ("gender", "sex"),
    "ethnicity": ("race", "ethnicity"),
    "age": ("age",),
    "age_bin": ("age bin", "age group", "age range"),
    "age_years": ("age years", "years", "age in years"),
    "group": ("identity", "person", "person id", "subject", "subject id"),
    "made_by": ("source", "label source", "labelled by", "labeled by", "provenance"),
}
# Columns that only a model's output has (FaceStats' own attributes, FairFace's predict.py, DeepFace).
PREDICTION_COLUMNS = frozenset(
    [f"{a} {kind}" for a in ("gender", "ethnicity", "age", "age bin") for kind in ("p", "top", "source", "pred")]
    + ["race scores fair", "gender scores fair", "age scores fair", "race4", "dominant race", "dominant gender"]
)
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


def read_labels(path: Path | str) -> Labels:
    """Labels from FairFace's CSV form (file, age, gender, race; age_years, identity), or from SCUT-FBP5500's list.

    Comma, semicolon, tab or bar; UTF-8, UTF-16 or Latin-1; header words in any case, with synonyms. Ages may be bins, years, or
    bins that a spreadsheet turned into dates. Raises LabelsError when the file has no labels at all.
    """
    path = Path(path)
    data = read_bytes(path)
    notes: list[str] = []
    text = decode(data, notes)
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    if lines and all(_SCUT_LINE.fullmatch(line) for line in lines):
        names = [re.split(r"[\s,;]+", line.strip())[0] for line in text.splitlines() if line.strip()]
        labels = labels_from_scut(names)
        return Labels(labels.frame, notes + labels.warnings, labels.rejected, provenance_of_file(path, data))
    table = parse_table(path, text, _MEANINGS, need="file", expected=EXPECTED)
    if found := sorted(PREDICTION_COLUMNS & set(table.ignored)):
        raise LabelsError(
            f"{path}: the column {found[0].replace(' ', '_')!r} says that a model made this table; "
            "models learn from people's labels only."
        )
    if not set(table.columns) & {"gender", "ethnicity", "age", "age_bin", "age_years", "group"}:
        raise LabelsError(f"{path}: a file column and no labels beside it. {EXPECTED}")
    return _from_table(table, provenance_of_file(path, data), notes)


def _from_table(table: LabelTable, provenance: Provenance, notes: list[str]) -> Labels:
    out = LabelRows(rejected=list(table.rejected))
    for row, cells in table.rows:
        file = cells.get("file", "")
        if not file:
            out.reject(row, "file", "", "no file name")
        elif word_key(cells.get("made_by", "")) in _MODEL_WORDS:
            out.reject(row, "source", cells["made_by"], "made by a model; models learn from people's labels only")
        else:
            age_bin, years = _age(out, row, cells)
            gender, ethnicity = (_word(out, row, column, cells.get(column, "")) for column in ("gender", "ethnicity"))
            group = cells.get("group") or None
            out.add(
                row, file, {"gender": gender, "ethnicity": ethnicity, "age_bin": age_bin, "age": years, "group": group}
            )
    return out.labels(provenance, [*notes, *table.warnings])


def _word(out: LabelRows, row: int, column: str, cell: str) -> str | None:
    if is_null(cell):
        return None
    value = canonical_value(column, cell)
    if value is None:
        out.reject(row, column, cell, _why_not(column, cell))
    elif column == "ethnicity" and (key := word_key(cell)) in READ_AS:
        out.warnings[f"{{n}} cell(s) {key!r} read as {value!r}"] += 1
    return value


def _why_not(column: str, cell: str) -> str:
    if word_key(cell) == "asian":
        return "'Asian' is two of the classes: East Asian, Southeast Asian"
    if "/" in cell or "," in cell or "+" in cell:
        return "mixed: a label is exactly one class"
    if cell.strip().isdigit():
        return "a number: data sets disagree about what it means, so write the word"
    return "unknown word; expected " + ", ".join(GENDERS if column == "gender" else ETHNICITIES)


_parse_age = lru_cache(maxsize=4096)(parse_age)


def _age(out: LabelRows, row: int, cells: dict[str, str]) -> tuple[str | None, float | None]:
    """Age bin and years of one row from up to three columns. Years decide where a bin disagrees with them."""
    name: str | None = None
    years: float | None = None
    for column in ("age_years", "age", "age_bin"):
        cell = cells.get(column, "")
        if is_null(cell):
            continue
        parsed: ParsedAge = _parse_age(cell)
        if parsed.repaired:
            out.warnings[
                "{n} age(s) that a spreadsheet had turned into dates were repaired (9-Mar → 3-9, 19-Oct → 10-19)"
            ] += 1
        if parsed.problem or (column == "age_years" and parsed.years is None):
            out.reject(row, column, cell, parsed.problem or "not a number of years")
        elif name is not None and parsed.bin != name:
            out.reject(row, column, cell, f"another age column of this row says {name}, which was used")
        else:
            name = parsed.bin
            years = years if years is not None else parsed.years
    return name, years


def canonical_value(attribute: str, text: str) -> str | None:
    """The class that `text` names: attribute is "gender", "ethnicity" or "age_bin" (years are binned). None if it names none."""
    if attribute == "gender":
        return canonical_gender(text)
    if attribute == "ethnicity":
        return canonical_ethnicity(text)
    if attribute == "age_bin":
        return parse_age(text).bin
    raise ValueError(f"no attribute {attribute!r}; there are gender, ethnicity, age_bin")
