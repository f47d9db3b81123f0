"""A cache of the sums behind composites: the next run reads only the photos that joined or left a group.

Sums are exact integers, so a continued sum equals the sum of all photos bit for bit. A sum over many photos identifies nobody, but the
difference of two sums may show one photo. The cache therefore stays in the data folder and is removed with the composites on erasure.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FORM = 1
"""Version of the summation. Increase it when photos enter sums differently for a reason that `way` does not cover."""
FEWEST_KEPT = 100
"""Smallest group whose sum is cached: fewer photos are quickly read again, and a sum takes about a megabyte at 512 px."""
_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("way", pa.string()),
        ("image_ids", pa.list_(pa.string())),
        ("size", pa.int32()),
        ("total", pa.list_(pa.uint32())),
    ]
)


@dataclass(frozen=True)
class KeptSum:
    """A cached sum over photos.

    Attributes:
        way: digest of everything that affects how a photo enters the sum; only a sum with the same digest may be continued.
        ids: image ids of the photos in it.
        total: (size, size, 3) u32.
    """

    way: str
    ids: frozenset[str]
    total: NDArray[Any]


def way_of(moving: bytes, version: str) -> str:
    """The digest `way` of a sum. `moving`: how photos are moved. `version`: of preprocessing, which determines photos and landmarks."""
    return hashlib.sha256(b"\0".join((str(FORM).encode(), version.encode(), moving))).hexdigest()


def write_sums(sums: Mapping[str, KeptSum], path: Path) -> None:
    """Write named sums as Parquet, one row group each."""
    # Byte-stream split groups the bytes of equal significance: neighbouring pixels share the upper ones, so zstd compresses them well.
    with pq.ParquetWriter(
        path, _SCHEMA, compression="zstd", use_dictionary=False, use_byte_stream_split=["total.list.element"]
    ) as writer:
        for name, one in sums.items():
            row = {
                "name": name,
                "way": one.way,
                "image_ids": sorted(one.ids),
                "size": len(one.total),
                "total": one.total.ravel(),
            }
            writer.write_table(pa.Table.from_pydict({key: [value] for key, value in row.items()}, schema=_SCHEMA))


def read_sums(path: Path) -> dict[str, KeptSum]:
    """Read a file written by `write_sums`. Raises OSError, and ValueError for other content."""
    try:
        table = pq.read_table(path)
        if table.schema != _SCHEMA:
            raise ValueError(f"{path}: not a file of composite sums")
        sums = {}
        for row in range(len(table)):
            values = {name: table[name][row] for name in ("name", "way", "image_ids", "size")}
            known = {name: value.as_py() for name, value in values.items()}
            total = table["total"][row].values.to_numpy().reshape(known["size"], known["size"], 3)
            sums[known["name"]] = KeptSum(known["way"], frozenset(known["image_ids"]), np.asarray(total, np.uint32))
    except pa.ArrowInvalid as damage:
        raise ValueError(f"{path}: cannot be read ({damage})") from None
    return sums
