"""Sums behind composites, kept from one run to the next, so that new photos are added to them and no other is read again.

Sums are exact whole numbers: what goes on from one is bit for bit what all photos give. A sum of a thousand photos shows nobody, but the
difference of two sums may, so they belong to the data folder and are removed with the composites wherever a photo is erased.
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
"""Goes up when photos enter sums in another way than before, for a reason that `way` does not know."""
FEWEST_KEPT = 100
"""Sums of fewer photos are not kept: those photos are read again in a moment, and a sum is a file of about a megabyte at 512 px."""
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
    """A sum over photos.

    Attributes:
        way: digest of all that decides how a photo enters the sum; it may only be continued in the same way.
        ids: image ids of the photos in it.
        total: (size, size, 3) u32.
    """

    way: str
    ids: frozenset[str]
    total: NDArray[Any]


def way_of(moving: bytes, version: str) -> str:
    """The `way` of a sum: how photos are moved, and `version`, which changes with the photos and landmarks of an image id."""
    return hashlib.sha256(b"\0".join((str(FORM).encode(), version.encode(), moving))).hexdigest()


def write_sums(sums: Mapping[str, KeptSum], path: Path) -> None:
    """Write sums by name as Parquet, one row group each."""
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
    """What `write_sums` wrote. Raises OSError, and ValueError for a file that holds something else."""
    try:
        table = pq.read_table(path)
        if table.schema != _SCHEMA:
            raise ValueError(f"{path}: these are no sums of composites")
        found = {}
        for row in range(len(table)):
            values = {name: table[name][row] for name in ("name", "way", "image_ids", "size")}
            known = {name: value.as_py() for name, value in values.items()}
            total = table["total"][row].values.to_numpy().reshape(known["size"], known["size"], 3)
            found[known["name"]] = KeptSum(known["way"], frozenset(known["image_ids"]), np.asarray(total, np.uint32))
    except pa.ArrowInvalid as damage:
        raise ValueError(f"{path}: cannot be read ({damage})") from None
    return found
