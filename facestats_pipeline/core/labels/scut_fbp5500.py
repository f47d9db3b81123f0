"""Reads SCUT-FBP5500 in its authors' layout: ratings, groups, and the official splits (Liang et al., 2018, arXiv:1801.06345).

The archive has `Images/` and, below `train_test_files/`, lists of lines like `AF1.jpg 3.2`: `train.txt` and `test.txt` of the 60/40 split,
and `train_1.txt` … `test_5.txt` of five-fold cross-validation. Copies name and nest the folders differently, so lists are found by file
name. `All_Ratings.xlsx` has the 60 single ratings of each photo; saved as All_Ratings.csv, it gives their number and spread.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from facestats_pipeline.core.labels.label_names import labels_from_scut
from facestats_pipeline.core.labels.ratings import read_ratings
from facestats_pipeline.core.labels.splits import SPLITS_SCHEMA, TRAIN, checked
from facestats_pipeline.core.user_files.text_table import LabelsError

NAME = "SCUT-FBP5500"
SOURCE = "SCUT-FBP5500 (Liang et al. 2018, arXiv:1801.06345)"
LICENCE = "non-commercial research only"
SIXTY_FORTY, FIVE_FOLD = "60_40", "five_fold"
SAME = 0.011
"""Tolerance for equal means: the lists round them, the single ratings do not."""


@dataclass(frozen=True)
class ScutFiles:
    """The data set read from disk.

    Attributes:
        images: folder with the photos.
        ratings: file, rating, and sd and n from the single ratings (null without them).
        labels: file, gender, race.
        splits: SPLITS_SCHEMA, the official splits.
        notes: one sentence for each missing part.
    """

    images: Path
    ratings: pl.DataFrame
    labels: pl.DataFrame
    splits: pl.DataFrame
    notes: list[str]


def read_scut(folder: Path) -> ScutFiles:
    """Read the data set below `folder`.

    Raises LabelsError with the file and the problem: no photos, no lists, contradicting or overlapping lists, a missing fold, or listed
    photos that do not exist.
    """
    images = _images(folder)
    notes: list[str] = []
    scores: dict[str, float] = {}
    splits = [part for part in (_sixty_forty(folder, scores), _five_folds(folder, scores)) if part is not None]
    if not splits:
        raise LabelsError(f"{folder}: neither train.txt and test.txt nor train_1.txt … test_5.txt are below it")
    if len(splits) < 2:
        lacking = FIVE_FOLD if splits[0]["split"][0] == SIXTY_FORTY else SIXTY_FORTY
        notes.append(f"there are no lists of the split {lacking}")
    missing = sorted(name for name in scores if not (images / name).is_file())
    if missing:
        raise LabelsError(
            f"{images}: {len(missing)} of {len(scores)} listed photos are missing, among them {missing[0]}; "
            "results on the rest could not be compared with published ones"
        )
    ratings = pl.DataFrame({"file": list(scores), "rating": list(scores.values())})
    ratings = ratings.join(_single_ratings(folder, ratings, notes), on="file", how="left", maintain_order="left")
    named = labels_from_scut(list(scores))
    labels = named.frame.select("file", "gender", race="ethnicity")
    if named.rejected.height:
        notes.append(f"{named.rejected.height} names say no gender and ethnicity (they are not like AF1.jpg, CM7.jpg)")
    return ScutFiles(images, ratings, labels, checked(pl.concat(splits), str(folder)), notes)


def _images(folder: Path) -> Path:
    if not folder.is_dir():
        raise LabelsError(f"{folder}: no such folder; give the one that {NAME} was unpacked into")
    found = sorted(path for path in [folder, *folder.rglob("*")] if path.is_dir() and path.name.lower() == "images")
    if len(found) != 1:
        raise LabelsError(
            f"{folder}: {len(found) or 'no'} folders called Images below it; give the folder of one copy of {NAME}"
        )
    return found[0]


def _sixty_forty(folder: Path, scores: dict[str, float]) -> pl.DataFrame | None:
    test = _list(folder, "test.txt")
    if test is None:
        return None
    train, tested = _read(test.with_name("train.txt"), scores), _read(test, scores)
    _apart(test, train, tested)
    rows = [(file, SIXTY_FORTY, TRAIN) for file in train] + [(file, SIXTY_FORTY, "test") for file in tested]
    return pl.DataFrame(rows, schema=SPLITS_SCHEMA, orient="row")


def _five_folds(folder: Path, scores: dict[str, float]) -> pl.DataFrame | None:
    tests = {k: _list(folder, f"test_{k}.txt") for k in range(1, 6)}
    if not any(tests.values()):
        return None
    rows: list[tuple[str, str, str]] = []
    trains: dict[int, tuple[Path, set[str]]] = {}
    for k, test in tests.items():
        if test is None:
            raise LabelsError(f"{folder}: there is a five-fold split, but no test_{k}.txt")
        train, tested = _read(test.with_name(f"train_{k}.txt"), scores), _read(test, scores)
        _apart(test, train, tested)
        rows += [(file, FIVE_FOLD, str(k)) for file in tested]
        trains[k] = (test, set(train))
    # Every training list must be the union of the other four test lists; otherwise results are not comparable with published ones.
    everything = {file for file, _, _ in rows}
    for k, (test, train_files) in trains.items():
        tested_here = {file for file, _, fold in rows if fold == str(k)}
        if train_files != everything - tested_here:
            raise LabelsError(f"{test.parent}: train_{k}.txt does not hold the photos of the other four test lists")
    return pl.DataFrame(rows, schema=SPLITS_SCHEMA, orient="row")


def _list(folder: Path, name: str) -> Path | None:
    found = sorted(folder.rglob(name))
    if len(found) > 1:
        raise LabelsError(f"{folder}: {len(found)} files called {name} below it; give the folder of one copy of {NAME}")
    return found[0] if found else None


def _read(path: Path, scores: dict[str, float]) -> list[str]:
    """The files of one list. Their scores are added to `scores`; a contradiction to another list raises LabelsError."""
    return [_agreed(path, file, rating, scores) for file, rating in _rated(path)]


def _rated(path: Path) -> Iterator[tuple[str, float]]:
    table = read_ratings(path)
    if table.rejected.height:
        first = table.rejected.row(0, named=True)
        raise LabelsError(f"{path}: line {first['row']}: {first['reason']}")
    return table.frame.select("file", pl.col("rating").cast(pl.Float64).round(6)).iter_rows()


def _agreed(path: Path, file: str, rating: float, scores: dict[str, float]) -> str:
    if abs(scores.setdefault(file, rating) - rating) > SAME:
        raise LabelsError(f"{path}: {file} is rated {rating:g}, and {scores[file]:g} in another list")
    return file


def _apart(test: Path, train: list[str], tested: list[str]) -> None:
    if shared := set(train) & set(tested):
        raise LabelsError(f"{test.parent}: {len(shared)} photos are both in a train and in a test list")


def _single_ratings(folder: Path, means: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """file, sd, n from All_Ratings.csv. Photos whose single ratings do not give the listed mean are left out, with a note."""
    found = [path for path in sorted(folder.rglob("*.csv")) if path.stem.lower() == "all_ratings"]
    if not found:
        notes.append("no All_Ratings.csv (save All_Ratings.xlsx as CSV), so the noise of the ratings is unknown")
        return pl.DataFrame(schema={"file": pl.String, "sd": pl.Float32, "n": pl.Int32})
    both = means.join(read_ratings(found[0]).frame, on="file", suffix="_single")
    agreed = both.filter((pl.col("rating") - pl.col("rating_single")).abs() < SAME)
    if agreed.height < means.height:
        notes.append(f"{found[0].name} does not give the mean of the lists for {means.height - agreed.height} photos")
    return agreed.select("file", "sd", "n")
