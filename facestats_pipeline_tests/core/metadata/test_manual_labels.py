from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.metadata.manual_label_file import HISTORY_SCHEMA
from facestats_pipeline.core.metadata.manual_labels import (
    AGREEMENT_SCHEMA,
    RESOLVED_SCHEMA,
    ManualLabels,
    read_manual_labels,
)
from facestats_pipeline.core.metadata.manual_table import attributes_with_manual, manual_table
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline_tests.classes import WITH_GLASSES
from facestats_pipeline_tests.core import small_shards as shard

HEADER = "image_id,attribute,value,annotator,labelled_at"
ID = shard.image_id(0)


def labels(tmp_path: Path, *lines: str, header: str = HEADER, **options: object) -> ManualLabels:
    path = tmp_path / "manual_labels.csv"
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    return read_manual_labels(path, **options)  # type: ignore[arg-type]


def line(n: int, attribute: str, value: str, annotator: str, minute: int) -> str:
    return f"{shard.image_id(n)},{attribute},{value},{annotator},2026-11-20T14:{minute:02}:00Z"


def value_of(found: ManualLabels, n: int = 0, attribute: str = "gender") -> str | None:
    row = found.frame.filter(pl.col("image_id") == shard.image_id(n), pl.col("attribute") == attribute)
    value: str | None = row["value"].item()
    return value


def test_one_label(tmp_path: Path) -> None:
    found = labels(tmp_path, line(0, "gender", "Male", "ana", 3))
    assert found.frame.rows() == [(ID, "gender", "Male", "ana", datetime(2026, 11, 20, 14, 3, tzinfo=UTC), 1, 1)]
    assert found.rejected.is_empty()


def test_the_majority_decides_and_names_who_voted_for_it(tmp_path: Path) -> None:
    votes = [("Male", "ben"), ("Female", "eve"), ("Male", "ana")]
    found = labels(tmp_path, *(line(0, "gender", value, who, i) for i, (value, who) in enumerate(votes)))
    row = found.frame.row(0, named=True)
    assert (row["value"], row["annotator"], row["votes"], row["annotators"]) == ("Male", "ana; ben", 2, 3)


def test_a_tie_has_no_value_and_is_reported(tmp_path: Path) -> None:
    found = labels(tmp_path, line(0, "gender", "Male", "ben", 1), line(0, "gender", "Female", "ana", 2))
    assert value_of(found) is None
    assert found.frame["annotator"].to_list() == ["ana; ben"]
    assert found.agreement.filter(pl.col("attribute") == "gender")["ties"].item() == 1
    table = attributes_with_manual(shard.attributes(1), found)
    assert table.select("manual_gender", "manual_disputed").row(0) == (None, ["gender"])


def test_an_annotator_has_one_vote_the_latest(tmp_path: Path) -> None:
    found = labels(
        tmp_path,
        line(0, "gender", "Female", "ana", 9),
        line(0, "gender", "Male", "ana", 1),
        line(0, "gender", "Male", "ana", 2),
    )
    assert value_of(found) == "Female"
    assert found.history["value"].to_list() == ["Female", "Male", "Male"], "nothing is overwritten"
    assert found.history["counts"].to_list() == [True, False, False]


def test_of_two_labels_at_the_same_time_the_later_line_counts(tmp_path: Path) -> None:
    found = labels(tmp_path, line(0, "gender", "Female", "ana", 1), line(0, "gender", "Male", "ana", 1))
    assert value_of(found) == "Male"


def test_unknown_withdraws_the_annotators_own_label(tmp_path: Path) -> None:
    lines = [
        line(0, "gender", "Female", "ana", 1),
        line(0, "gender", "Male", "ben", 1),
        line(0, "gender", "unknown", "ana", 2),
    ]
    assert value_of(labels(tmp_path, *lines)) == "Male"
    assert labels(tmp_path, lines[0], lines[2]).frame.is_empty()


