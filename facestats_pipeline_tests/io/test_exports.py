"""Folders of copies: whole or not at all, never over something else, and remembered without naming an image."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facestats_pipeline.io.exports import (
    MARKER,
    RECORD,
    ExportFolderTaken,
    exports_of,
    may_hold,
    new_export,
    partial_folder,
)


def write(tmp_path: Path, out: Path, *, replace: bool = False, text: str = "x") -> None:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    with new_export(data, tmp_path / "photos", out, "csv", collection="abc", replace=replace) as writing:
        (writing.folder / "new").write_text(text)
        (writing.folder / MARKER).write_text("{}")
        assert not (out / "new").is_file() or (out / "new").read_text() != text, "nothing under its final name yet"
        writing.photos = 3


def test_an_export_appears_whole_and_is_on_record(tmp_path: Path) -> None:
    write(tmp_path, tmp_path / "out")
    assert (tmp_path / "out" / "new").read_text() == "x"
    (one,) = exports_of(tmp_path / "data")
    assert (one.out, one.photos, one.collection, one.is_there) == (str(tmp_path / "out"), 3, "abc", True)
    assert (tmp_path / "data" / RECORD).stat().st_mode & 0o077 == 0
    write(tmp_path, tmp_path / "out", replace=True, text="y")
    assert (tmp_path / "out" / "new").read_text() == "y"
    assert len(exports_of(tmp_path / "data")) == 1


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path, tmp_path / "out")
    data = tmp_path / "data"
    with (
        pytest.raises(OSError, match="full"),
        new_export(data, tmp_path / "p", tmp_path / "out", "csv", collection="d", replace=True) as writing,
    ):
        (writing.folder / "new").write_text("half")
        raise OSError("the disk is full")
    assert (tmp_path / "out" / "new").read_text() == "x"
    assert not partial_folder(tmp_path / "out").exists()
    assert [one.collection for one in exports_of(data)] == ["abc"]


def test_a_killed_export_is_on_record_and_cleared_away_by_the_next(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    killed = new_export(data, tmp_path / "p", out, "csv", collection="abc", replace=False)
    writing = killed.__enter__()
    (writing.folder / "half.jpg").write_text("a face")
    (one,) = exports_of(data)
    assert (one.finished_at, one.is_there) == ("", True)
    assert may_hold(data, datetime.now(UTC)) == [one]
    write(tmp_path, out)
    assert not writing.folder.exists()
    assert [one.finished_at != "" for one in exports_of(data)] == [True]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("taken", "holds something else"),
        ("file", "is a file"),
        ("data/out", "inside the data folder"),
        ("photos/out", "inside the folder of photos"),
        (".", "holds the data folder"),
        ("out", "add --replace"),
    ],
)
def test_places_that_are_no_places(tmp_path: Path, place: str, said: str) -> None:
    write(tmp_path, tmp_path / "out")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.docx").write_text("years of work")
    (tmp_path / "file").write_text("")
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(ExportFolderTaken, match=said):
        write(tmp_path, tmp_path / place)
    if place != "out":  # --replace is for exports alone
        with pytest.raises(ExportFolderTaken, match=said):
            write(tmp_path, tmp_path / place, replace=True)
    assert [path for path in before if not path.exists()] == []


def test_which_exports_may_hold_a_photo(tmp_path: Path) -> None:
    write(tmp_path, tmp_path / "out")
    data, now = tmp_path / "data", datetime.now(UTC)
    assert len(may_hold(data, now - timedelta(days=1))) == 1
    assert may_hold(data, now + timedelta(days=1)) == [], "it came after the export"
    assert len(may_hold(data, None)) == 1, "an interrupted erasure no longer knows when it came"
    (data / RECORD).write_text(json.dumps([{"what": 1}]))
    with pytest.raises(ValueError, match=r"exports\.json cannot be read"):
        exports_of(data)
