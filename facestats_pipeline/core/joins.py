"""How tables are brought to a fixed schema and joined by image, without losing or repeating a row unnoticed."""

from collections.abc import Mapping, Sequence

import polars as pl

from facestats_pipeline.core.tables import Column, Schema, schema_of


class MergeError(ValueError):
    """Tables that do not fit together: a table lists an image twice, or a join changed the number of rows."""


def conform(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """`frame` with exactly the columns, order and dtypes of `schema`: missing columns are null, others are dropped.

    Raises polars' InvalidOperationError when a value does not fit its dtype: a wrong value is not turned into null.
    """
    if frame.width == 0:
        return pl.DataFrame(schema=schema)
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def join_taken(left: pl.DataFrame, right: pl.DataFrame | None, columns: Sequence[Column]) -> pl.DataFrame:
    """`left` with `columns`, which another table takes over from the one that `right` holds, under their names there.

    As `left_join`; ValueError for columns that come from several tables.
    """
    sources = [column.sources for column in columns]
    if len({table for source in sources for table, _ in source}) != 1 or {len(source) for source in sources} != {1}:
        raise ValueError(f"{', '.join(column.name for column in columns)} are not taken over from one table")
    old = {column.name: column.sources[0][1] for column in columns}
    if right is not None and right.width:
        there = [pl.col(name).alias(new) for new, name in old.items() if name in right.columns]
        right = right.select("image_id", *there)
    return left_join(left, right, schema_of(columns), f"{columns[0].sources[0][0]}.parquet")


def left_join(left: pl.DataFrame, right: pl.DataFrame | None, columns: Schema, table: str) -> pl.DataFrame:
    """`left` with `columns` of `right` by image_id: same rows in the same order; null where `right` lacks a row, column or all.

    Raises MergeError, naming `table` and how many, when `right` lists an image more than once.
    """
    if right is None:
        return left.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in columns.items())
    wanted = conform(right, {"image_id": pl.String(), **columns})
    require_unique(wanted, table)
    # The usual case: the same rows in the same order need no hash table.
    if wanted["image_id"].equals(left["image_id"]):
        return left.hstack(wanted.drop("image_id"))
    return left.join(wanted, on="image_id", how="left", maintain_order="left")


def rows_about(table: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The rows of `table` that are about an image of `images`: what a shard needs of a table over the whole collection."""
    return table.join(images.select("image_id"), on="image_id", how="semi", maintain_order="left")


def require_unique(frame: pl.DataFrame, table: str) -> None:
    """Raise MergeError when `frame` lists an image_id twice or a null one; the message counts and names no image."""
    repeated = frame.height - frame["image_id"].n_unique()
    missing = frame["image_id"].null_count()
    if repeated or missing:
        what = f"{repeated} rows that repeat an image_id" if repeated else f"{missing} rows without an image_id"
        raise MergeError(f"{table} has {what} among its {frame.height} rows: materialize it again")
