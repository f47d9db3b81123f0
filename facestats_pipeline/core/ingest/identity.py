"""What a photo is called: its id from its bytes, its file name as text that any table can hold."""

import errno
import hashlib
import os
from pathlib import Path

IMAGE_ID_LENGTH = 32


_OF_THE_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class PhotoChanged(Exception):
    """The file no longer holds the bytes that it was listed with."""


class PhotosUnavailable(Exception):
    """No photo can be read now, for a reason that lies with none of them: the run has to stop, not set them aside."""


def image_id(data: bytes) -> str:
    """First 32 hexadecimal characters of the SHA-256 of a file's bytes: the same bytes are the same image."""
    return hashlib.sha256(data).hexdigest()[:IMAGE_ID_LENGTH]


def encode_filename(path: str) -> str:
    """A path as valid Unicode, reversibly: a byte that is not UTF-8 becomes `\\xNN`, and then a backslash becomes `\\\\`.

    Names of plain Unicode without a backslash are unchanged. `path` is as `os.fsdecode` gives it.
    """
    if "\\" not in path and path.isascii():
        return path
    text = path.replace("\\", "\\\\")
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


def decode_filename(name: str) -> str:
    """The path that `encode_filename` was given."""
    out = bytearray()
    position = 0
    while position < len(name):
        if name[position] != "\\":
            out += name[position].encode()
            position += 1
        elif name[position + 1 : position + 2] == "x":
            out.append(int(name[position + 2 : position + 4], 16))
            position += 4
        else:
            out += b"\\"
            position += 2
    return os.fsdecode(bytes(out))


def read_photo(root: Path, filename: str, expected_id: str | None = None) -> bytes:
    """The bytes of a listed photo. Raises OSError, or PhotoChanged when they are not those of `expected_id`.

    A name or a link that leads out of `root` is an OSError too, whenever it came to do so. PhotosUnavailable when `root` itself has gone
    or the machine is out of memory or open files.
    """
    path = root / decode_filename(filename)
    inside = os.path.realpath(root)
    if os.path.commonpath([os.path.realpath(path), inside]) != inside:
        raise PermissionError(errno.EPERM, "it leads out of the photo folder")
    try:
        data = path.read_bytes()
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise PhotosUnavailable(f"photos cannot be read now: {error.strerror}") from None
        if not root.is_dir():
            raise PhotosUnavailable(
                f"the photo folder {root} is gone; bring it back and run again: what was done stays"
            ) from None
        raise
    if expected_id is not None and image_id(data) != expected_id:
        raise PhotoChanged("the file changed after it was listed; the next run takes it as a new photo")
    return data
