"""Files that a folder of photos should not hold and one day does: each kind of damage, oddity and malice, made by code.

    expected = write_hostile_files(folder, seed=0)      # file name → the statuses that are right for it

"ok" is for files that are odd and fine. A file that ingest must judge before reading it (link, pipe, unreadable) may be unsupported or
corrupt.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

OK, CORRUPT, TOO_LARGE = frozenset({"ok"}), frozenset({"corrupt"}), frozenset({"too_large"})
UNSUPPORTED, BROKEN = frozenset({"unsupported"}), frozenset({"unsupported", "corrupt"})
NOT_A_FILE = BROKEN
DUPLICATE = frozenset({"duplicate"})

Expected = dict[str, frozenset[str]]


def picture(rng: np.random.Generator, width: int = 96, height: int = 72, mode: str = "RGB") -> Image.Image:
    """A smooth random picture, no two alike, of any 8-bit mode."""
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A valid black RGB PNG of any size, made without its pixels: one packed megabyte of zeros, repeated as often as needed."""
    total, piece = height * (1 + 3 * width), 1 << 20

    def packed(size: int) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)

    checksum = struct.pack(">I", (total % 65_521) << 16 | 1)  # Adler-32 of so many zeros
    stream = b"\x78\xda" + packed(piece) * (total // piece) + packed(total % piece) + b"\x03\x00" + checksum
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", stream) + png_chunk(b"IEND", b"")


def lying_png(rng: np.random.Generator) -> bytes:
    """A small PNG whose header claims 12,000×12,000."""
    data = encoded(picture(rng), "PNG")
    header = struct.pack(">II", 12_000, 12_000) + data[24:29]
    return data[:8] + png_chunk(b"IHDR", header) + data[33:]


def lying_bmp(rng: np.random.Generator) -> bytes:
    data = bytearray(encoded(picture(rng), "BMP"))
    data[18:26] = struct.pack("<ii", 9_000, 9_000)
    return bytes(data)


def with_orientation(image: Image.Image, orientation: int, format: str = "JPEG") -> bytes:
    """`image` as a viewer should show it, stored turned, with the EXIF tag that turns it back."""
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    exif = Image.Exif()
    exif[274] = orientation
    stored = image.transpose(turned) if turned is not None else image
    if format == "TIFF":
        return encoded(stored, "TIFF", tiffinfo={274: orientation})
    return encoded(stored, format, exif=exif.tobytes(), **({"quality": 95} if format == "JPEG" else {}))


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def _animated(rng: np.random.Generator, format: str) -> bytes:
    frames = [picture(rng) for _ in range(4)]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


def _contents(rng: np.random.Generator) -> dict[str, tuple[bytes, frozenset[str]]]:
    def jpeg(**options: object) -> bytes:
        return encoded(picture(rng), "JPEG", quality=90, **options)

    def deep() -> np.ndarray:
        return (np.asarray(picture(rng, mode="L")).astype(np.uint16) << 8) + 7

    transparent = picture(rng, mode="P")
    transparent.info["transparency"] = bytes(range(256))
    files: dict[str, tuple[bytes, frozenset[str]]] = {
        "zero_bytes.jpg": (b"", CORRUPT),
        "only_zeros.jpg": (bytes(5000), CORRUPT),
        "text.jpg": (b"this is not a picture\n" * 40, UNSUPPORTED),
        "page.jpg": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", UNSUPPORTED),
        "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', UNSUPPORTED),
        "document.png": (b"%PDF-1.7\n%....", UNSUPPORTED),
        "phone.jpg": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", BROKEN),
        "random.png": (rng.bytes(4000), UNSUPPORTED),
        "magic_only.jpg": (b"\xff\xd8\xff\xe0" + rng.bytes(600), CORRUPT),
        "magic_only.png": (b"\x89PNG\r\n\x1a\n" + rng.bytes(600), CORRUPT),
        "magic_only.webp": (b"RIFF\x00\x10\x00\x00WEBPVP8 " + rng.bytes(600), BROKEN | TOO_LARGE),
        "magic_only.tif": (b"II*\x00" + b"\xff\xff\xff\x7f" + rng.bytes(600), CORRUPT),
        "bomb.png": (png_bomb(), TOO_LARGE),
        "header_lies.png": (lying_png(rng), CORRUPT),
        "header_lies.bmp": (lying_bmp(rng), CORRUPT),
        "cmyk.jpg": (encoded(picture(rng, mode="CMYK"), "JPEG"), OK),
        "progressive.jpg": (jpeg(progressive=True), OK),
        "grey.jpg": (encoded(picture(rng, mode="L"), "JPEG"), OK),
        "trailing_garbage.jpg": (jpeg() + rng.bytes(3000), OK),
        "corrupt_icc.jpg": (jpeg(icc_profile=rng.bytes(500)), OK),
        "corrupt_exif.jpg": (jpeg(exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + rng.bytes(300)), OK),
        "exif_points_away.jpg": (jpeg(exif=b"Exif\x00\x00MM\x00*\x7f\xff\xff\xff"), OK),
        "16_bit.png": (encoded(Image.fromarray(deep()), "PNG"), OK),
        "16_bit.tif": (encoded(Image.fromarray(deep()), "TIFF"), OK),
        "float.tif": (encoded(Image.fromarray(np.asarray(picture(rng, mode="L"), dtype=np.float32) / 255), "TIFF"), OK),
        "grey_alpha.png": (encoded(picture(rng, mode="LA"), "PNG"), OK),
        "alpha.png": (encoded(picture(rng, mode="RGBA"), "PNG"), OK),
        "palette_alpha.png": (encoded(transparent, "PNG", transparency=bytes(range(256))), OK),
        "palette.gif": (encoded(picture(rng, mode="P"), "GIF", transparency=3), OK),
        "one_bit.png": (encoded(picture(rng, mode="1"), "PNG"), OK),
        "one_bit.tif": (encoded(picture(rng, mode="1"), "TIFF", compression="group4"), OK),
        "cmyk.tif": (encoded(picture(rng, mode="CMYK"), "TIFF"), OK),
        "packed.tif": (encoded(picture(rng), "TIFF", compression="tiff_lzw"), OK),
        "plain.bmp": (encoded(picture(rng), "BMP"), OK),
        "lossless.webp": (encoded(picture(rng, mode="RGBA"), "WEBP", lossless=True), OK),
        "animated.gif": (_animated(rng, "GIF"), OK),
        "animated.webp": (_animated(rng, "WEBP"), OK),
        "animated.png": (_animated(rng, "PNG"), OK),
        "pages.tif": (_animated(rng, "TIFF"), OK),
        "several.mpo": (_animated(rng, "MPO"), OK),
        "1x1.png": (encoded(picture(rng, 1, 1), "PNG"), OK),
        "1x5000.png": (encoded(picture(rng, 1, 5000), "PNG"), OK),
        "20000x1.jpg": (encoded(picture(rng, 20_000, 1), "JPEG"), OK),
        "really_a_png.jpg": (encoded(picture(rng), "PNG"), OK),
        "really_a_jpeg.gif": (jpeg(), OK),
        "no_extension": (jpeg(), OK),
    }
    for format, ending, shares in (
        ("JPEG", "jpg", (0.05, 0.5, 0.97)),
        ("PNG", "png", (0.3, 0.9)),
        ("WEBP", "webp", (0.2, 0.8)),
        ("TIFF", "tif", (0.5,)),
        ("GIF", "gif", (0.3, 0.8)),
        ("BMP", "bmp", (0.5,)),
    ):
        for share in shares:
            files[f"cut_at_{share:.0%}.{ending}"] = (_cut(encoded(picture(rng), format), share), CORRUPT)
    for orientation in range(1, 9):
        files[f"orientation_{orientation}.jpg"] = (with_orientation(picture(rng), orientation), OK)
    for name in (
        "two words.jpg",
        "ümläut ñ 顔.jpg",
        "face😀.jpg",
        "two\nlines.jpg",
        'it\'s "quoted".jpg',
        "-rf.jpg",
        "a,b;c=d.jpg",
    ):
        files[name] = (jpeg(), OK)
    files["n" * 251 + ".jpg"] = (jpeg(), OK)  # 255 bytes: the longest name that file systems allow
    files[os.fsdecode(b"not_utf8_\xff\xfe.jpg")] = (jpeg(), OK)
    files["<b>bold.jpg"] = (jpeg(), OK)
    files["=1+1.jpg"] = (jpeg(), OK)
    return files


def _links_and_pipes(folder: Path, some_jpeg: bytes) -> Expected:
    """What is no ordinary readable file. Only what the platform and the user can make."""
    made: Expected = {}
    outside = folder.parent / f"{folder.name}_outside.jpg"
    outside.write_bytes(some_jpeg)
    makers: dict[str, Callable[[Path], object]] = {
        "loop.jpg": lambda path: path.symlink_to(path.name),
        "dangling.jpg": lambda path: path.symlink_to("nowhere.jpg"),
        "leaves_the_folder.jpg": lambda path: path.symlink_to(outside),
        "pipe.jpg": os.mkfifo,
        "folder.jpg": Path.mkdir,
    }
    for name, make in makers.items():
        try:
            make(folder / name)
        except (OSError, NotImplementedError, AttributeError):
            continue  # a file system without links or pipes
        if name != "folder.jpg":  # a folder is walked into, it is not a file
            made[name] = NOT_A_FILE
    locked = folder / "unreadable.jpg"
    locked.write_bytes(some_jpeg[:-2] + b"\xff\xd9unreadable")
    locked.chmod(0)
    made[locked.name] = OK if os.access(locked, os.R_OK) else NOT_A_FILE  # the superuser reads everything
    return made


def write_hostile_files(folder: Path, *, seed: int = 0) -> Expected:
    """Write more than 80 hostile files into `folder` (made if absent) and one beside it; file name → the statuses that are right.

    A name that the file system does not take is left out. `duplicate.jpg` has the bytes of `a_first.jpg`, which sorts before it.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    expected: Expected = {}
    original = encoded(picture(rng), "JPEG", quality=90)
    contents = _contents(rng) | {"a_first.jpg": (original, OK), "duplicate.jpg": (original, DUPLICATE)}
    for name, (data, statuses) in contents.items():
        try:
            (folder / name).write_bytes(data)
        except OSError:
            continue
        expected[name] = statuses
    return expected | _links_and_pipes(folder, encoded(picture(rng), "JPEG", quality=90))


def srgb_profile() -> bytes:
    """A valid ICC profile, always the same: the time of making in its header is taken out."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + bytes(12) + data[36:]
