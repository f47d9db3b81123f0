"""Header facts that have to be known before Pillow opens a file: sizes, frames, what is in an animation, and how much work is announced."""

import struct
import zlib
from dataclasses import dataclass

from facestats_pipeline.core.images.colour import MAX_PROFILE_BYTES
from facestats_pipeline.core.images.problems import too_costly

MAX_CHUNKS = 100_000
"""Chunks of a PNG: half a gigabyte in the 8 kB that libpng writes has 65,000."""
MAX_EXTENSION_BLOCKS = 20_000
"""Blocks before the first frame of a GIF: Pillow joins those of a comment by copying. 20,000 hold 5 MB."""
MAX_GIF_BLOCKS = 2_000_000
"""Blocks of a GIF that are counted; half a gigabyte of full ones."""
MAX_RUNS_BYTES = 2 * 2**20
"""Bytes of a BMP with run lengths, which Pillow decodes in Python at 1 µs a pair."""


@dataclass(frozen=True)
class PngFacts:
    """`data`: the PNG without animation and profile; `frames` that were announced; `profile`: ICC bytes, empty where there is none;
    `has_code_points`: colours described by numbers (cICP) that are not those of sRGB."""

    data: bytes
    frames: int = 1
    profile: bytes = b""
    has_code_points: bool = False


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Canvas (width, height) of a WebP file (RFC 9649), None when damaged. Pillow's decoder allocates two canvases on opening."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def png_facts(data: bytes) -> PngFacts:
    """Facts of a PNG's chunks; raises ImageProblem (too_large) when there are more than MAX_CHUNKS.

    The acTL chunks, whose presence makes it an animation, are left out: the default picture is what viewers without animation show, and a
    damaged one makes Pillow warn. So is the iCCP chunk, since Pillow refuses the whole photo for a profile of more than 1 MB.
    """
    keep, frames, profile, points, start, at, chunks, before_pixels = [], 1, b"", False, 0, 8, 0, True
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise too_costly(f"more than {MAX_CHUNKS:,} chunks")
        if kind == b"IDAT":  # acTL counts only before the pixels
            before_pixels = False
        elif kind in (b"acTL", b"iCCP") and before_pixels:
            if kind == b"acTL":
                frames = max(frames, int.from_bytes(data[at + 8 : at + 12], "big"))
            else:
                profile = profile or _unpacked(data[at + 8 : at + 8 + size])
            keep.append(data[start:at])
            start = at + 12 + size
        elif kind == b"cICP" and before_pixels:
            points = data[at + 8 : at + 10] not in (
                b"\x01\x0d",
                b"\x01\x01",
            )  # BT.709 primaries; sRGB's or BT.709's curve
        at += 12 + size
    return PngFacts(b"".join([*keep, data[start:]]) if keep else data, frames, profile, points)


def _unpacked(body: bytes) -> bytes:
    """The profile in an iCCP chunk: a name, a zero, the method, zlib data. Of one that is damaged or too large, bytes that are none."""
    try:
        return zlib.decompressobj().decompress(body[body.index(0) + 2 :], MAX_PROFILE_BYTES + 1) or b"none"
    except (ValueError, zlib.error):
        return b"none"


def gif_frames(data: bytes) -> tuple[int, tuple[int, int]]:
    """Number of frames in a GIF file, and the size that its first frame needs (the screen, or more where the frame sticks out).

    A walk over the block lengths; nothing is unpacked. A file that is cut short, or has more than MAX_GIF_BLOCKS, has the frames found
    until there. Raises ImageProblem (too_large) when more than MAX_EXTENSION_BLOCKS come before the first.
    """
    if len(data) < 13:
        return 0, (0, 0)
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    frames = blocks = 0
    while at < len(data) and blocks < MAX_GIF_BLOCKS:
        if data[at] == 0x2C and at + 10 <= len(data):
            left, top, w, h, packed = struct.unpack_from("<HHHHB", data, at + 1)
            if not frames:
                width, height = max(width, left + w), max(height, top + h)
            frames += 1
            at += 11 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
        elif data[at] == 0x21:
            at += 2
        else:
            break
        blocks += 1
        most = MAX_GIF_BLOCKS if frames else MAX_EXTENSION_BLOCKS + 1
        while at < len(data) and data[at] and blocks < most:
            at += 1 + data[at]
            blocks += 1
        at += 1
        if not frames and blocks > MAX_EXTENSION_BLOCKS:
            raise too_costly(f"more than {MAX_EXTENSION_BLOCKS:,} blocks before its picture")
    return frames, (width, height)


def check_bmp(data: bytes) -> None:
    """Raises ImageProblem (too_large) for a large BMP with run lengths."""
    if data[30:34] in (b"\x01\0\0\0", b"\x02\0\0\0") and len(data) > MAX_RUNS_BYTES:
        raise too_costly(f"more than {MAX_RUNS_BYTES:,} bytes of run lengths")


def has_linked_profile(data: bytes) -> bool:
    """Whether a BMP names a file that its colour profile lies in."""
    return data[14:18] == b"\x7c\0\0\0" and data[70:74] == b"KNIL"  # "LINK", as a little-endian number


def bmp_profile(data: bytes) -> bytes:
    """The ICC profile inside a BMP of version 5 (BITMAPV5HEADER), which Pillow does not read; empty where there is none."""
    if data[14:18] != b"\x7c\0\0\0" or data[70:74] != b"DEBM":  # the colour space "MBED", as a little-endian number
        return b""
    offset, size = struct.unpack_from("<II", data, 126) if len(data) >= 134 else (0, 0)
    return data[14 + offset : 14 + offset + size]
