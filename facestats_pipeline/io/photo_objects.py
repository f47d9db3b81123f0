"""Photos under a URI, listed and read as those of a folder are."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from facestats_pipeline.core.ingest.identity import PhotoChanged, PhotosUnavailable, decode_filename, image_id
from facestats_pipeline.core.ingest.photo_source import Found, is_clutter, regular_file
from facestats_pipeline.io.remote import Entry, Remote, StorageUnavailable


@dataclass(frozen=True)
class PhotoObjects:
    """Photos below one URI. An object whose ETag has changed is read again, as a file with another time is."""

    remote: Remote

    def __str__(self) -> str:
        return str(self.remote)

    def available(self) -> bool:
        """Whether there is anything at all: a bucket has no empty folders."""
        return next(self.remote.walk(), None) is not None

    def listed(self, *, max_bytes: int) -> list[Found]:
        """Every object, in the order of a folder's files. Raises OSError when the store does not answer."""
        return sorted(self.scan(max_bytes=max_bytes), key=lambda found: decode_filename(found.filename).split("/"))

    def scan(self, *, max_bytes: int, after: str = "") -> Iterator[Found]:
        """Every object in the store's own order; on S3, page after page from `after` on."""
        for name, entry in self.remote.walk(after=decode_filename(after)):
            if not any(is_clutter(part) for part in name.split("/")):
                yield regular_file(name, entry.size, _stamp(entry), max_bytes)

    def read(self, filename: str, expected_id: str | None = None, *, size: int | None = None) -> bytes:
        """The bytes of an object.

        Raises FileNotFoundError where it is gone, PhotoChanged when two looks at it agree that its bytes are not those of `expected_id`,
        PhotosUnavailable when the store does not answer: a photo is not set aside because a network fails.
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
    """A number that changes with the ETag, for the column where a file's time would be."""
    return int.from_bytes(hashlib.sha256(entry.etag.encode()).digest()[:8], "big") >> 1
