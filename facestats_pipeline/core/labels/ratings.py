"""Reads ratings: a table with one row per photo, or per rater and photo, or SCUT-FBP5500's list."""

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from facestats_pipeline.core.training.provenance import Provenance, provenance_of_file
from facestats_pipeline.core.user_files.cells import is_null
from facestats_pipeline.core.user_files.text_table import LabelsError, decode, parse_table, read_bytes, rejected_frame

RATINGS_SCHEMA = {
    "file": pl.String(),
    "rating": pl.Float32(),
    "sd": pl.Float32(),
    "n": pl.Int32(),
    "raters": pl.Int32(),
}
"""rating: mean; sd: between raters (ddof 1); n: ratings behind the mean; raters: raters listed in the file itself (0: none)."""

EXPECTED = (
    "Expected a table with a header: file, rating, and optionally rater, or sd and n; "
    "or SCUT-FBP5500's list of 'AF1.jpg 3.2'."
)
_MEANINGS = {
    "file": ("file", "filename", "file name", "image", "image path", "image name", "img", "path", "photo"),
    "rating": ("rating", "ratings", "score", "attractiveness", "mean", "mean rating", "beauty", "attractiveness 1 7"),
    "rater": ("rater", "rater id", "annotator", "user", "judge"),
    "sd": ("sd", "std", "stdev", "rating sd", "attractiveness sd"),
    "n": ("n", "n raters", "count", "num raters", "n ratings"),
}
_PREDICTIONS = frozenset({"attractiveness raw", "attractiveness pct", "attractiveness lo", "attractiveness hi"})
_LIST_LINE = re.compile(r"\s*(\S+\.(?:jpe?g|png|webp|bmp|tiff?))[ \t]+(-?\d+(?:\.\d+)?)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Ratings:
    """Ratings of one file.

    Attributes:
        frame: RATINGS_SCHEMA, one row per file name.
        warnings: one sentence each.
        rejected: row, column, value, reason of everything unused.
        provenance: where the ratings come from.
        scale: lowest and highest single rating; None if the file has means only, which do not reach the ends of a scale.
    """

    frame: pl.DataFrame
    warnings: list[str]
    rejected: pl.DataFrame
    provenance: Provenance
    scale: tuple[float, float] | None


@dataclass(frozen=True)
class _Row:
    number: int
    rating: float
    rater: str
    sd: float | None
    n: int | None


def read_ratings(path: Path | str) -> Ratings:
    """Read ratings.csv (file, rating[, rater][, sd, n]) or SCUT-FBP5500's list.

    Rows of one photo are averaged if a `rater` column distinguishes them; otherwise contradicting rows are rejected. Raises LabelsError
    for a file without ratings, or with columns that only a model's output has.
    """
    path = Path(path)
    data = read_bytes(path)
    warnings: list[str] = []
    text = decode(data, warnings)
    listed = [_LIST_LINE.fullmatch(line) for line in re.split(r"[\r\n]+", text) if line.strip()]
    rejected: list[dict[str, object]] = []
    files: dict[str, list[_Row]] = defaultdict(list)
    if listed and all(listed):
        for number, match in enumerate(listed, start=1):
            assert match is not None
            files[match[1]].append(_Row(number, float(match[2]), "", None, None))
    else:
        table = parse_table(path, text, _MEANINGS, need="file", expected=EXPECTED)
        if "rating" not in table.columns:
            raise LabelsError(f"{path}: no 'rating' column. {EXPECTED}")
        if found := sorted(_PREDICTIONS & set(table.ignored)):
            raise LabelsError(f"{path}: the column {found[0].replace(' ', '_')!r} shows that a model made this table.")
        rejected.extend(table.rejected)
        for number, cells in table.rows:
            if (row := _row(number, cells, rejected)) is not None:
                files[cells["file"]].append(row)
    rows = [merged for file, several in files.items() if (merged := _merge(file, several, rejected, warnings))]
    if not rows:
        raise LabelsError(f"{path}: no usable rating in it. {EXPECTED}")
    singles = [row.rating for several in files.values() for row in several if row.rater]
    frame = pl.DataFrame(rows, schema=RATINGS_SCHEMA)
    scale = (min(singles), max(singles)) if singles else None
    return Ratings(frame, sorted(set(warnings)), rejected_frame(rejected), provenance_of_file(path, data), scale)


def _row(number: int, cells: dict[str, str], rejected: list[dict[str, object]]) -> _Row | None:
    def reject(column: str, reason: str) -> None:
        rejected.append({"row": number, "column": column, "value": cells.get(column, "")[:200], "reason": reason})

    if not cells.get("file"):
        reject("file", "no file name")
        return None
    if is_null(cells.get("rating", "")):
        return None  # an unrated photo is no error
    if (rating := _number(cells["rating"])) is None:
        reject("rating", "not a number")
        return None
    sd, n = _number(cells.get("sd", "")), _number(cells.get("n", ""))
    if not is_null(cells.get("sd", "")) and (sd is None or sd < 0):
        reject("sd", "not a standard deviation")
        sd = None
    if not is_null(cells.get("n", "")) and (n is None or n < 1 or n != int(n) or n > 2**31 - 1):
        reject("n", "not a number of raters")
        n = None
    return _Row(number, rating, cells.get("rater", ""), sd, None if n is None else int(n))


def _number(cell: str) -> float | None:
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1e9 else None


def _merge(
    file: str, rows: list[_Row], rejected: list[dict[str, object]], warnings: list[str]
) -> dict[str, object] | None:
    """One row of RATINGS_SCHEMA from all rows of a photo, or None when they contradict each other."""
    first = rows[0]
    raters = {row.rater for row in rows} - {""}
    if len(raters) == len(rows) and (len(rows) > 1 or first.sd is None):
        values = np.array([row.rating for row in rows])
        sd = float(values.std(ddof=1)) if len(values) > 1 else None
        return {"file": file, "rating": float(values.mean()), "sd": sd, "n": len(rows), "raters": len(rows)}
    if raters and "" not in {row.rater for row in rows}:  # a rater rated this photo more than once
        by_rater: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            by_rater[row.rater].append(row.rating)
        warnings.append("some raters rated a photo more than once; the mean of their ratings was used")
        means = [_Row(first.number, float(np.mean(v)), rater, None, None) for rater, v in by_rater.items()]
        return _merge(file, means, rejected, warnings)
    if any(row.rating != first.rating for row in rows):
        for row in rows:
            reason = f"{len(rows)} rows rate {file[:200]!r} differently and no rater tells them apart"
            rejected.append({"row": row.number, "column": "rating", "value": str(row.rating), "reason": reason})
        return None
    if len(rows) > 1:
        warnings.append("some rows repeat a photo with the same rating; they were merged")
    return {"file": file, "rating": first.rating, "sd": first.sd, "n": first.n, "raters": len(raters)}
