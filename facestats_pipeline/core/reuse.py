"""Do only what is new: rows that an earlier run made in the same way are taken over."""

from collections.abc import Callable

import polars as pl

from facestats_pipeline.core.tables import KEYS

KEY = list(KEYS)


def with_reuse(
    previous: pl.DataFrame | None, wanted: pl.DataFrame, make: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """One table over the rows of `wanted`, in their order.

    `previous`: an earlier table with the columns that `make` gives; only rows of the same image_id and filename are kept.
    `make(rest)`: called with the rows of `wanted` (all its columns) that are not in `previous`; it may leave rows out.
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
