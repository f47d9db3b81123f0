"""The recipe in the footer of a Parquet file, also of an object of which only the end is read."""

import io
from pathlib import Path
from typing import Any

import polars as pl

from facestats_pipeline.io.remote import Remote

FOOTER_KEY = "facestats"
_TAIL = 64 * 2**10  # bytes: holds the footer of a shard of our tables (2 to 20 KiB)
DAMAGED = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises on a damaged Parquet file; the second is no Exception."""
_TRAILER = 8  # bytes: length of the footer, and "PAR1"


def footer_recipe(footer: Any) -> str:
    """The recipe's JSON in pyarrow's file metadata. Raises KeyError where there is none."""
    text: bytes = (footer.metadata or {})[FOOTER_KEY.encode()]
    return text.decode()


def local_recipe(path: Path) -> str:
    """The recipe's JSON in a Parquet file. Raises KeyError where there is none, ValueError for what is no such file, OSError for no file.

    By Polars, which takes 66 µs for a table of 90 columns where pyarrow takes 472.
    """
    try:
        return pl.read_parquet_metadata(path)[FOOTER_KEY]
    except DAMAGED as error:
        raise ValueError(f"{path} is no Parquet file: {error}") from None


def remote_footer(remote: Remote, name: str, size: int) -> Any:
    """pyarrow's metadata of an object of `size` bytes. Raises ValueError for what is no Parquet file."""
    import pyarrow.parquet as pq

    tail = remote.tail(name, _TAIL, size=size)
    length = int.from_bytes(tail[-_TRAILER:-4], "little") + _TRAILER
    if tail[-4:] != b"PAR1" or length > size:
        raise ValueError(f"{name} is no Parquet file")
    if length > len(tail):
        tail = remote.tail(name, length, size=size)
    return pq.read_metadata(io.BytesIO(tail))  # type: ignore[no-untyped-call]
