"""Damaged copies of good files, drawn from a seed: the same seed makes the same bytes on every machine."""

import io
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image

from facestats_pipeline_tests.heic_samples import PLAIN, TURNED
from facestats_pipeline_tests.hostile import encoded, picture, srgb_profile, with_orientation

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at which counts and offsets go wrong."""


def good_images(seed: int) -> dict[str, bytes]:
    """A small picture of every format and kind that is decoded, with and without EXIF and ICC blocks."""
    rng = np.random.default_rng(seed)

    def make(format: str, mode: str = "RGB", **options: object) -> bytes:
        return encoded(picture(rng, int(rng.integers(1, 90)), int(rng.integers(1, 90)), mode), format, **options)

    frames = [picture(rng, 40, 30) for _ in range(3)]
    animated = {"save_all": True, "append_images": frames[1:], "duration": 50}
    files = {
        "plain.jpg": make("JPEG"),
        "progressive.jpg": make("JPEG", progressive=True, quality=30),
        "grey.jpg": make("JPEG", "L"),
        "cmyk.jpg": make("JPEG", "CMYK"),
        "exif.jpg": with_orientation(picture(rng, 50, 40), 6),
        "icc.jpg": make("JPEG", icc_profile=srgb_profile()),
        "plain.png": make("PNG"),
        "palette.png": make("PNG", "P"),
        "alpha.png": make("PNG", "RGBA", icc_profile=srgb_profile()),
        "one_bit.png": make("PNG", "1"),
        "exif.png": with_orientation(picture(rng, 50, 40), 8, "PNG"),
        "animated.png": encoded(frames[0], "PNG", **animated),
        "lossy.webp": make("WEBP"),
        "lossless.webp": make("WEBP", "RGBA", lossless=True, icc_profile=srgb_profile()),
        "exif.webp": with_orientation(picture(rng, 50, 40), 3, "WEBP"),
        "animated.webp": encoded(frames[0], "WEBP", **animated),
        "plain.gif": make("GIF", "P"),
        "animated.gif": encoded(frames[0], "GIF", **animated),
        "plain.bmp": make("BMP"),
        "palette.bmp": make("BMP", "P"),
        "plain.tif": make("TIFF"),
        "lzw.tif": make("TIFF", compression="tiff_lzw"),
        "deflate.tif": make("TIFF", "L", compression="tiff_adobe_deflate"),
        "jpeg.tif": make("TIFF", compression="jpeg"),
        "group4.tif": make("TIFF", "1", compression="group4"),
        "cmyk.tif": make("TIFF", "CMYK", icc_profile=srgb_profile()),
        "pages.tif": encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "turned.tif": with_orientation(picture(rng, 50, 40), 5, "TIFF"),
    }
    files |= {"plain.heic": PLAIN, "turned.heic": TURNED}
    deep = Image.fromarray(rng.integers(0, 65536, (20, 30), dtype=np.uint16))
    for ending, format in (("png", "PNG"), ("tif", "TIFF")):
        buffer = io.BytesIO()
        deep.save(buffer, format)
        files[f"16_bit.{ending}"] = buffer.getvalue()
    return files


def mutated(data: bytes, draw: random.Random, others: tuple[bytes, ...] = ()) -> bytes:
    """`data` with one to six mutations; most of them in its first kilobyte, where formats keep what they say of themselves."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        if not out:
            break
        reach = len(out) if draw.random() < 0.4 else min(len(out), 1024)
        at = draw.randrange(reach)
        kind = draw.randrange(9)
        if kind == 0:
            out[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            out[at] = draw.randrange(256)
        elif kind == 2:
            size, order = draw.choice(((1, "little"), (2, "little"), (2, "big"), (4, "little"), (4, "big")))
            value = draw.choice(INTERESTING) % 256**size
            out[at : at + size] = value.to_bytes(size, "little" if order == "little" else "big")
        elif kind == 3:
            del out[at : at + draw.choice((1, 2, 4, 16, 200))]
        elif kind == 4:
            out[at:at] = draw.randbytes(draw.choice((1, 2, 4, 16, 200)))
        elif kind == 5:
            piece = out[at : at + draw.choice((4, 12, 64, 500))]
            out[at:at] = piece * draw.choice((1, 2, 20))
        elif kind == 6:
            del out[at:]
        elif kind == 7 and others:
            other = draw.choice(others)
            out[at:] = other[draw.randrange(len(other)) :]
        else:
            out[at : at + 8] = bytes(8) if draw.random() < 0.5 else b"\xff" * 8
    return bytes(out)


def mutated_images(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of `count` damaged images; every kind of good image is damaged about equally often."""
    draw = random.Random(seed)
    good = good_images(seed)
    names, all_bytes = sorted(good), tuple(good.values())
    for number in range(count):
        name = names[number % len(names)]
        yield f"{number:05d}-{name}", mutated(good[name], draw, all_bytes)


def mutated_texts(good: str, count: int, seed: int) -> Iterator[bytes]:
    """Damaged copies of a text file: the byte mutations, and cells, delimiters, quotes and code points that parsers trip over."""
    draw = random.Random(seed)
    pieces = (
        '"',
        "'",
        ",",
        ";",
        "\t",
        "\r",
        "\n",
        "\x00",
        "\ufeff",
        "=1+1",
        "é",
        "\ud83d\ude00",
        "-0",
        "1e999",
        "nan",
        "9" * 40,
    )
    for _ in range(count):
        if draw.random() < 0.5:
            yield mutated(good.encode(), draw)
            continue
        text = good
        for _ in range(draw.choice((1, 2, 5))):
            at = draw.randrange(len(text) + 1)
            text = text[:at] + draw.choice(pieces) + text[at + draw.choice((0, 0, 1, 5)) :]
        encoding = draw.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
        yield text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
