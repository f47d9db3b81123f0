"""What FaceStats reads of TIFF's tag directories itself: the main picture of a file, what it says of itself, and EXIF's orientation.

Pillow takes the first directory for the photo; in a camera's raw file that is a preview. It reports odd tags with `warnings.warn`, and
Python 3.11 has no way to silence a warning in one thread only. So the main picture's directory is looked for here, and the tags that its
pixels do not need are taken out of a copy of the bytes before Pillow sees them.
Layout: TIFF 6.0, section 2 (Adobe 1992); BigTIFF as in libtiff. EXIF is a TIFF directory after the six bytes `Exif\\0\\0`. Raw files: the
DNG specification 1.7 (Adobe 2023), and the tags of TIFF/EP (ISO 12234-2) that makers' formats share.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from facestats_pipeline.core.images.formats import RAW, refused
from facestats_pipeline.core.images.problems import BrokenTags, ImageProblem, too_costly

ORIENTATION, NEW_SUBFILE_TYPE, SUBFILE_TYPE, COMPRESSION, PHOTOMETRIC, MAKE = 274, 254, 255, 259, 262, 271
SUB_DIRECTORIES, XMP, PROFILE, DNG_VERSION = 330, 700, 34675, 50706
MAX_PAGES, MAX_TAGS = 10_000, 4_096
MAX_STRIPS = 100_000
"""Values of one tag, such as a picture's strips, which Pillow decodes one by one in Python."""
MAX_LOOKED_AT = 16
"""Directories among which the main picture is looked for; raw files have 2 to 6."""
MAX_TEXT = 4 * 2**20
"""Bytes of a profile or of XMP that are looked at."""

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_ONE_VALUE = frozenset({256, 257, COMPRESSION, PHOTOMETRIC, 266, ORIENTATION, 277, 278, 284, 317, 322, 323})
_LISTS = frozenset({258, 273, 279, 320, 324, 325, 338, 339, 347, 529, 530, 532})
_PIXEL_TAGS = _ONE_VALUE | _LISTS  # size, layout, compression, colours: all that decoding needs
_IGNORED = 65535  # an unregistered tag id; Pillow keeps such a tag and does nothing with it
_SENSOR_PHOTOMETRICS = frozenset({32803, 34892})  # a colour filter array; a linear raw picture
_SENSOR_COMPRESSIONS = {
    32767: "Sony ARW",
    32770: "Samsung SRW",
    32772: "Samsung SRW",
    32867: "Kodak",
    34713: "Nikon NEF",
} | {
    34892: "DNG",
    65000: "Kodak DCR",
    65535: "Pentax PEF",
}
_SENSOR_TAGS = frozenset(
    {DNG_VERSION, 33421, 33422, 50710, 50711}
)  # DNG's version; the pattern of a colour filter array
_MAKERS = {
    b"nikon": "Nikon NEF",
    b"sony": "Sony ARW",
    b"pentax": "Pentax PEF",
    b"ricoh": "Pentax PEF",
    b"samsung": "Samsung SRW",
} | {
    b"hasselblad": "Hasselblad 3FR",
    b"canon": "Canon",
    b"epson": "Epson ERF",
    b"kodak": "Kodak",
    b"leaf": "Leaf MOS",
    b"mamiya": "Mamiya MEF",
    b"phase one": "Phase One IIQ",
}


@dataclass(frozen=True)
class _Layout:
    order: str  # "<" or ">", as struct wants it
    big: bool  # BigTIFF: 8-byte offsets and counts

    @property
    def entry_bytes(self) -> int:
        return 20 if self.big else 12

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def head(self) -> tuple[str, int]:
        """Of a directory: format and bytes of the number of its entries."""
        return (self.order + "Q", 8) if self.big else (self.order + "H", 2)


@dataclass(frozen=True)
class Tag:
    """One directory entry: its own position in the file, what it says, and where its values lie."""

    position: int
    tag: int
    type: int
    count: int
    value_at: int
    value_bytes: int


