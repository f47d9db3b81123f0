"""Lines are added as the file has them, and nothing that stands there changes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facestats_pipeline.core.metadata.manual_label_writer import Label, append_labels, check_annotator, labels_by
from facestats_pipeline.core.metadata.manual_labels import read_manual_labels
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline_tests.classes import WITH_GLASSES

A, B = "a" * 32, "b" * 32
NOW = datetime(2026, 11, 20, 14, 3, tzinfo=UTC)


def test_a_new_file_and_a_second_thought(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "manual_labels.csv"
    append_labels(path, [Label(A, "gender", "Male"), Label(B, "age_bin", "more than 70")], "Ana B.", now=NOW)
    before = path.read_bytes()
    assert before.splitlines()[0] == b"image_id,attribute,value,annotator,labelled_at"
    append_labels(path, [Label(A, "gender", "Female")], "Ana B.", now=NOW + timedelta(minutes=1))
    append_labels(path, [Label(A, "gender", "Male")], "ben")
    append_labels(path, [Label(B, "age_bin", None)], "Ana B.", now=NOW + timedelta(minutes=2))
    assert path.read_bytes().startswith(before)
    assert labels_by(path, "Ana B.").rows() == [(A, "gender", "Female")]
    read = read_manual_labels(path)
    assert read.rejected.is_empty()
    assert read.history.height == 5
    assert read.history["labelled_at"][0] == NOW
    assert labels_by(tmp_path / "absent.csv", "ben").is_empty()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_of_ones_own_keeps_its_columns(tmp_path: Path, end: str) -> None:
    path = tmp_path / "manual_labels.csv"
    mine = f"﻿note;annotator;value;Attribute;image_id;labelled_at\nx;ana;Male;gender;{A};2026-11-20T10:00:00Z{end}"
    path.write_bytes(mine.encode())
    append_labels(path, [Label(B, "ethnicity", "East Asian")], "O'Hara", now=NOW)
    assert path.read_bytes().startswith(mine.encode())
    read = read_manual_labels(path)
    assert read.rejected.is_empty()
    assert read.frame.select("image_id", "value", "annotator").rows() == [
        (A, "Male", "ana"),
        (B, "East Asian", "O'Hara"),
    ]


@pytest.mark.parametrize("name", ["", " ", "=cmd", "+x", "@x", "a;b", 'a"b', "a\nb", "a,b", "x" * 61])
def test_names_that_a_table_cannot_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="letter or digit"):
        append_labels(tmp_path / "m.csv", [Label(A, "gender", "Male")], name)
    assert not (tmp_path / "m.csv").exists()
    assert check_annotator(" Zoë-2 ") == "Zoë-2"


@pytest.mark.parametrize(
    "label", [Label(A, "gender", "male"), Label(A, "height", "tall"), Label(A, "gender", "unknown")]
)
def test_values_outside_the_vocabulary(tmp_path: Path, label: Label) -> None:
    with pytest.raises(ValueError, match="is not a label of"):
        append_labels(tmp_path / "m.csv", [label], "ana")
    assert not (tmp_path / "m.csv").exists()


def test_files_that_cannot_be_added_to_stay_as_they_are(tmp_path: Path) -> None:
    for name, content in (("columns", b"image_id,value\n"), ("latin", "annotator\xe9\n".encode("latin-1"))):
        path = tmp_path / f"{name}.csv"
        path.write_bytes(content)
        with pytest.raises(LabelsError, match=name):
            append_labels(path, [Label(A, "gender", "Male")], "ana")
        assert path.read_bytes() == content


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda i: append_labels(path, [Label(f"{i:032x}", "gender", "Male")], f"rater {i % 4}"), range(40))
        )
    read = read_manual_labels(path)
    assert read.rejected.is_empty()
    assert read.frame.height == 40


def test_a_label_of_an_extra_attribute_is_written_where_the_catalogue_has_it(tmp_path: Path) -> None:
    path, label = tmp_path / "m.csv", Label(A, "glasses", "no glasses")
    with pytest.raises(ValueError, match="not a label of 'glasses'"):
        append_labels(path, [label], "ana")
    append_labels(path, [label], "ana", catalogue=WITH_GLASSES)
    assert labels_by(path, "ana", WITH_GLASSES)["value"].to_list() == ["no glasses"]
    assert labels_by(path, "ana").is_empty(), "without the attribute, the line says nothing"
