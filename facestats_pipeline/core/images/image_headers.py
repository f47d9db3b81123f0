"""Header facts that have to be known before Pillow opens a file: WebP's canvas, an APNG's frames, a GIF's frames and extents."""

import struct


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


def png_without_animation(data: bytes) -> tuple[bytes, int]:
    """A PNG without its acTL chunks (their presence makes it an animation), and the number of frames that they announced.

    The default picture of an animated PNG is what viewers without animation show; a damaged acTL makes Pillow warn.
    """
    keep, frames, start, at = [], 1, 0, 8
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IDAT":  # acTL counts only before the pixels
            break
        if kind == b"acTL":
            frames = max(frames, int.from_bytes(data[at + 8 : at + 12], "big"))
            keep.append(data[start:at])
            start = at + 12 + size
        at += 12 + size
    return (b"".join([*keep, data[start:]]), frames) if keep else (data, 1)


def gif_frames(data: bytes) -> tuple[int, tuple[int, int]]:
    """Number of frames in a GIF file, and the size that its first frame needs (the screen, or more where the frame sticks out).

    A walk over the block lengths; nothing is unpacked. A file that is cut short has the frames found until there.
    """
    if len(data) < 13:
        return 0, (0, 0)
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    frames = 0
    while at < len(data):
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
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return frames, (width, height)