@dataclass(frozen=True)
class MainPicture:
    """`data`: a TIFF whose only directory holds what the main picture's pixels need · `orientation`: 1–8, None where none is said ·
    `profile`: ICC bytes, `xmp`: a packet, both empty where there is none · `pages`: of the file · `preview_first`: another picture, a
    preview of this one, comes before it."""

    data: bytes
    orientation: int | None
    profile: bytes
    xmp: bytes
    pages: int
    preview_first: bool


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
    layout = _Layout(order, _unpack(data, order + "H", 2) == 43)
    return layout, _unpack(data, layout.offset, 8 if layout.big else 4)


def _directory(data: bytes, layout: _Layout, at: int) -> Iterator[Tag]:
    fmt, head = layout.head
    count = _unpack(data, fmt, at)
    if at + head + count * layout.entry_bytes > len(data):
        raise BrokenTags("its tag directory is cut short")
    if count > MAX_TAGS:
        raise BrokenTags(f"its tag directory has more than {MAX_TAGS:,} entries")
    for index in range(count):
        position = at + head + index * layout.entry_bytes
        tag, kind = struct.unpack_from(layout.order + "HH", data, position)
        values: int = struct.unpack_from(layout.offset, data, position + 4)[0]
        inline_at, room = (position + 12, 8) if layout.big else (position + 8, 4)
        size = _TYPE_BYTES.get(kind, 0) * values
        value_at = inline_at if size <= room else _unpack(data, layout.offset, inline_at)
        yield Tag(position, tag, kind, values, value_at, size)


def _chain(data: bytes, layout: _Layout, at: int) -> list[int]:
    """Offsets of the pages' directories; a chain that loops or breaks ends where it does."""
    pages: dict[int, None] = {}
    fmt, head = layout.head
    while at and at not in pages and len(pages) < MAX_PAGES:
        pages[at] = None
        try:
            at = _unpack(data, layout.offset, at + head + _unpack(data, fmt, at) * layout.entry_bytes)
        except BrokenTags:
            break
    return list(pages)


def _numbers(data: bytes, layout: _Layout, tag: Tag, most: int = MAX_LOOKED_AT) -> list[int]:
    """The first values of a tag of whole numbers; none where they lie past the end."""
    fmt = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(tag.type)
    size = _TYPE_BYTES.get(tag.type, 1)
    if fmt is None or tag.value_at + min(tag.count, most) * size > len(data):
        return []
    return [_unpack(data, layout.order + fmt, tag.value_at + i * size) for i in range(min(tag.count, most))]


def exif_orientation(exif: bytes) -> int | None:
    """EXIF orientation 1–8 of a raw EXIF block (with or without `Exif\\0\\0`); None where none is said or it is damaged."""
    data = exif.removeprefix(b"Exif\x00\x00")
    try:
        layout, at = _layout(data)
        return _orientation(data, layout, list(_directory(data, layout, at)))
    except BrokenTags:
        return None


def _orientation(data: bytes, layout: _Layout, tags: list[Tag]) -> int | None:
    for tag in tags:
        if tag.tag == ORIENTATION and tag.count == 1:
            value = next(iter(_numbers(data, layout, tag)), 0)
            return value if 1 <= value <= 8 else None
    return None


def main_picture(data: bytes) -> MainPicture:
    """The main picture of a TIFF: the first directory, unless it is a preview, of a larger one below it or by its own words; then that, or
    the next page that is none.

    Every tag that its pixels do not need is renamed in place to one that means nothing, the orientation too: the caller handles it, as for
    every other format. Raises BrokenTags when a tag that the pixels need points past the end of the file, and ImageProblem for a camera's
    raw file, for one that holds previews alone, and for one that would take long.
    """
    layout, first = _layout(data)
    pages = _chain(data, layout, first)
    found = {first: list(_directory(data, layout, first))}
    below = _below(data, layout, found[first])
    waiting = [*below, *pages[1:]]
    for at in waiting[: MAX_LOOKED_AT - 1]:
        try:
            found.setdefault(at, list(_directory(data, layout, at)))
        except BrokenTags:
            continue
    _refuse_raw(data, layout, found)
    usable = [at for at, tags in found.items() if not _is_preview(data, layout, tags) or not waiting]
    if not usable:
        raise ImageProblem("unsupported", "the TIFF file holds nothing but previews of a picture that is not in it")
    whole = [at for at in usable if at == first or at in below]
    main = max(whole, key=lambda at: _pixels(data, layout, found[at])) if whole else usable[0]
    texts = {
        tag.tag: data[tag.value_at : tag.value_at + min(tag.value_bytes, MAX_TEXT + 1)]
        for at in (first, main)
        for tag in found[at]
    }
    orientation = _orientation(data, layout, found[main]) or _orientation(data, layout, found[first])
    tidy = bytearray(_tidy(data, layout, main, found[main]))
    struct.pack_into(layout.offset, tidy, 8 if layout.big else 4, main)
    return MainPicture(
        bytes(tidy), orientation, texts.get(PROFILE, b""), texts.get(XMP, b""), len(pages), main != first
    )


