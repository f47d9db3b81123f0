"""FairFace, UTKFace and LFW as they are found in the wild: mangled ages, names with a part missing, files that do not belong."""

from pathlib import Path

import pytest

from facestats_pipeline.core.labels.labels_file import read_labels
from facestats_pipeline.core.labels.published_sets import PublishedSet, read_fairface, read_lfw, read_utkface
from facestats_pipeline.core.user_files.text_table import LabelsError


def put(folder: Path, *names: str) -> Path:
    """Files that are there; readers look at names alone."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"photo")
    return folder


def reasons(found: PublishedSet) -> dict[str, str]:
    return {row["value"]: row["reason"] for row in found.rejected.iter_rows(named=True)}


def test_fairface_with_ages_that_a_spreadsheet_mangled(tmp_path: Path) -> None:
    names = [f"train/{i}.jpg" for i in range(1, 8)] + ["val/1.jpg", "val/2.jpg"]
    put(tmp_path / "fairface-img-margin025-trainval", *names)
    put(tmp_path, "readme.txt")
    (tmp_path / "fairface_label_train.csv").write_text(
        "file,age,gender,race,service_test\ntrain/1.jpg,9-Mar,Male,White,True\ntrain/2.jpg,03-Sep,Female,Black,False\n"
        "train/3.jpg,19-Oct,Male,East Asian,True\ntrain/4.jpg,Oct-19,Female,Latino_Hispanic,True\n"
        "train/5.jpg,more than 70,Female,Indian,True\ntrain/6.jpg,12-Dec,robot,White,True\ntrain/99.jpg,0-2,Male,White,True\n"
    )
    (tmp_path / "fairface_label_val.csv").write_text(
        "file,age,gender,race,service_test\nval/1.jpg,30-39,Male,Middle Eastern,True\nval/2.jpg,,Female,Southeast Asian,True\n"
    )
    found = read_fairface(tmp_path)
    assert found.photos == 9
    table = {
        Path(row["file"]).relative_to("fairface-img-margin025-trainval").as_posix(): row
        for row in found.labels.to_dicts()
    }
    assert {name: row["age"] for name, row in table.items()} == {
        "train/1.jpg": "3-9", "train/2.jpg": "3-9", "train/3.jpg": "10-19", "train/4.jpg": "10-19", "train/5.jpg": "more than 70",
        "train/6.jpg": None, "val/1.jpg": "30-39", "val/2.jpg": None,
    }  # fmt: skip
    assert (table["train/6.jpg"]["gender"], table["train/6.jpg"]["race"]) == (None, "White"), (
        "one bad cell costs that cell"
    )
    why = reasons(found)
    assert "unknown word" in why["robot"] and "not an age" in why["12-Dec"]
    assert why["train/99.jpg"] == "no such photo below the folder"
    assert any("4 age(s) that a spreadsheet had turned into dates" in note for note in found.notes)
    assert any("1 photos have no row" in note for note in found.notes), "train/7.jpg"
    assert found.licence == "CC BY 4.0"


def test_fairface_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="no such folder"):
        read_fairface(tmp_path / "nowhere")
    with pytest.raises(LabelsError, match="no photos below it"):
        read_fairface(tmp_path)
    put(tmp_path, "train/1.jpg")
    with pytest.raises(LabelsError, match=r"no label table below it \(fairface_label_train\.csv"):
        read_fairface(tmp_path)
    (tmp_path / "fairface_label_val.csv").write_text("file,age\nval/1.jpg,0-2\n")
    with pytest.raises(LabelsError, match="none of the 1 labelled photos is below it"):
        read_fairface(tmp_path)


def test_two_copies_of_fairface_are_told_apart_or_refused_row_by_row(tmp_path: Path) -> None:
    put(tmp_path, "margin025/train/1.jpg", "margin125/train/1.jpg", "margin025/train/2.jpg")
    (tmp_path / "fairface_label_train.csv").write_text("file,gender\ntrain/1.jpg,Male\ntrain/2.jpg,Female\n")
    found = read_fairface(tmp_path)
    assert found.labels.to_dicts() == [{"file": "margin025/train/2.jpg", "gender": "Female"}]
    assert "two photos may be meant" in reasons(found)["train/1.jpg"]


def test_utkface_names(tmp_path: Path) -> None:
    put(
        tmp_path / "UTKFace",
        "26_1_3_20170104235650633.jpg.chip.jpg",
        "part2/8_0_0_20170110.jpg",
        "39_1_20170116174525125.jpg.chip.jpg",
        "61_ 0_2_20170109.jpg",
        "holiday.jpg",
        "200_1_0_2017.jpg",
        "30_1_4_2017.png",
        "30_3_0_2017.jpg",
        "notes.txt",
    )
    found = read_utkface(tmp_path)
    table = {Path(row["file"]).name: (row["age"], row["gender"], row["race"]) for row in found.labels.to_dicts()}
    assert table == {
        "26_1_3_20170104235650633.jpg.chip.jpg": ("26", "Female", "Indian"),
        "8_0_0_20170110.jpg": ("8", "Male", "White"),
        "39_1_20170116174525125.jpg.chip.jpg": ("39", None, None),
        "61_ 0_2_20170109.jpg": ("61", "Male", "East Asian"),
        "30_1_4_2017.png": ("30", "Female", None),
        "30_3_0_2017.jpg": ("30", None, None),
    }
    assert found.photos == 8
    why = {Path(name).name: reason for name, reason in reasons(found).items()}
    assert set(why) == {"39_1_20170116174525125.jpg.chip.jpg", "holiday.jpg", "200_1_0_2017.jpg", "30_3_0_2017.jpg"}
    assert "only the age is used" in why["39_1_20170116174525125.jpg.chip.jpg"]
    assert "not a UTKFace name" in why["200_1_0_2017.jpg"]
    found.labels.write_csv(tmp_path / "labels.csv")
    again = read_labels(tmp_path / "labels.csv")
    assert again.rejected.is_empty() and again.frame.filter(age=26)["age_bin"].to_list() == ["20-29"]
    with pytest.raises(LabelsError, match="none of its 1 photos is named like UTKFace's"):
        read_utkface(put(tmp_path / "other", "me.jpg"))


def test_lfw_keeps_who_it_is_for_folds_alone(tmp_path: Path) -> None:
    put(
        tmp_path,
        "lfw/Ana_Maria_1/Ana_Maria_1_0001.jpg",
        "lfw/Ana_Maria_1/Ana_Maria_1_0002.jpg",
        "lfw/Bo/Bo_0001.jpg",
        "lfw/Bo/Ana_Maria_1_0003.jpg",
        "lfw/loose.jpg",
        "lfw/pairs.txt",
    )
    found = read_lfw(tmp_path)
    assert found.labels.columns == ["file", "identity"]
    assert found.labels.rows() == [
        ("lfw/Ana_Maria_1/Ana_Maria_1_0001.jpg", "Ana_Maria_1"),
        ("lfw/Ana_Maria_1/Ana_Maria_1_0002.jpg", "Ana_Maria_1"),
        ("lfw/Bo/Bo_0001.jpg", "Bo"),
    ]
    why = reasons(found)
    assert why["lfw/loose.jpg"].startswith("not an LFW name")
    assert "is not the person of the name" in why["lfw/Bo/Ana_Maria_1_0003.jpg"]
    assert any("in no other table and in no export" in note for note in found.notes)
    found.labels.write_csv(tmp_path / "labels.csv")
    frame = read_labels(tmp_path / "labels.csv").frame
    assert frame["group"].to_list() == ["Ana_Maria_1", "Ana_Maria_1", "Bo"]
    with pytest.raises(LabelsError, match="none of its 1 photos lies as LFW's do"):
        read_lfw(put(tmp_path / "other", "me.jpg"))
