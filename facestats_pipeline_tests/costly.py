"""Small files that announce much work, and the largest of their kind that are still decoded: for each format, made by code."""

import io
import re
import struct

import numpy as np
from PIL import Image

from facestats_pipeline_tests.hostile import encoded, picture, png_chunk


def small(format: str, **options: object) -> bytes:
    return encoded(picture(np.random.default_rng(1)), format, **options)


def many_scans(scans: int, width: int = 2000, height: int = 1500) -> bytes:
    """A progressive JPEG with its last scan repeated."""
    data = encoded(Image.new("RGB", (width, height), (120, 130, 140)), "JPEG", progressive=True, quality=50)
    starts = [found.start() for found in re.finditer(b"\xff\xda", data)]
    last = data[starts[-1] : -2]
    return data[:-2] + last * (scans - len(starts)) + data[-2:]


def many_single_scans(scans: int, width: int = 2000, height: int = 1500) -> bytes:
    """A baseline JPEG whose components come one after another, with the last repeated."""
    grey = encoded(Image.new("L", (width, height), 120), "JPEG", quality=50)
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    size = grey[frame + 5 : frame + 9]
    three = b"\xff\xc0" + struct.pack(">HB", 17, 8) + size + b"\x03" + b"".join(bytes([i, 0x11, 0]) for i in (1, 2, 3))
    rest = grey[scan + 10 : -2]  # entropy-coded data
    one = [b"\xff\xda\x00\x08\x01" + bytes([i, 0, 0, 63, 0]) + rest for i in (1, 2, 3)]
    return grey[:frame] + three + grey[frame + 13 : scan] + b"".join(one) + one[-1] * (scans - 3) + b"\xff\xd9"


def many_segments(count: int, segment: bytes = b"\xff\xfe\x00\x02") -> bytes:
    data = small("JPEG")
    return data[:2] + segment * count + data[2:]


def many_chunks(count: int, kind: bytes = b"teXt") -> bytes:
    data = small("PNG")
    end = data.index(b"IDAT") - 4 if kind != b"IDAT" else data.index(b"IEND") - 4
    return data[:end] + png_chunk(kind, b"") * count + data[end:]


def many_blocks(count: int) -> bytes:
    """A GIF with a comment of one-byte blocks before its picture."""
    data = encoded(picture(np.random.default_rng(1), mode="P"), "GIF")
    start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:start] + b"\x21\xfe" + b"\x01x" * count + b"\x00" + data[start:]


def many_frames(count: int) -> bytes:
    """A GIF of many tiny frames."""
    data = encoded(picture(np.random.default_rng(1), 8, 8, "P"), "GIF")
    start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:start] + data[start:-1] * count + b";"


def many_pages(count: int) -> bytes:
    """A TIFF with many directories after that of its picture."""
    data = small("TIFF")
    at = struct.unpack_from("<I", data, 4)[0]
    end = at + 2 + 12 * struct.unpack_from("<H", data, at)[0]
    start = len(data) + len(data) % 2
    chain = b"".join(struct.pack("<HI", 0, start + 6 * (i + 1) if i < count - 1 else 0) for i in range(count))
    return data[:end] + struct.pack("<I", start) + data[end + 4 :] + bytes(start - len(data)) + chain


def many_tags(count: int) -> bytes:
    """A TIFF whose directory has many entries, each of all the file."""
    tags = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 4), (279, 16)]
    body = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    body += b"".join(struct.pack("<HHII", (1_000 + i) % 65_535, 7, 100_000, 8) for i in range(count))
    head = b"II*\x00" + struct.pack("<IH", 8, len(tags) + count)
    return head + body + bytes(4) + bytes(100_000)


def many_strips(count: int) -> bytes:
    """A TIFF of one pixel a row and one row a strip, all of them the same byte."""
    tags = [(256, 1), (257, count), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 1), (279, 0)]
    start = 8 + 2 + 12 * len(tags) + 4
    body = b""
    for tag, value in tags:
        lists = {273: start, 279: start + 4 * count}
        body += struct.pack("<HHII", tag, 4, count if tag in lists else 1, lists.get(tag, value))
    head = b"II*\x00" + struct.pack("<IH", 8, len(tags)) + body + bytes(4)
    return head + struct.pack("<I", 8) * count + struct.pack("<I", 1) * count


def run_lengths(count: int) -> bytes:
    """A BMP of run lengths of one pixel each."""
    width = 4096
    rows = -(-count // width)
    pixels = (b"\x01\x07" * width + b"\x00\x00") * rows + b"\x00\x01"
    header = struct.pack("<IiiHHIIiiII", 40, width, rows, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    palette = bytes(range(256)) * 4
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(pixels), 0, 0, 54 + 1024) + header + palette + pixels


def many_webp_chunks(count: int) -> bytes:
    """A WebP with many unknown chunks after its picture."""
    data = small("WEBP", lossless=True)
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (95).to_bytes(3, "little") + (71).to_bytes(3, "little")
    body = b"WEBP" + canvas + data[12:] + (b"ABCD" + bytes(4)) * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


def many_webp_frames(count: int) -> bytes:
    """An animated WebP of many tiny frames."""
    out = io.BytesIO()
    one = Image.new("RGB", (8, 8), (1, 2, 3))
    one.save(
        out,
        "WEBP",
        save_all=True,
        append_images=[Image.new("RGB", (8, 8), (200, 2, 3))],
        lossless=True,
        minimize_size=False,
    )
    data = out.getvalue()
    at = data.index(b"ANMF")
    size = struct.unpack_from("<I", data, at + 4)[0]
    frame = data[at : at + 8 + size + size % 2]
    body = data[8:at] + frame * count
    return b"RIFF" + struct.pack("<I", len(body)) + body
