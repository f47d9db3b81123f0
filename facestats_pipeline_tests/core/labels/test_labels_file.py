from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from facestats_pipeline.core.labels.labels_file import (
    LABELS_SCHEMA,
    Labels,
    LabelsError,
    canonical_value,
    labels_from_scut,
    labels_from_utkface,
    read_labels,
)
from facestats_pipeline_tests.classes import AGE_BINS, ETHNICITIES, GENDERS, WITH_GLASSES
from facestats_pipeline_tests.examples import examples


def read(folder: Path, data: str | bytes) -> Labels:
    path = folder / "labels.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_labels(path)


def test_fairface_columns(tmp_path: Path) -> None:
    labels = read(
        tmp_path, "file,age,gender,race,service_test\ntrain/1.jpg,50-59,Male,East Asian,True\ntrain/2.jpg,,,,\n"
    )
    assert labels.frame.rows(named=True)[0] == {
        "file": "train/1.jpg",
        "gender": "Male",
        "ethnicity": "East Asian",
        "age_bin": "50-59",
        "age": None,
        "group": None,
    }
    assert labels.frame.row(1)[1:] == (None,) * 5
    assert not labels.warnings
    assert labels.rejected.is_empty()
    assert labels.provenance.kind == "human"
    assert len(labels.provenance.sha256) == 64


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffile,age,gender,race\r\na b.jpg,34,f,white\r\n",
        'FileName;Age;SEX;Ethnicity\n"a b.jpg";34,0;Female;caucasian\n',
        "image\tage\tgender\trace\na b.jpg\t34\tWoman\tWHITE\n",
        '\n\n"Image Path"|Age_Years|Gender|Race\n a b.jpg |34|female|White\n\n',
    ],
)
def test_dialects(tmp_path: Path, text: str) -> None:
    frame = read(tmp_path, text).frame
    assert frame.row(0) == ("a b.jpg", "Female", "White", "30-39", 34.0, None)


def test_utf16_and_latin1(tmp_path: Path) -> None:
    text = "file,gender\ncafé.jpg,Male\n"
    assert read(tmp_path, text.encode("utf-16")).frame["file"][0] == "café.jpg"
    latin = read(tmp_path, text.encode("latin-1"))
    assert latin.frame["file"][0] == "café.jpg"
    assert "Latin-1" in latin.warnings[0]


def test_mangled_ages_are_repaired_with_one_counted_warning(tmp_path: Path) -> None:
    cells = ["9-Mar", "03-Sep", "3-Sep", "2003-09-01", "19-Oct", "Oct-19", "3-9"]
    labels = read(tmp_path, "file,age\n" + "".join(f"{i}.jpg,{c}\n" for i, c in enumerate(cells)))
    assert labels.frame["age_bin"].to_list() == ["3-9"] * 4 + ["10-19"] * 2 + ["3-9"]
    assert len(labels.warnings) == 1
    assert labels.warnings[0].startswith("6 age(s)")


def test_bad_cells_cost_the_cell_only(tmp_path: Path) -> None:
    labels = read(
        tmp_path, "file,age,gender,race\n1.jpg,twelve,Male,Martian\n2.jpg,20-29,1,Asian\n3.jpg,25,M,east_asian/white\n"
    )
    assert labels.frame["gender"].to_list() == ["Male", None, "Male"]
    assert labels.frame["ethnicity"].null_count() == 3
    reasons = {(r["row"], r["column"]): r["reason"] for r in labels.rejected.iter_rows(named=True)}
    assert set(reasons) == {(2, "age"), (2, "ethnicity"), (3, "gender"), (3, "ethnicity"), (4, "ethnicity")}
    assert "mixed" in reasons[4, "ethnicity"]
    assert "two of the classes" in reasons[3, "ethnicity"]
    assert "a number" in reasons[3, "gender"]


def test_unknown_is_no_label_and_no_error(tmp_path: Path) -> None:
    labels = read(tmp_path, "file,gender,race\n1.jpg,unknown,N/A\n")
    assert labels.frame.row(0)[1:3] == (None, None)
    assert labels.rejected.is_empty()


def test_repeated_rows_merge_and_contradictions_cancel(tmp_path: Path) -> None:
    labels = read(
        tmp_path, "file,age,gender\na.jpg,,Male\na.jpg,34,Male\nb.jpg,20,Male\nb.jpg,20,Female\nb.jpg,20,Male\n"
    )
    assert labels.frame.rows(named=True)[0]["age"] == 34.0
    assert labels.frame.filter(pl.col("file") == "b.jpg").row(0)[1] is None
    assert labels.frame.filter(pl.col("file") == "b.jpg")["age"][0] == 20
    assert labels.rejected.height == 1
    assert "another row says 'Male'" in labels.rejected["reason"][0]
    assert labels.warnings == ["3 row(s) repeat a file and were merged with its first row"]


def test_years_decide_over_a_bin_that_disagrees(tmp_path: Path) -> None:
    labels = read(tmp_path, "file,age,age_years\n1.jpg,20-29,41\n2.jpg,70+,75\n")
    assert labels.frame.select("age_bin", "age").rows() == [("40-49", 41.0), ("more than 70", 75.0)]
    assert labels.rejected.select("row", "column").rows() == [(2, "age")]


