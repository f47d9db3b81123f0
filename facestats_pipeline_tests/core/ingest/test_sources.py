"""Where photos come from: the longest path decides, cell by cell; and the one filter on it."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.ingest.sources import Sources, read_sources
from facestats_pipeline.core.ingest.usage import DEFAULT_USE, UsageError, check_conditions, usable
from facestats_pipeline.core.user_files.text_table import LabelsError

TABLE = """path,source,licence,consent
.,Studio,CC BY 4.0,
london/,London Set,,yes
london/images/7.jpg,,,no
"quoted, folder",Attic,,
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "sources.csv"
    path.write_text(text)
    return path


def test_the_longest_path_decides_cell_by_cell(tmp_path: Path) -> None:
    sources = read_sources(written(tmp_path, TABLE), {"source": "settings", "licence": None, "consent": "by settings"})
    assert sources.of("a.jpg") == {"source": "Studio", "licence": "CC BY 4.0", "consent": "by settings"}
    assert sources.of("london/images/8.jpg") == {"source": "London Set", "licence": "CC BY 4.0", "consent": "yes"}
    assert sources.of("london/images/7.jpg") == {"source": "London Set", "licence": "CC BY 4.0", "consent": "no"}
    assert sources.of("londoner.jpg")["source"] == "Studio"  # a folder's name is no prefix of a file's
    assert sources.of("quoted, folder/x/y.jpg")["source"] == "Attic"


def test_without_a_table_the_settings_hold() -> None:
    given = {"source": None, "licence": "CC0-1.0", "consent": None}
    assert Sources(otherwise=given).of("any/where.jpg") == given
    assert Sources().of("a.jpg") == {"source": None, "licence": None, "consent": None}


def test_rows_without_effect_are_found(tmp_path: Path) -> None:
    sources = read_sources(written(tmp_path, TABLE + "Londn,,,no\n,,,no\n"))
    assert sources.unused_rows(["london/images/7.jpg", "a.jpg"]) == [5, 6]
    assert sources.rejected.rows() == [(7, "path", "", "no path; `.` is the whole folder")]


def test_windows_paths_and_other_words_for_columns(tmp_path: Path) -> None:
    sources = read_sources(written(tmp_path, "Folder;License;Consent\n.\\in\\here\\;MIT;withdrawn\n"))
    assert sources.of("in/here/a.jpg") == {"source": None, "licence": "MIT", "consent": "withdrawn"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("path,colour\na,red\n", "no column source, licence or consent"),
        ("where,consent\na,no\n", "no 'path' column"),
        ("path,consent\na,no\na/,yes\n", "rows 2 and 3 have the same path"),
    ],
)
def test_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelsError, match=r"sources\.csv") as caught:
        read_sources(written(tmp_path, text))
    assert message in str(caught.value)


PHOTOS = pl.DataFrame(
    {
        "name": ["a", "b", "c", "d"],
        "source": ["London Set", "Studio (1)", None, "london"],
        "licence": ["CC BY 4.0", "public domain", "", "cc by 4.0"],
        "consent": ["yes", "No", None, "withdrawn"],
    }
)


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ([], "abcd"),
        (DEFAULT_USE, "ac"),
        (["consent!=no"], "acd"),
        (["consent=yes"], "a"),
        (["consent!="], "abd"),
        (["consent="], "c"),
        (["licence = CC BY 4.0 | Public Domain"], "abd"),
        (["license=CC*"], "ad"),
        (["source=*london*"], "ad"),
        (["source=Studio (1)"], "b"),
        (["source=studio .1."], ""),
        (["source!=london", "licence=CC BY 4.0"], "a"),
    ],
)
def test_photos_that_satisfy_every_condition(conditions: list[str], names: str) -> None:
    assert "".join(PHOTOS.filter(usable(conditions))["name"]) == names
    assert PHOTOS.select(used=usable(conditions))["used"].null_count() == 0


@given(st.text(max_size=30), st.lists(st.text(max_size=10), max_size=4))
def test_a_value_is_found_by_itself_and_by_nothing_that_it_is_not(value: str, others: list[str]) -> None:
    plain = value.replace("|", "").replace("*", "")
    frame = pl.DataFrame({"source": [plain, *others, None]}, schema={"source": pl.String})
    found = frame.select(found=usable([f"source={plain}"]))["found"].to_list()
    assert found[0]
    assert [not f for f in found] == frame.select(found=usable([f"source!={plain}"]))["found"].to_list()


@pytest.mark.parametrize("text", ["consent", "consent:no", "gender=Female", "=no", ""])
def test_a_condition_that_cannot_be_read_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(UsageError, match="consent!=no"):
        check_conditions([text])
