"""Joins by image and casts to a fixed schema. A join that would lose or repeat a row raises an error."""

from collections.abc import Mapping, Sequence

import polars as pl

from facestats_pipeline.core.tables import Column, Schema, schema_of


class MergeError(ValueError):
    """Tables cannot be joined: one lists an image twice, or a join changed the number of rows."""


def conform(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """`frame` with exactly the columns, order and dtypes of `schema`. Missing columns become null, extra ones are dropped.

    Raises polars' InvalidOperationError when a value does not fit its dtype, instead of turning it into null.
    """
    # `pl.DataFrame()` stands for no rows; adding literal columns to it would give one row.
    if frame.width == 0:
        return pl.DataFrame(schema=schema)
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def join_taken(left: pl.DataFrame, right: pl.DataFrame | None, columns: Sequence[Column]) -> pl.DataFrame:
    """`left_join` of columns that a table specification takes over from one other table, renamed as the specification says.

    `right` is that other table, under its own column names. Raises ValueError when `columns` come from several tables, and MergeError
    as `left_join` does.
    """
    sources = [column.sources for column in columns]
    if len({table for source in sources for table, _ in source}) != 1 or {len(source) for source in sources} != {1}:
        raise ValueError(f"{', '.join(column.name for column in columns)} are not taken over from one table")
    source_name = {column.name: column.sources[0][1] for column in columns}
    if right is not None and right.width:
        present = [pl.col(name).alias(new) for new, name in source_name.items() if name in right.columns]
        right = right.select("image_id", *present)
    return left_join(left, right, schema_of(columns), f"{columns[0].sources[0][0]}.parquet")


def left_join(left: pl.DataFrame, right: pl.DataFrame | None, columns: Schema, table: str) -> pl.DataFrame:
    """Add `columns` of `right` to `left` by image_id. Rows and order of `left` stay; missing rows, columns or a missing `right` give null.

    Raises MergeError, with the name `table` and a count, when `right` repeats an image_id or has a null one.
    """
    if right is None:
        return left.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in columns.items())
    wanted = conform(right, {"image_id": pl.String(), **columns})
    require_unique(wanted, table)
    # Usually both tables have the same rows in the same order: that needs no hash join.
    if wanted["image_id"].equals(left["image_id"]):
        return left.hstack(wanted.drop("image_id"))
    return left.join(wanted, on="image_id", how="left", maintain_order="left")


def rows_about(table: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The rows of `table` whose image is in `images`: the part of a collection-wide table that a shard needs."""
    return table.join(images.select("image_id"), on="image_id", how="semi", maintain_order="left")


def require_unique(frame: pl.DataFrame, table: str) -> None:
    """Raise MergeError when `frame` repeats an image_id or has a null one.

    The message has counts only: ids identify people and must not reach the logs.
    """
    repeated = frame.height - frame["image_id"].n_unique()
    missing = frame["image_id"].null_count()
    if repeated or missing:
        what = f"{repeated} rows that repeat an image_id" if repeated else f"{missing} rows without an image_id"
        raise MergeError(f"{table} has {what} among its {frame.height} rows: materialize it again")