def test_words_and_times_are_understood(tmp_path: Path) -> None:
    found = labels(
        tmp_path,
        f"{ID.upper()},Race,latino hispanic,ana,2026-11-20 15:00+01:00",
        f"{ID},age,70+,ana,2026-11-20",
        f"{ID},gender,woman,ana,2026-11-20T09:30",
        header="image_id;attribute;value;annotator;labelled_at".replace(";", ","),
    )
    rows = found.frame.select("attribute", "value", "labelled_at").rows()
    assert rows == [
        ("age_bin", "more than 70", datetime(2026, 11, 20, tzinfo=UTC)),
        ("ethnicity", "Latino_Hispanic", datetime(2026, 11, 20, 14, tzinfo=UTC)),
        ("gender", "Female", datetime(2026, 11, 20, 9, 30, tzinfo=UTC)),
    ]


def test_semicolons_a_byte_order_mark_and_other_columns_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "manual_labels.csv"
    rows = ["labelled_at;note;annotator;value;attribute;image_id", f"2026-11-20;a, b;ana;Male;gender;{ID}", ""]
    path.write_bytes("\r\n".join(rows).encode("utf-8-sig"))
    assert value_of(read_manual_labels(path)) == "Male"


@pytest.mark.parametrize(
    ("bad", "column", "reason"),
    [
        ("photo.jpg,gender,Male,ana,2026-11-20", "image_id", "not an image id"),
        (f"{shard.image_id(9)},gender,Male,ana,2026-11-20", "image_id", "no image of the collection"),
        (f"{ID},hair,Male,ana,2026-11-20", "attribute", "not one of gender, ethnicity, age_bin"),
        (f"{ID},gender,White,ana,2026-11-20", "value", "not a label of gender: Female, Male"),
        (f"{ID},ethnicity,Asian,ana,2026-11-20", "value", "not a label of ethnicity"),
        (f"{ID},age_bin,old,ana,2026-11-20", "value", "not an age"),
        (f"{ID},gender,,ana,2026-11-20", "value", "empty"),
        (f"{ID},gender,Male,,2026-11-20", "annotator", "empty"),
        (f"{ID},gender,Male,ana,20/11/2026", "labelled_at", "not a time"),
        (f"{ID},gender,Male,ana,", "labelled_at", "not a time"),
        (f"{ID},gender,Male,ana,0001-01-01T00:00:00+14:00", "labelled_at", "not a time"),
        (f"{ID},gender,Male", "", "3 cells under 5 columns"),
        (f"{ID},gender,Male,ana,2026-11-20,more", "", "6 cells under 5 columns"),
        (f'{ID},gender,"Male,ana,2026-11-20', "", "quotation mark"),
    ],
)
def test_a_bad_line_is_rejected_alone(tmp_path: Path, bad: str, column: str, reason: str) -> None:
    good = line(0, "gender", "Male", "ana", 1)
    found = labels(tmp_path, good, bad, line(1, "gender", "Male", "ana", 1), known_ids={ID, shard.image_id(1)})
    assert found.history["row"].to_list() == [2, 4], "the lines before and after it count"
    assert found.rejected.select("row", "column").rows() == [(3, column)]
    assert reason in found.rejected["reason"].item()


def test_without_a_list_of_images_any_id_will_do(tmp_path: Path) -> None:
    assert labels(tmp_path, line(77, "gender", "Male", "ana", 1)).frame.height == 1


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("image_id,attribute,value", "no column annotator, labelled_at"),
        (f"{HEADER},value", "two columns value"),
        ("\0\1", "no column"),
    ],
)
def test_a_file_without_the_columns_is_named(tmp_path: Path, header: str, problem: str) -> None:
    with pytest.raises(LabelsError, match=rf"manual_labels\.csv: {problem}"):
        labels(tmp_path, header=header)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"nothing\.csv: cannot be read"):
        read_manual_labels(tmp_path / "nothing.csv")


