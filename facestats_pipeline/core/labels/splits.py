"""Published train/test splits of rated photos: which photos a model may learn from, and on which it is then measured.

`labels/splits.csv` has a row for each photo of each split: file, split, fold. `fold` is `train` for photos that are only learned from
(a train/test split); any other word is the part of a cross-validation in which the photo is tested, by a model of all other parts.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.user_files.text_table import LabelsError, decode, parse_table, read_bytes

SPLITS_SCHEMA: dict[str, pl.DataType] = {"file": pl.String(), "split": pl.String(), "fold": pl.String()}
TRAIN = "train"
EXPECTED = "Expected a table with a header: file, split, fold."
_MEANINGS = {"file": ("file", "filename", "image", "photo"), "split": ("split",), "fold": ("fold", "part")}


def read_splits(path: Path) -> pl.DataFrame:
    """SPLITS_SCHEMA of splits.csv. Raises LabelsError for a table without these columns, an empty cell, or a photo twice in a split."""
    table = parse_table(path, decode(read_bytes(path), []), _MEANINGS, need="file", expected=EXPECTED)
    if missing := [name for name in SPLITS_SCHEMA if name not in table.columns]:
        raise LabelsError(f"{path}: no {missing[0]!r} column. {EXPECTED}")
    if table.rejected:
        raise LabelsError(f"{path}: row {table.rejected[0]['row']}: {table.rejected[0]['reason']}")
    if empty := [number for number, cells in table.rows if not all(cells.get(name) for name in SPLITS_SCHEMA)]:
        raise LabelsError(f"{path}: row {empty[0]} has an empty cell. {EXPECTED}")
    frame = pl.DataFrame([{n: cells[n] for n in SPLITS_SCHEMA} for _, cells in table.rows], schema=SPLITS_SCHEMA)
    return checked(frame, str(path))


def checked(splits: pl.DataFrame, where: str) -> pl.DataFrame:
    """`splits` itself when each split can be measured; otherwise raises LabelsError, which begins with `where`."""
    for name, rows in splits.group_by("split", maintain_order=True):
        if repeated := rows.height - rows["file"].n_unique():
            raise LabelsError(f"{where}: {repeated} photos are in the split {name[0]!r} more than once")
        tested = rows.filter(pl.col("fold") != TRAIN)["fold"].n_unique()
        if tested == 0 or (tested == 1 and tested == rows["fold"].n_unique()):
            raise LabelsError(f"{where}: the split {name[0]!r} has nothing to train on or nothing to test")
    return splits


def fold_numbers(folds: pl.Series) -> npt.NDArray[np.intp]:
    """(n,) the fold of each photo of one split as `run_training(fold_of=…)` takes it: −1 for TRAIN, else 0, 1, … in order of name."""
    names = sorted(set(folds) - {TRAIN})
    return np.array([-1 if fold == TRAIN else names.index(fold) for fold in folds], dtype=np.intp)
