"""CSV export that is safe to open in a spreadsheet.

A photo may be called `=HYPERLINK("http://…").jpg`. Spreadsheets run a cell as a formula if it starts with certain characters. Such cells
get a leading apostrophe, which makes spreadsheets show them as text.
Source: OWASP, "CSV Injection" (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import polars as pl

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Characters that start a formula, including the full-width forms that East Asian locales treat alike."""

LIST_SEPARATOR = "; "


def csv_safe(frame: pl.DataFrame) -> pl.DataFrame:
    """Prefix every text cell that a spreadsheet would run as a formula with `'`; columns and rows stay the same.

    Columns of `list[str]` become text joined by `"; "`, because CSV has no lists. Categorical and enum columns become text. Numbers stay
    unchanged, because a negative number is not a formula.
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
    """`csv_safe(frame)` as UTF-8 CSV; nulls become empty cells, times ISO 8601. `header`: whether to write the header line."""
    return csv_safe(frame).write_csv(None, include_header=header, datetime_format="%Y-%m-%dT%H:%M:%S%z").encode()
