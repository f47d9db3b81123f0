"""A photo source under a URI, with the interface of a folder of photos."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from facestats_pipeline.core.ingest.identity import PhotoChanged, PhotosUnavailable, decode_filename, image_id
from facestats_pipeline.core.ingest.photo_source import Found, is_clutter, regular_file
from facestats_pipeline.io.remote import Entry, Remote, StorageUnavailable


@dataclass(frozen=True)
class PhotoObjects:
    """Photos below one URI. A changed ETag takes the place of a changed modification time."""

    remote: Remote

    def __str__(self) -> str:
        return str(self.remote)

    def available(self) -> bool:
        """Whether there is any object: a bucket has no empty folders."""
        return next(self.remote.walk(), None) is not None

    def listed(self, *, max_bytes: int) -> list[Found]:
        """Every object, in the same order as the files of a folder. Raises OSError when the store does not answer."""
        return sorted(self.scan(max_bytes=max_bytes), key=lambda found: decode_filename(found.filename).split("/"))

    def scan(self, *, max_bytes: int, after: str = "") -> Iterator[Found]:
        """Every object after the name `after`, in the store's order; on S3 one page at a time."""
        for name, entry in self.remote.walk(after=decode_filename(after)):
            if not any(is_clutter(part) for part in name.split("/")):
                yield regular_file(name, entry.size, _stamp(entry), max_bytes)

    def read(self, filename: str, expected_id: str | None = None, *, size: int | None = None) -> bytes:
        """The bytes of an object.

        Raises FileNotFoundError when it is gone, PhotoChanged when two reads agree on content with another id than `expected_id`, and
        PhotosUnavailable when the store does not answer. A network failure is not the photo's fault, so it fails the run.
        """
        name = decode_filename(filename)
        try:
            data = self.remote.read(name, size=size)
            if expected_id is None or image_id(data) == expected_id:
                return data
            again = self.remote.read(name)
        except StorageUnavailable as error:
            if size is not None and self._has_other_size(name, size):
                raise PhotoChanged(
                    "the photo was replaced while it was read; the next run takes it as a new one"
                ) from None
            raise PhotosUnavailable(str(error)) from None
        if image_id(again) == expected_id:
            return again
        if again != data:
            raise PhotosUnavailable(f"{self} gives other bytes each time that a photo is read")
        raise PhotoChanged("the file changed after it was listed; the next run takes it as a new photo")

    def _has_other_size(self, name: str, size: int) -> bool:
        try:
            entry = self.remote.entry(name)
        except StorageUnavailable:
            return False
        return entry is not None and entry.size != size


def _stamp(entry: Entry) -> int:
    """An integer that changes with the ETag; it stands in the column of a file's modification time."""
    return int.from_bytes(hashlib.sha256(entry.etag.encode()).digest()[:8], "big") >> 1
