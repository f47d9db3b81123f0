"""The few parts of TIFF's tag directories that FaceStats reads itself: EXIF orientation, page count, and a tidy first directory.

Pillow reports odd tags with `warnings.warn`, and Python 3.11 has no way to silence a warning in one thread only. So the tags that a
picture's pixels do not need are taken out of a copy of the bytes before Pillow sees them; then there is nothing to warn about.
Layout: TIFF 6.0, section 2 (Adobe 1992); BigTIFF as in libtiff. EXIF is a TIFF directory after the six bytes `Exif\\0\\0`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION = 274
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_ONE_VALUE = frozenset({256, 257, 259, 262, 266, ORIENTATION, 277, 278, 284, 317, 322, 323})
_LISTS = frozenset({258, 273, 279, 320, 324, 325, 338, 339, 347, 529, 530, 532})
_PIXEL_TAGS = _ONE_VALUE | _LISTS  # size, layout, compression, colours: all that decoding needs
_IGNORED = 65535  # an unregistered tag id; Pillow keeps such a tag and does nothing with it
_MAX_PAGES = 10_000


class BrokenTags(ValueError):
    """The directory points outside the file or is cut short."""


@dataclass(frozen=True)
class _Layout:
    order: str  # "<" or ">", as struct wants it
    big: bool  # BigTIFF: 8-byte offsets and counts

    @property
    def entry_bytes(self) -> int:
        return 20 if self.big else 12


@dataclass(frozen=True)
class Tag:
    """One directory entry: its own position in the file, what it says, and where its values lie."""

    position: int
    tag: int
    type: int
    count: int
    value_at: int
    value_bytes: int


def _unpack(data: bytes, fmt: str, at: int) -> int:
    try:
        value: int = struct.unpack_from(fmt, data, at)[0]
    except (struct.error, OverflowError):  # past the end, or an offset of 2^63 and more
        raise BrokenTags("its tag directory is cut short") from None
    return value


def _layout(data: bytes) -> tuple[_Layout, int]:
    """Byte order, classic or big, and the offset of the first directory."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise BrokenTags("it has no TIFF byte order mark")
    big = _unpack(data, order + "H", 2) == 43
    return _Layout(order, big), _unpack(data, order + ("Q" if big else "I"), 8 if big else 4)


def _directory(data: bytes, layout: _Layout, at: int) -> Iterator[Tag]:
    head = 8 if layout.big else 2
    count = _unpack(data, layout.order + ("Q" if layout.big else "H"), at)
    if at + head + count * layout.entry_bytes > len(data):
        raise BrokenTags("its tag directory is cut short")
    for index in range(count):
        position = at + head + index * layout.entry_bytes
        tag, kind = struct.unpack_from(layout.order + "HH", data, position)
        values: int = struct.unpack_from(layout.order + ("Q" if layout.big else "I"), data, position + 4)[0]
        inline_at, room = (position + 12, 8) if layout.big else (position + 8, 4)
        size = _TYPE_BYTES.get(kind, 0) * values
        value_at = inline_at if size <= room else _unpack(data, layout.order + ("Q" if layout.big else "I"), inline_at)
        yield Tag(position, tag, kind, values, value_at, size)


def exif_orientation(exif: bytes) -> int:
    """EXIF orientation 1–8 of a raw EXIF block (with or without `Exif\\0\\0`); 1 where there is none or it is damaged."""
    data = exif.removeprefix(b"Exif\x00\x00")
    try:
        layout, at = _layout(data)
        for tag in _directory(data, layout, at):
            if tag.tag == ORIENTATION and tag.type == 3 and tag.count == 1:
                value = _unpack(data, layout.order + "H", tag.value_at)
                return value if 1 <= value <= 8 else 1
    except BrokenTags:
        pass
    return 1


def count_pages(data: bytes) -> int:
    """Pages of a TIFF file, following the chain of directories; a chain that loops or breaks ends where it does."""
    layout, at = _layout(data)
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MAX_PAGES:
        seen.add(at)
        try:
            count = _unpack(data, layout.order + ("Q" if layout.big else "H"), at)
            after = at + (8 if layout.big else 2) + count * layout.entry_bytes
            at = _unpack(data, layout.order + ("Q" if layout.big else "I"), after)
        except BrokenTags:
            break
    return max(1, len(seen))


def pixels_only(data: bytes) -> tuple[bytes, int]:
    """A TIFF whose only directory holds what its first page's pixels need, and that page's orientation (1–8).

    Every other tag is renamed in place to one that means nothing, the orientation too (it is handled by the caller, as for
    every other format). Raises BrokenTags when a tag that the pixels need points past the end of the file.
    """
    layout, at = _layout(data)
    tidy = bytearray(data)
    orientation = 1
    tags = list(_directory(data, layout, at))
    for tag in tags:
        inside = tag.value_bytes > 0 and tag.value_at + tag.value_bytes <= len(data)
        needed = tag.tag in _PIXEL_TAGS and not (tag.tag in _ONE_VALUE and tag.count != 1)
        if needed and not inside:
            raise BrokenTags("a tag that its pixels need points past the end of the file")
        if tag.tag == ORIENTATION and needed and tag.type == 3:
            value = _unpack(data, layout.order + "H", tag.value_at)
            orientation = value if 1 <= value <= 8 else 1
        if not needed or tag.tag == ORIENTATION:
            blank = struct.pack(layout.order + ("HHQQ" if layout.big else "HHII"), _IGNORED, 4, 1, 0)
            tidy[tag.position : tag.position + layout.entry_bytes] = blank
    end = at + (8 if layout.big else 2) + len(tags) * layout.entry_bytes
    width = 8 if layout.big else 4
    tidy[end : end + width] = bytes(width)  # no further page
    return bytes(tidy), orientation
