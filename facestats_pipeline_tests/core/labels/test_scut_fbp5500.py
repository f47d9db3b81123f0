"""SCUT-FBP5500's folder in its official layout, and in those of copies; contradictions are named."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from facestats_pipeline.core.labels.scut_fbp5500 import read_scut
from facestats_pipeline.core.labels.splits import SPLITS_SCHEMA, TRAIN, fold_numbers, read_splits
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline_tests.core.labels.scut_layout import FOLDS, SIXTY, names, write_scut

N = 40
RATINGS = [1 + 4 * (i * 7 % N) / N for i in range(N)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_scut(tmp_path, [b"photo"] * N, RATINGS, raters=4)


def test_official_layout(root: Path) -> None:
    found = read_scut(root)
    assert found.images == root / "Images"
    assert found.notes == []
    assert found.ratings.sort("file")["rating"].to_list() == pytest.approx(
        [rating for _, rating in sorted(zip(names(N), RATINGS, strict=True))], abs=1e-5
    )
    assert found.ratings["n"].unique().to_list() == [4]
    assert found.ratings["sd"].to_list() == pytest.approx([0.3227] * N, abs=1e-3)
    assert found.labels.filter(pl.col("file") == "AF1.jpg").rows() == [("AF1.jpg", "Female", "East Asian")]
    assert found.labels.filter(pl.col("file") == "CM2.jpg").rows() == [("CM2.jpg", "Male", "White")]
    assert dict(found.splits.schema) == SPLITS_SCHEMA
    counts = dict(
        found.splits.group_by("split", "fold").len().select(pl.concat_str("split", "fold"), "len").iter_rows()
    )
    assert counts == {"60_40train": 24, "60_40test": 16, **{f"five_fold{k}": 8 for k in range(1, 6)}}


def test_splits_are_what_the_lists_say(root: Path, tmp_path: Path) -> None:
    splits = read_scut(root).splits
    tested = set(splits.filter(split="60_40", fold="test")["file"])
    listed = (root / "train_test_files" / SIXTY / "test.txt").read_text().split()
    assert tested == set(listed[::2])
    third = (root / "train_test_files" / FOLDS / "cross_validation_3" / "test_3.txt").read_text().split()
    assert set(splits.filter(split="five_fold", fold="3")["file"]) == set(third[::2])
    splits.write_csv(tmp_path / "splits.csv")
    again = read_splits(tmp_path / "splits.csv")
    assert again.equals(splits)
    five = again.filter(split="five_fold")
    assert sorted(set(fold_numbers(five["fold"]).tolist())) == [0, 1, 2, 3, 4]
    assert fold_numbers(again.filter(split="60_40")["fold"]).tolist() == [-1] * 24 + [0] * 16


def test_copies_that_name_and_nest_folders_differently(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy" / "data"
    other.mkdir(parents=True)
    shutil.copytree(root / "Images", other / "images")
    shutil.copytree(root / "train_test_files" / SIXTY, other / "split_of_60%_training_and_40%_testing")
    for k in range(1, 6):
        shutil.copytree(root / "train_test_files" / FOLDS / f"cross_validation_{k}", other / str(k))
    found = read_scut(tmp_path / "copy")
    assert found.splits.equals(read_scut(root).splits)
    assert found.ratings["n"].null_count() == N
    assert "All_Ratings.xlsx as CSV" in found.notes[0]


def test_one_split_is_enough_and_the_other_is_missed_aloud(root: Path) -> None:
    shutil.rmtree(root / "train_test_files" / FOLDS)
    found = read_scut(root)
    assert found.splits["split"].unique().to_list() == ["60_40"]
    assert found.notes == ["there are no lists of the split five_fold"]


def test_single_ratings_with_another_mean_are_not_used(root: Path) -> None:
    path = root / "All_Ratings.csv"
    path.write_text(path.read_text().replace("1,AF1.jpg,", "1,AF1.jpg,9"))
    found = read_scut(root)
    assert found.ratings.filter(pl.col("n").is_null())["file"].to_list() == ["AF1.jpg"]
    assert "for 1 photos" in found.notes[0]


def spoil(root: Path, what: str) -> None:
    lists = root / "train_test_files"
    sixty, second = lists / SIXTY, lists / FOLDS / "cross_validation_2"
    if what == "overlap":
        (sixty / "test.txt").write_text((sixty / "train.txt").read_text())
    elif what == "fold missing":
        (second / "test_2.txt").unlink()
    elif what == "train missing":
        (sixty / "train.txt").unlink()
    elif what == "other rating":
        (second / "test_2.txt").write_text((second / "test_2.txt").read_text().replace(" 1.", " 4."))
    elif what == "other train list":
        (second / "train_2.txt").write_text("\n".join((second / "train_2.txt").read_text().splitlines()[1:]))
    elif what == "photo missing":
        (root / "Images" / "CM3.jpg").unlink()
    elif what == "no photos":
        shutil.rmtree(root / "Images")
    elif what == "two copies":
        shutil.copytree(sixty, root / "backup")
    elif what == "no lists":
        shutil.rmtree(lists)
    else:
        raise ValueError(what)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("overlap", "both in a train and in a test list"),
        ("fold missing", r"no test_2\.txt"),
        ("train missing", r"train\.txt: no such file"),
        ("other rating", r"test_2\.txt: .* in another list"),
        ("other train list", r"train_2\.txt does not hold"),
        ("photo missing", r"1 of 40 listed photos are missing, among them CM3\.jpg"),
        ("no photos", "no folders called Images"),
        ("two copies", r"2 files called test\.txt"),
        ("no lists", r"neither train\.txt"),
    ],
)
def test_what_cannot_be_compared_is_refused(root: Path, what: str, message: str) -> None:
    spoil(root, what)
    with pytest.raises(LabelsError, match=message):
        read_scut(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,split\na.jpg,x\n", "no 'fold' column"),
        ("file,split,fold\na.jpg,x,\n", "row 2 has an empty cell"),
        ("file,split,fold\na.jpg,x,1\na.jpg,x,2\n", "more than once"),
        ("file,split,fold\na.jpg,x,1\nb.jpg,x,1\n", "no photos to train on"),
        (f"file,split,fold\na.jpg,x,{TRAIN}\nb.jpg,x,{TRAIN}\n", "no photos to test"),
    ],
)
def test_splits_that_cannot_be_measured(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(LabelsError, match=message):
        read_splits(tmp_path / "splits.csv")
