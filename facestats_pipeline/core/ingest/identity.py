"""Identity of a photo: an id computed from its bytes, and a file name stored as valid Unicode."""

import errno
import hashlib
import os
from pathlib import Path

IMAGE_ID_LENGTH = 32


# Errors of the machine, not of a photo: it has run out of file handles or memory.
_MACHINE_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class PhotoChanged(Exception):
    """The file's content changed after it was listed."""


class PhotosUnavailable(Exception):
    """No photo can be read, for a reason outside the photos. The run must stop instead of rejecting them one by one."""


def image_id(data: bytes) -> str:
    """First 32 hexadecimal digits of the SHA-256 of a file's bytes: equal bytes are the same image."""
    return hashlib.sha256(data).hexdigest()[:IMAGE_ID_LENGTH]


def encode_filename(path: str) -> str:
    """Encode a path as valid Unicode, reversibly: a backslash becomes `\\\\`, a byte that is not UTF-8 becomes `\\xNN`.

    Valid Unicode without a backslash stays unchanged. `path` is a result of `os.fsdecode`, which maps such bytes to lone surrogates;
    Parquet and JSON cannot store those.
    """
    if "\\" not in path and path.isascii():
        return path
    text = path.replace("\\", "\\\\")
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


def decode_filename(name: str) -> str:
    """The inverse of `encode_filename`."""
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
    """The bytes of a listed photo.

    Raises OSError when the file cannot be read or its name or link leads out of `root` (links can change after the listing), PhotoChanged
    when the bytes do not match `expected_id`, and PhotosUnavailable when `root` is gone or the machine is out of memory or file handles.
    """
    path = root / decode_filename(filename)
    # Checked at every read, not only when listing: a folder or link may have been replaced since.
    inside = os.path.realpath(root)
    if os.path.commonpath([os.path.realpath(path), inside]) != inside:
        raise PermissionError(errno.EPERM, "it leads out of the photo folder")
    try:
        data = path.read_bytes()
    except OSError as error:
        if error.errno in _MACHINE_ERRORS:
            raise PhotosUnavailable(f"photos cannot be read now: {error.strerror}") from None
        if not root.is_dir():
            raise PhotosUnavailable(
                f"the photo folder {root} is gone; bring it back and run again: finished work is kept"
            ) from None
        raise
    if expected_id is not None and image_id(data) != expected_id:
        raise PhotoChanged("the file changed after it was listed; the next run takes it as a new photo")
    return data