@pytest.mark.parametrize("content", [b"", b"\n\n", HEADER.encode()])
def test_a_file_without_labels_has_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manual_labels.csv"
    path.write_bytes(content)
    found = read_manual_labels(path)
    assert found.frame.schema == pl.Schema(RESOLVED_SCHEMA)
    assert found.history.schema == pl.Schema({**HISTORY_SCHEMA, "counts": pl.Boolean()})
    assert found.agreement.schema == pl.Schema(AGREEMENT_SCHEMA)
    assert (found.frame.height, found.rejected.height, found.agreement["images"].sum()) == (0, 0, 0)


@given(st.binary(max_size=300))
def test_no_bytes_under_the_header_raise(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "manual_labels.csv"
    path.write_bytes(HEADER.encode() + b"\n" + junk)
    found = read_manual_labels(path)
    assert found.frame.schema == pl.Schema(RESOLVED_SCHEMA)


def test_agreement_counts_and_alpha(tmp_path: Path) -> None:
    votes = {"ana": "MMMFFF", "ben": "MMMFFM", "eve": "MM...."}
    words = {"M": "Male", "F": "Female"}
    lines = [
        line(i, "gender", words[v], who, 1) for who, values in votes.items() for i, v in enumerate(values) if v != "."
    ]
    found = labels(tmp_path, *lines, line(9, "gender", "Male", "ana", 1))
    row = found.agreement.row(0, named=True)
    assert row.pop("alpha") == pytest.approx(1 - 13 * 2 / (14**2 - 9**2 - 5**2))
    assert row == {"attribute": "gender", "annotators": 3, "images": 7, "images_labelled_twice": 6, "ties": 1}
    assert found.agreement["alpha"].to_list()[1:] == [None, None]


def test_the_table_keeps_every_row_and_joins_what_belongs_to_it(tmp_path: Path) -> None:
    found = labels(
        tmp_path,
        line(1, "gender", "Male", "ben", 5),
        line(1, "age_bin", "3-9", "ana", 7),
        line(1, "age_bin", "3-9", "ben", 6),
        line(5, "gender", "Male", "ana", 1),
    )
    table = attributes_with_manual(shard.attributes(3), found)
    assert table["image_id"].to_list() == [shard.image_id(i) for i in range(3)]
    assert table["manual_gender"].to_list() == [None, "Male", None]
    assert table["manual_age_bin"].to_list() == [None, "3-9", None]
    assert table["annotator"].to_list() == [None, "ana; ben", None]
    assert table["labelled_at"].to_list()[1] == datetime(2026, 11, 20, 14, 7, tzinfo=UTC)
    assert table["manual_disputed"].to_list() == [[], [], []]
    assert table["gender"].to_list() == ["Female"] * 3, "what the model said stays beside it"


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize("given_labels", [True, False])
def test_the_schema_is_constant(tmp_path: Path, n: int, given_labels: bool) -> None:
    manual = labels(tmp_path, line(0, "gender", "Male", "ana", 1)) if given_labels else None
    table = attributes_with_manual(shard.attributes(n), manual)
    assert table.schema == pl.Schema(manual_table().schema)
    assert table.height == n


@pytest.mark.parametrize(
    ("attribute", "value", "read_as"),
    [
        ("glasses", "No_Glasses", "no glasses"),
        ("glasses", "White", None),
        ("hair", "White", None),
        ("race", "white", "White"),
    ],
)
def test_a_value_is_read_as_one_of_its_own_attribute(
    tmp_path: Path, attribute: str, value: str, read_as: str | None
) -> None:
    found = labels(tmp_path, line(0, attribute, value, "ana", 1), catalogue=WITH_GLASSES)
    assert found.frame["value"].to_list() == ([read_as] if read_as else [])
    assert found.rejected.height == (read_as is None)
    assert found.agreement["attribute"].to_list() == ["gender", "ethnicity", "age_bin", "glasses"]
