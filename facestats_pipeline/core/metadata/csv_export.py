"""CSV files that a spreadsheet can open without running anything.

A photo may be called `=HYPERLINK("http://…").jpg`. Spreadsheets take a cell that starts with one of a few characters for a formula,
so every text cell that does is given a leading apostrophe, which they show as plain text.
Source: OWASP, "CSV Injection" (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import polars as pl

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that start a formula, with the full-width forms that East Asian spreadsheet locales read the same way."""

LIST_SEPARATOR = "; "


def csv_safe(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with every text cell that a spreadsheet would read as a formula prefixed by `'`; same columns, same rows.

    Columns of `list[str]` become text joined by `"; "`, because CSV has no lists. Numbers are left alone: a negative number is
    not a formula. Categorical and enum columns become text.
    """
    columns = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if dtype == pl.List(pl.String):
            column = column.list.join(LIST_SEPARATOR)
        elif dtype in (pl.Categorical, pl.Enum):
            column = column.cast(pl.String)
        elif dtype != pl.String:
            columns.append(column)
            continue
        starts = pl.any_horizontal(column.str.starts_with(start) for start in FORMULA_STARTS)
        columns.append(pl.when(starts).then(pl.lit("'") + column).otherwise(column).alias(name))
    return frame.select(columns)


def csv_bytes(frame: pl.DataFrame, *, header: bool = True) -> bytes:
    """`csv_safe(frame)` as UTF-8 CSV with a header line; nulls are empty cells, times are ISO 8601."""
    return csv_safe(frame).write_csv(None, include_header=header, datetime_format="%Y-%m-%dT%H:%M:%S%z").encode()