def _below(data: bytes, layout: _Layout, tags: list[Tag]) -> list[int]:
    return [at for tag in tags if tag.tag == SUB_DIRECTORIES for at in _numbers(data, layout, tag)]


def _value(data: bytes, layout: _Layout, tags: list[Tag], wanted: int) -> int:
    return next((n for tag in tags if tag.tag == wanted for n in _numbers(data, layout, tag, 1)), 0)


def _pixels(data: bytes, layout: _Layout, tags: list[Tag]) -> int:
    return _value(data, layout, tags, 256) * _value(data, layout, tags, 257)


def _is_preview(data: bytes, layout: _Layout, tags: list[Tag]) -> bool:
    """Whether a directory says that it is a smaller version of another, or a mask."""
    kind = _value(data, layout, tags, NEW_SUBFILE_TYPE)
    return bool(kind & 0b101) or _value(data, layout, tags, SUBFILE_TYPE) == 2


def _refuse_raw(data: bytes, layout: _Layout, found: dict[int, list[Tag]]) -> None:
    """Raises ImageProblem when any directory holds what a sensor gave, or the file says that it is a DNG."""
    compressions = [_value(data, layout, tags, COMPRESSION) for tags in found.values()]
    named = next((_SENSOR_COMPRESSIONS[value] for value in compressions if value in _SENSOR_COMPRESSIONS), "")
    sensor = any(_value(data, layout, tags, PHOTOMETRIC) in _SENSOR_PHOTOMETRICS for tags in found.values())
    present = {tag.tag for tags in found.values() for tag in tags}
    if not (named or sensor or present & _SENSOR_TAGS):
        return
    makers = [
        data[tag.value_at : tag.value_at + 32].lower() for tags in found.values() for tag in tags if tag.tag == MAKE
    ]
    by_maker = next((what for maker in makers for name, what in _MAKERS.items() if maker.startswith(name)), "")
    what = "DNG" if DNG_VERSION in present else named or by_maker
    raise refused(f"{RAW} ({what})" if what else RAW)


def _tidy(data: bytes, layout: _Layout, at: int, tags: list[Tag]) -> bytearray:
    """The bytes with nothing in the directory at `at` but what its pixels need, and none after it."""
    tidy = bytearray(data)
    for tag in tags:
        inside = tag.value_bytes > 0 and tag.value_at + tag.value_bytes <= len(data)
        needed = tag.tag in _PIXEL_TAGS and not (tag.tag in _ONE_VALUE and tag.count != 1)
        if needed and not inside:
            raise BrokenTags("a tag that its pixels need points past the end of the file")
        if needed and tag.count > MAX_STRIPS:
            raise too_costly(f"more than {MAX_STRIPS:,} values in one tag of the TIFF")
        if not needed or tag.tag == ORIENTATION:
            blank = struct.pack(layout.order + ("HHQQ" if layout.big else "HHII"), _IGNORED, 4, 1, 0)
            tidy[tag.position : tag.position + layout.entry_bytes] = blank
    end = at + layout.head[1] + len(tags) * layout.entry_bytes
    width = 8 if layout.big else 4
    tidy[end : end + width] = bytes(width)  # no further page
    return tidy
