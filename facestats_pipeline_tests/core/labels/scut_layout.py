"""SCUT-FBP5500's folder as its authors pack it, with photos and ratings of the tests' own."""

from collections.abc import Sequence
from pathlib import Path

SIXTY = "split_of_60%training and 40%testing"
FOLDS = "5_folders_cross_validations_files"


def names(n: int) -> list[str]:
    """AF1.jpg, AM1.jpg, CF1.jpg, CM1.jpg, AF2.jpg, …"""
    return [f"{kind}{i // 4 + 1}.jpg" for i, kind in zip(range(n), ("AF", "AM", "CF", "CM") * n, strict=False)]


def write_scut(folder: Path, photos: Sequence[bytes], ratings: Sequence[float], *, raters: int = 0) -> Path:
    """The unpacked archive `SCUT-FBP5500_v2` in `folder`; with `raters`, All_Ratings.csv as well (two raters agree on no photo)."""
    root = folder / "SCUT-FBP5500_v2"
    (root / "Images").mkdir(parents=True)
    (root / "facial landmark").mkdir()
    files = names(len(photos))
    for file, photo in zip(files, photos, strict=True):
        (root / "Images" / file).write_bytes(photo)
        (root / "facial landmark" / file.replace(".jpg", ".pts")).write_bytes(b"\0" * 16)
    lines = [f"{file} {rating:.6f}" for file, rating in zip(files, ratings, strict=True)]
    lists = root / "train_test_files"
    sixty = lists / SIXTY
    sixty.mkdir(parents=True)
    _write(lists / "All_labels.txt", lines)
    _write(sixty / "train.txt", [line for i, line in enumerate(lines) if i % 5 < 3])
    _write(sixty / "test.txt", [line for i, line in enumerate(lines) if i % 5 >= 3])
    for k in range(1, 6):
        part = lists / FOLDS / f"cross_validation_{k}"
        part.mkdir(parents=True)
        _write(part / f"train_{k}.txt", [line for i, line in enumerate(lines) if i % 5 != k - 1])
        _write(part / f"test_{k}.txt", [line for i, line in enumerate(lines) if i % 5 == k - 1])
    (root / "All_Ratings.xlsx").write_bytes(b"PK not read")
    if raters:
        rows = ["Rater,Filename,Rating,original Rating"]
        for file, rating in zip(files, ratings, strict=True):
            shifts = [(r - (raters - 1) / 2) / raters for r in range(raters)]
            rows += [f"{r + 1},{file},{rating + shift:.6f}," for r, shift in enumerate(shifts)]
        _write(root / "All_Ratings.csv", rows)
    return root


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\r\n".join(lines) + "\r\n")
