import csv
import io

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.metadata.csv_export import FORMULA_STARTS, csv_bytes, csv_safe


def test_cells_that_a_spreadsheet_would_run_are_neutralised() -> None:
    names = [
        "=1+1.jpg",
        "+1.jpg",
        "-1.jpg",
        "@sum.jpg",
        "\t=1.jpg",
        "\r=1.jpg",
        "＝1.jpg",
        "plain.jpg",
        "a=b.jpg",
        None,
    ]
    safe = csv_safe(pl.DataFrame({"filename": names}))["filename"].to_list()
    assert safe[:7] == [f"'{name}" for name in names[:7]]
    assert safe[7:] == ["plain.jpg", "a=b.jpg", None]


def test_numbers_keep_their_sign_and_lists_become_text() -> None:
    frame = pl.DataFrame(
        {"yaw": [-3.5], "reasons": [["=evil", "dark"]], "kind": pl.Series(["-x"], dtype=pl.Categorical)}
    )
    safe = csv_safe(frame)
    assert safe.row(0) == (-3.5, "'=evil; dark", "'-x")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), max_size=8))
def test_every_cell_of_the_file_is_safe_and_nothing_else_changes(names: list[str]) -> None:
    frame = pl.DataFrame(
        {"n": list(range(len(names))), "filename": names}, schema={"n": pl.Int64, "filename": pl.String}
    )
    rows = list(csv.reader(io.StringIO(csv_bytes(frame).decode(), newline="")))
    assert rows[0] == ["n", "filename"]
    for name, (_, cell) in zip(names, rows[1:], strict=True):
        assert not cell.startswith(FORMULA_STARTS)
        assert cell.removeprefix("'") == name.removeprefix("'") or cell == name
