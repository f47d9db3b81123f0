"""Table specifications: columns with dtype, description and sources, and the storage path.

Each table is specified once, in a light module `<something>_table.py` beside the code that makes it. Storage paths, Dagster's column schema
and lineage, docs/tables.md, joins and the places that erasure visits all derive from the specification (`table_registry.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import polars as pl

Schema = dict[str, pl.DataType]
"""Column name → dtype, in column order."""

Source = tuple[str, str]
"""(table, column)."""

Kind = Literal["shards", "table", "file"]
"""`shards`: one Parquet file per shard. `table`: a single Parquet file. `file`: one of several files of an asset."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        description: one line without a full stop: meaning, unit, range, and when it is null.
        sources: the columns of other tables that it is made from; empty for a column made from photos or user files.
    """

    name: str
    dtype: pl.DataType
    description: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table of the pipeline.

    Attributes:
        name: the asset that makes it.
        path: relative to `processed/`; for a sharded table, a folder with one Parquet file per shard.
        columns: the columns, in the order in which they are written.
        kind: how it is stored.
        rows_by: columns of other tables that decide which rows exist, in addition to the sources of `image_id`.

    Raises ValueError when two columns share a name, and when a sharded table lacks `image_id`, since erasure could not find a person in it.
    """

    name: str
    path: str
    columns: tuple[Column, ...]
    kind: Kind = "shards"
    rows_by: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the table {self.name} has two columns of one name: {', '.join(twice)}")
        if self.kind == "shards" and "image_id" not in names:
            raise ValueError(f"the sharded table {self.name} needs a column image_id, by which erasure finds its rows")

    @cached_property
    def schema(self) -> Schema:
        """Column name → dtype."""
        return schema_of(self.columns)

    @cached_property
    def descriptions(self) -> dict[str, str]:
        """Column name → description."""
        return {column.name: column.description for column in self.columns}

    @cached_property
    def lineage(self) -> dict[str, tuple[Source, ...]]:
        """Column name → the columns that it is made from."""
        return {column.name: column.sources for column in self.columns}

    @cached_property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """Other table → the columns of it that this table reads, with `image_id` for the join.

        Readers load these columns only. Embeddings and landmarks, most of the bytes, then stay on the disk.
        """
        wanted: dict[str, dict[str, None]] = {}
        for table, name in (*self.rows_by, *(source for column in self.columns for source in column.sources)):
            wanted.setdefault(table, {"image_id": None})[name] = None
        return {table: tuple(names) for table, names in wanted.items()}

    def column(self, name: str) -> Column:
        """The column `name`. Raises KeyError with the table's name and its columns."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r}; it has {', '.join(self.schema)}")

    def sources(self, *names: str) -> tuple[Source, ...]:
        """Columns of this table as `sources` of another table's column. Raises KeyError for an unknown column."""
        return tuple((self.name, self.column(name).name) for name in names)

    def taken(self, *names: str, **renamed: str) -> tuple[Column, ...]:
        """Columns for another table that copies them from this one, with dtype, description and lineage.

        `renamed`: name there → name here.
        """
        same = [replace(self.column(name), sources=self.sources(name)) for name in names]
        others = [
            Column(new, self.column(old).dtype, f"{self.column(old).description} ({old} of {self.name})", self.sources(old))
            for new, old in renamed.items()
        ]  # fmt: skip
        return (*same, *others)

    @property
    def content(self) -> tuple[Column, ...]:
        """All columns except KEYS, for another table that copies them (`taken`)."""
        return self.taken(*(name for name in self.schema if name not in KEYS))

    def taken_from(self, table: str) -> tuple[Column, ...]:
        """The columns that this table copies from `table`, except KEYS."""
        return tuple(
            column for column in self.columns if [source for source, _ in column.sources] == [table] and column.name not in KEYS
        )  # fmt: skip

    @property
    def keys(self) -> tuple[Column, ...]:
        """`image_id` and `filename` for a table whose rows come from this one."""
        return tuple(replace(column, sources=self.sources(column.name)) for column in (IMAGE_ID, FILENAME))


IMAGE_ID = Column("image_id", pl.String(), "first 32 hexadecimal digits of the SHA-256 of the file's bytes")
FILENAME = Column("filename", pl.String(), "path of the photo below the raw folder")


def schema_of(columns: Iterable[Column]) -> Schema:
    """Column name → dtype."""
    return {column.name: column.dtype for column in columns}


KEYS: Schema = schema_of((IMAGE_ID, FILENAME))
"""The columns that identify a row, in every table with one row per image."""
