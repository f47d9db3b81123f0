"""A cache of small decoded photos for eigenfaces: the next run reads only new photos."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from facestats_pipeline.core.images.decoding import ImageProblem, preprocess_image
from facestats_pipeline.core.progress import track

SIDE = 96
PHOTOS_A_PART = 256
_SCHEMA = pa.schema([("image_id", pa.string()), ("pixels", pa.binary(SIDE * SIDE * 3))])


@dataclass(frozen=True)
class SmallPhotos:
    """Photos of SIDE × SIDE px.

    Attributes:
        image_ids: ids of the readable photos.
        pixels: (n, SIDE² · 3) u8, RGB.
        version: version of preprocessing; photos of another version are not reused.
    """

    image_ids: list[str]
    pixels: NDArray[np.uint8]
    version: str

    @classmethod
    def none(cls, version: str) -> "SmallPhotos":
        """An empty cache."""
        return cls([], np.empty((0, SIDE * SIDE * 3), np.uint8), version)

    def parts(self) -> list[NDArray[np.uint8]]:
        """The pixels in parts of at most `PHOTOS_A_PART`, each (m, SIDE, SIDE, 3) u8."""
        starts = range(0, len(self.pixels), PHOTOS_A_PART)
        return [self.pixels[start : start + PHOTOS_A_PART].reshape(-1, SIDE, SIDE, 3) for start in starts]


def add_small(
    earlier: SmallPhotos, image_ids: Sequence[str], load: Callable[[str], Image.Image | Path | bytes], version: str
) -> SmallPhotos:
    """The photos of `image_ids`, from `earlier` if it has them in the same version, else loaded. Unreadable photos are left out."""
    known = {one: row for row, one in enumerate(earlier.image_ids)} if earlier.version == version else {}

    def rows() -> Iterator[tuple[str, NDArray[np.uint8]]]:
        new = [one for one in image_ids if one not in known]
        for one in image_ids:
            if one in known:
                yield one, earlier.pixels[known[one]]
        for one in track(new, "Reading faces for eigenfaces"):
            try:
                yield one, np.asarray(preprocess_image(load(one), size=SIDE), dtype=np.uint8).reshape(-1)
            except (ImageProblem, OSError):
                continue

    photos = dict(rows())
    ids = sorted(photos)  # a fixed order: the parts, and with them the rounding of eigenfaces, do not depend on arrival
    return SmallPhotos(ids, np.stack([photos[one] for one in ids]) if ids else SmallPhotos.none("").pixels, version)


def write_small(photos: SmallPhotos, path: Path) -> None:
    """Write the cache as Parquet."""
    schema = _SCHEMA.with_metadata({"version": photos.version})
    rows = pa.Table.from_pydict(
        {"image_id": photos.image_ids, "pixels": [row.tobytes() for row in photos.pixels]}, schema=schema
    )
    pq.write_table(rows, path, compression="zstd", use_dictionary=False)


def read_small(path: Path) -> SmallPhotos:
    """Read a file written by `write_small`. Raises OSError, and ValueError for other content."""
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as damage:
        raise ValueError(f"{path}: cannot be read ({damage})") from None
    if not table.schema.equals(_SCHEMA):
        raise ValueError(f"{path}: not a file of small photos")
    pixels = np.frombuffer(b"".join(table["pixels"].to_pylist()), np.uint8).reshape(-1, SIDE * SIDE * 3)
    version = (table.schema.metadata or {}).get(b"version", b"").decode()
    return SmallPhotos(table["image_id"].to_pylist(), pixels, version)
