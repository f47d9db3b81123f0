"""Opening one photo's bytes: what format it is, how large it says it is, and a Pillow image ready to decode. Nothing is trusted.

Each Pillow plugin is called directly and not through `Image.open`: that call asks every plugin in turn, warns on large pictures
through the process-wide warning filters and compares with the process-wide `Image.MAX_IMAGE_PIXELS`. Here the format comes from
the first bytes (never from the file name), the bound is the caller's, and no setting of Pillow's is read or changed. So any number
of threads may call this at once.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from facestats_pipeline.core.images.colour import profile_note
from facestats_pipeline.core.images.image_headers import gif_frames, png_without_animation, webp_size
from facestats_pipeline.core.images.tiff_tags import BrokenTags, count_pages, exif_orientation, pixels_only

MAX_PIXELS = 178_956_970
"""Largest photo that is decoded, in pixels: Pillow's own bound, 0.5 GB as RGB."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

_KNOWN_BUT_REFUSED = (
    (re.compile(rb"....ftyp(heic|heix|hevc|mif1|msf1)", re.S), "a HEIC photo"),
    (re.compile(rb"....ftypavi[fs]", re.S), "an AVIF picture"),
    (re.compile(rb"....ftyp", re.S), "a video"),
    (re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000 picture"),
    (re.compile(rb"%PDF"), "a PDF document"),
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"\x00\x00\x01\x00"), "an icon"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf"), "an archive"),
    (re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<svg", re.S | re.I), "an SVG drawing"),
    (re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.I), "a web page"),
)
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])")


class ImageProblem(Exception):
    """A photo that cannot be used: `status` is corrupt, too_large or unsupported; `reason` is one sentence without any path."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class ImageInfo:
    """What a photo is: size in px after EXIF orientation, format, and a note on anything unusual ("" for an ordinary photo)."""

    width: int
    height: int
    format: str
    note: str = ""


@dataclass(frozen=True)
class OpenedImage:
    """A picture opened and not yet decoded: `image` is as stored (not oriented), `orientation` is EXIF's 1–8."""

    image: ImageFile.ImageFile
    format: str
    orientation: int
    note: str

    @property
    def info(self) -> ImageInfo:
        width, height = self.image.size
        return ImageInfo(*((height, width) if self.orientation >= 5 else (width, height)), self.format, self.note)


class _QuietJpeg(JpegImageFile):
    """Pillow parses EXIF while opening, only to learn the dots per inch, and warns on a damaged block: it gets an empty one."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


def sniff_format(data: bytes) -> str:
    """The format that the first bytes show, one of FORMATS; raises ImageProblem for everything else, naming it where known."""
    if not data:
        raise ImageProblem("corrupt", "the file is empty")
    head = data[:64]
    for name, found in (
        ("JPEG", head.startswith(b"\xff\xd8\xff")),
        ("PNG", head.startswith(b"\x89PNG\r\n\x1a\n")),
        ("WEBP", head.startswith(b"RIFF") and head[8:12] == b"WEBP"),
        ("TIFF", head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"))),
        ("GIF", head.startswith((b"GIF87a", b"GIF89a"))),
        ("BMP", head.startswith(b"BM") and len(data) >= 26),
    ):
        if found:
            return name
    if not data.strip(b"\x00"):
        raise ImageProblem("corrupt", "the file holds nothing but zero bytes")
    for pattern, what in _KNOWN_BUT_REFUSED:
        if pattern.match(data[:1024]):
            raise ImageProblem("unsupported", f"the file is {what}; convert it to JPEG, PNG, WebP, BMP, TIFF or GIF")
    raise ImageProblem("unsupported", "the file is not a JPEG, PNG, WebP, BMP, TIFF or GIF picture")


@contextmanager
def decoder_errors() -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into ImageProblem."""
    try:
        yield
    except ImageProblem:
        raise
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageProblem("too_large", "the picture is too large to decode") from None
    except BrokenTags as error:
        raise ImageProblem("corrupt", f"the TIFF file is damaged: {error}") from None
    except (
        Exception
    ) as error:  # decoders raise a dozen types on damaged bytes: OSError, SyntaxError, struct.error, KeyError …
        text = " ".join(str(error).split())[:120] or type(error).__name__
        if isinstance(error, NotImplementedError) or re.search(
            r"unsupported|unknown|not available|no decoder", text, re.I
        ):
            raise ImageProblem("unsupported", f"a kind of picture that cannot be decoded: {text}") from None
        if re.search(r"truncated|EOF|end of file|incomplete", text, re.I):
            raise ImageProblem("corrupt", f"the file is cut short: {text}") from None
        raise ImageProblem("corrupt", f"the file is damaged: {text}") from None


def _check_bound(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageProblem("corrupt", f"the header gives an impossible size, {width}×{height}")
    if width * height > max_pixels:
        raise ImageProblem(
            "too_large", f"{width}×{height} is more than the {max_pixels:,} pixels allowed (setting max_pixels)"
        )


def _check_header_is_honest(image: ImageFile.ImageFile, format: str, data: bytes) -> None:
    """Refuse a picture whose file is too short for the size in its header, before memory is set aside for it."""
    pixels = image.width * image.height
    if format == "PNG" and pixels // 8 > 1032 * len(data):  # 1 bit a pixel at least, and zlib packs 1032:1 at most
        raise ImageProblem("corrupt", f"the header says {image.width}×{image.height}, far more than the file can hold")
    if format == "BMP" and image.info.get("compression") == 0 and pixels // 8 > len(data):
        raise ImageProblem("corrupt", f"the header says {image.width}×{image.height}, more than the file holds")


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> OpenedImage:
    """Read the header only. Raises ImageProblem (corrupt, too_large, unsupported) and nothing else."""
    format = sniff_format(data)
    orientation, frames, note = 1, 1, ""
    with decoder_errors():
        image: ImageFile.ImageFile
        if format == "JPEG":
            image = _QuietJpeg(io.BytesIO(data))
        elif format == "PNG":
            data, frames = png_without_animation(data)
            image = PngImageFile(io.BytesIO(data))
        elif format == "WEBP":
            _check_bound(webp_size(data) or (0, 0), max_pixels)
            image = WebPImageFile(io.BytesIO(data))
            frames = int(getattr(image, "n_frames", 1))
        elif format == "GIF":
            frames, size = gif_frames(data)
            _check_bound(size, max_pixels)
            image = GifImageFile(io.BytesIO(data))
        elif format == "TIFF":
            pages = count_pages(data)
            note = f"several pages: first of {pages} used" if pages > 1 else ""
            data, orientation = pixels_only(data)
            image = TiffImageFile(io.BytesIO(data))
        else:
            image = BmpImageFile(io.BytesIO(data))
        _check_bound(image.size, max_pixels)
        _check_header_is_honest(image, format, data)
        if format in ("JPEG", "PNG", "WEBP"):
            orientation = stored_orientation(image)
        notes = [note, f"animated: first of {frames} frames used" if frames > 1 else "", profile_note(image)]
    return OpenedImage(image, format, orientation, "; ".join(filter(None, notes)))


def stored_orientation(image: Image.Image) -> int:
    """EXIF orientation (1–8) that a picture was stored with, else XMP's, else 1; damaged blocks count as none."""
    exif = image.info.get("exif")
    if isinstance(exif, bytes) and (orientation := exif_orientation(exif)) != 1:
        return orientation
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    found = _XMP_ORIENTATION.search(xmp if isinstance(xmp, bytes) else str(xmp).encode("utf-8", "replace"))
    return int(found[1]) if found and not isinstance(exif, bytes) else 1
