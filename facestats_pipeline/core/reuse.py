"""Incremental tables: rows from an earlier run are reused, only new rows are computed."""

from collections.abc import Callable

import polars as pl

from facestats_pipeline.core.tables import KEYS

KEY = list(KEYS)


def with_reuse(
    previous: pl.DataFrame | None, wanted: pl.DataFrame, make: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """A table over the rows of `wanted`, in their order, with reused and new rows.

    `previous`: an earlier table with the columns that `make` returns, made by the same recipe (the caller checks that). Rows with the
    same image_id and filename are reused.
    `make(rest)`: computes the rows of `wanted` (all its columns) that are not in `previous`. It may leave rows out.
    """
    keys = wanted.select(KEY)
    if previous is None or previous.is_empty():
        made = make(wanted)
    else:
        kept = previous.join(keys, on=KEY, how="semi")
        rest = wanted.join(kept, on=KEY, how="anti", maintain_order="left")
        made = kept if rest.is_empty() else pl.concat([kept, make(rest).select(kept.columns)], how="vertical_relaxed")
    return (
        keys.with_row_index("_order")
        .join(made, on=KEY, how="inner", maintain_order="left")
        .drop("_order")
        .select(made.columns)
    )