def test_a_person_column_becomes_the_group(tmp_path: Path) -> None:
    assert read(tmp_path, "file,gender,identity\n1.jpg,Male,007\n").frame["group"][0] == "007"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \r\n\r\n", "empty"),
        (b"\xff\xd8\xff\xe0 not text at all \x00\x01", "no 'file' column"),
        (b"a,b,c\n1,2,3\n", "no 'file' column"),
        (b"file,gender\n", "no usable row"),
        (b"file,colour\n1.jpg,red\n", "no labels"),
        (b"file,gender,sex\n1.jpg,Male,Male\n", "both mean 'gender'"),
        (b"file,gender,gender_p\n1.jpg,Male,0.9\n", "a model made this table"),
        (b"file,race,race_scores_fair\n1.jpg,White,[0.1]\n", "a model made this table"),
    ],
)
def test_one_clear_error(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(LabelsError, match=r"labels\.csv") as caught:
        read(tmp_path, data)
    assert message in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="no such file"):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(LabelsError, match="cannot be read"):
        read_labels(tmp_path)


def test_rows_that_a_model_labelled_are_rejected(tmp_path: Path) -> None:
    labels = read(tmp_path, "file,gender,source\n1.jpg,Male,annotator 3\n2.jpg,Male,predicted\n")
    assert labels.frame["file"].to_list() == ["1.jpg"]
    assert "made by a model" in labels.rejected["reason"][0]


def test_a_row_with_too_many_cells_is_rejected(tmp_path: Path) -> None:
    labels = read(tmp_path, "file,gender\na,b.jpg,Male\nc.jpg,Female\nshort.jpg\n")
    assert labels.frame["file"].to_list() == ["c.jpg", "short.jpg"]
    assert labels.rejected["row"].to_list() == [2]


FRAGMENTS = st.sampled_from(
    [
        "file",
        "age",
        "gender",
        "race",
        ",",
        ";",
        "\t",
        "\n",
        "\r\n",
        '"',
        "a.jpg",
        "9-Mar",
        "34",
        "Male",
        "White",
        "\x00",
        "\ufeff",
        "é",
    ]
)


@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.lists(FRAGMENTS, max_size=60).map(lambda p: "".join(p).encode())))
@example(b"file,age\n" + b'"' * 200)
@example(b"file,gender\r\x00.jpg,Male\r")
@example(b"\xff\xfef")
def test_hostile_bytes_give_labels_or_one_error(tmp_path: Path, data: bytes) -> None:
    try:
        labels = read(tmp_path, data)
    except LabelsError as error:
        assert "labels.csv" in str(error)
        return
    assert dict(labels.frame.schema) == LABELS_SCHEMA
    assert labels.frame["file"].is_unique().all()
    assert set(labels.frame["gender"].drop_nulls()) <= set(GENDERS)
    assert set(labels.frame["ethnicity"].drop_nulls()) <= set(ETHNICITIES)
    assert set(labels.frame["age_bin"].drop_nulls()) <= set(AGE_BINS)


def test_utkface_names() -> None:
    names = [
        "26_1_0_2017.jpg",
        "61_1_2017.jpg",
        "x/24_0_2_20170116220224657 .jpg.chip.jpg",
        " 3_0_4_2017.jpg",
        "me.jpg",
        "999_1_1_1.jpg",
    ]
    labels = labels_from_utkface(names)
    rows = {
        r["file"]: (r["gender"], r["ethnicity"], r["age_bin"], r["age"]) for r in labels.frame.iter_rows(named=True)
    }
    assert rows == {
        names[0]: ("Female", "White", "20-29", 26.0),
        names[1]: (None, None, "60-69", 61.0),
        names[2]: ("Male", "East Asian", "20-29", 24.0),
        names[3]: ("Male", None, "3-9", 3.0),
    }
    assert labels.rejected["row"].to_list() == [2, 5, 6]
    assert len(labels.warnings) == 2


def test_scut_names_and_list(tmp_path: Path) -> None:
    assert labels_from_scut(["AF1.jpg", "CM7.jpg", "dog.jpg"]).rejected["row"].to_list() == [3]
    labels = read(tmp_path, "AF1.jpg 3.2\nCM7.jpg 2.85\n")
    assert labels.frame.select("gender", "ethnicity").rows() == [("Female", "East Asian"), ("Male", "White")]


def test_canonical_value() -> None:
    assert canonical_value("age_bin", "34") == "30-39"
    assert canonical_value("gender", "w") == "Female"
    assert canonical_value("ethnicity", "Martian") is None
    with pytest.raises(ValueError, match="shoe size"):
        canonical_value("shoe size", "44")


def test_the_real_tables(shared_data: Path) -> None:
    london = read_labels(shared_data / "london" / "labels.csv")
    assert london.frame.height == 204
    assert london.frame["group"].n_unique() == 102
    assert any("'west asian' read as 'Middle Eastern'" in w for w in london.warnings)
    assert set(london.rejected["value"]) == {"east_asian/white"}
    fairface = read_labels(shared_data / "fairface_photos" / "labels.csv")
    assert fairface.frame.select("gender", "ethnicity", "age_bin").null_count().row(0) == (0, 0, 0)
    assert fairface.rejected.is_empty()


def test_a_column_of_an_extra_attribute_is_read_where_the_catalogue_has_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,gender,GLASSES\na.jpg,Male,No_glasses\nb.jpg,,monocle\nc.jpg,,\n")
    labels = read_labels(path, WITH_GLASSES)
    assert labels.frame.columns == ["file", "gender", "ethnicity", "age_bin", "age", "glasses", "group"]
    assert labels.frame["glasses"].to_list() == ["no glasses", None, None]
    assert labels.rejected.select("column", "reason").rows() == [
        ("glasses", "unknown word; expected no glasses, glasses")
    ]
    assert "glasses" not in read_labels(path).frame.columns
    path.write_text("file,glasses,glasses_p\na.jpg,glasses,0.9\n")
    with pytest.raises(LabelsError, match="'glasses_p' shows that a model made this table"):
        read_labels(path, WITH_GLASSES)
