"""Published train/test splits of rated photos: on which photos a model is trained, and on which it is tested.

`labels/splits.csv` has a row for each photo of each split: file, split, fold. `fold` is `train` for photos that are only used for training
(a train/test split). Any other word names the fold in which the photo is tested, by a model trained on all other folds.
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
    """Read splits.csv as SPLITS_SCHEMA. Raises LabelsError for a missing column, an empty cell, or a photo twice in a split."""
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
    """Return `splits` if each split can be evaluated, else raise LabelsError with a message that begins with `where`."""
    for name, rows in splits.group_by("split", maintain_order=True):
        if repeated := rows.height - rows["file"].n_unique():
            raise LabelsError(f"{where}: {repeated} photos are in the split {name[0]!r} more than once")
        tested = rows.filter(pl.col("fold") != TRAIN)["fold"].n_unique()
        if tested == 0 or (tested == 1 and tested == rows["fold"].n_unique()):
            raise LabelsError(f"{where}: the split {name[0]!r} has no photos to train on or no photos to test")
    return splits


def fold_numbers(folds: pl.Series) -> npt.NDArray[np.intp]:
    """(n,) fold numbers of one split's photos for `run_training(fold_of=…)`: −1 for TRAIN, else 0, 1, … in order of fold name."""
    names = sorted(set(folds) - {TRAIN})
    return np.array([-1 if fold == TRAIN else names.index(fold) for fold in folds], dtype=np.intp)
