"""Preprocessed photos in an object store: one Parquet file of JPEG bytes per shard instead of one object per photo.

Object stores charge time and money per object, not per byte. Locally a shard is unpacked into a folder of JPEGs, so that readers open
the same files as without packing.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from facestats_pipeline.io.mirror import Mirror

SCHEMA = pa.schema([("image_id", pa.string()), ("jpeg", pa.binary())])
_ROWS = 64  # photos per row group: about 3 MB in memory, whatever the shard's size


class PictureShards:
    """The JPEGs of `folder` (relative to the mirror's URI), packed as `<folder>/<shard>.parquet`.

    `read_recipe(mirror, name)` reads the recipe from a Parquet footer.
    """

    def __init__(self, mirror: Mirror, folder: str, read_recipe: Callable[[Mirror, str], str]) -> None:
        self._mirror = mirror
        self._folder = folder
        self._read_recipe = read_recipe
        self._writing: set[str] = set()

    def recipe(self, shard: str) -> str | None:
        """The recipe of a shard's pack as JSON; None when there is no pack."""
        try:
            return self._read_recipe(self._mirror, self._name(shard))
        except (FileNotFoundError, KeyError, ValueError, pa.ArrowException):
            return None

    def begin(self, shard: str) -> None:
        """Start writing a shard. Until `put`, the local folder is not replaced by the uploaded pack."""
        if shard not in self._writing:
            self._mirror.forget_note(self._note(shard))  # after a crash, the folder is not taken for an unpacked pack
            self._writing.add(shard)

    def put(self, shard: str, image_ids: set[str], metadata: Mapping[str, str]) -> int:
        """Pack and upload the JPEGs of these images. Removes the other local JPEGs and returns their number."""
        self.unpack(shard)
        self.begin(shard)
        gone = [path for path in self._here(shard).glob("*.jpg") if path.stem not in image_ids]
        for path in gone:
            path.unlink()
        packed = self._mirror.temporary()
        try:
            with pq.ParquetWriter(packed, SCHEMA.with_metadata(metadata), compression="none") as writer:
                ordered = sorted(image_ids)
                for start in range(0, len(ordered), _ROWS):
                    ids = ordered[start : start + _ROWS]
                    jpegs = [(self._here(shard) / f"{image_id}.jpg").read_bytes() for image_id in ids]
                    writer.write_table(pa.table([ids, jpegs], SCHEMA.with_metadata(metadata)))
            entry = self._mirror.put_file(packed, self._name(shard))
        finally:
            packed.unlink(missing_ok=True)
        self._mirror.keep_note(self._note(shard), entry.etag, "unpacked")
        self._writing.discard(shard)
        return len(gone)

    def unpack(self, shard: str) -> None:
        """Make the local folder hold exactly the JPEGs of the shard's pack."""
        if shard in self._writing:
            return
        entry = self._mirror.entry(self._name(shard))
        if entry is None:
            return
        known = self._mirror.note_of(self._note(shard))
        if known is not None and known[0] == entry.etag:
            return
        packed = self._mirror.temporary()
        try:
            entry = self._mirror.download(self._name(shard), packed)
            self._unpack(packed, self._here(shard))
        finally:
            packed.unlink(missing_ok=True)
        self._mirror.keep_note(self._note(shard), entry.etag, "unpacked")

    def drop(self, shard: str) -> None:
        """Remove a shard's local unpacked JPEGs."""
        self._writing.discard(shard)
        self._mirror.forget_note(self._note(shard))
        shutil.rmtree(self._here(shard), ignore_errors=True)

    def _unpack(self, packed: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        wanted = set()
        with pq.ParquetFile(packed) as file:
            for batch in file.iter_batches(_ROWS):
                for image_id, jpeg in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if PurePath(image_id).name != image_id:  # checked because it becomes a file name
                        raise ValueError(f"a file of JPEGs in {self._folder} names an image {image_id[:40]!r}")
                    temporary = (
                        self._mirror.temporary()
                    )  # renamed into place, because another process may be reading the file
                    temporary.write_bytes(jpeg)
                    temporary.replace(folder / f"{image_id}.jpg")
                    wanted.add(f"{image_id}.jpg")
        for path in folder.iterdir():
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _name(self, shard: str) -> str:
        return f"{self._folder}/{shard}.parquet"

    def _note(self, shard: str) -> str:
        return f"{self._folder}/{shard}/"

    def _here(self, shard: str) -> Path:
        return self._mirror.path(self._folder) / shard
