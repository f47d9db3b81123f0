"""Opening one photo's bytes: what format it is, how large it says it is, and a Pillow image ready to decode. Nothing is trusted.

Each Pillow plugin is called directly and not through `Image.open`: that call asks every plugin in turn, warns on large pictures
through the process-wide warning filters and compares with the process-wide `Image.MAX_IMAGE_PIXELS`. Here the format comes from
the first bytes (never from the file name), the bounds are the caller's and this package's, and no setting of Pillow's is read or
changed. So any number of threads may call this at once.
"""

import io
import re
from dataclasses import dataclass, replace

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from facestats_pipeline.core.images.colour import profile_note
from facestats_pipeline.core.images.formats import sniff_format
from facestats_pipeline.core.images.image_headers import (
    bmp_profile,
    check_bmp,
    gif_frames,
    has_linked_profile,
    png_facts,
    webp_size,
)
from facestats_pipeline.core.images.jpeg_segments import read_scans
from facestats_pipeline.core.images.problems import ImageProblem, decoder_errors
from facestats_pipeline.core.images.tiff_tags import exif_orientation, main_picture

MAX_PIXELS = 178_956_970
"""Largest photo that is decoded, in pixels: Pillow's own bound, 0.5 GB as RGB."""
CODE_POINTS = "its colours are described by numbers (cICP, nclx) that were not used"
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])")


@dataclass(frozen=True)
class ImageInfo:
    """What a photo is: size in px after EXIF orientation, format, and a note on anything unusual ("" for an ordinary photo)."""

    width: int
    height: int
    format: str
    note: str = ""

    def noted(self, note: str) -> "ImageInfo":
        """The same with one more note, which may be empty."""
        return replace(self, note="; ".join(filter(None, [self.note, note])))


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


class QuietJpeg(JpegImageFile):
    """Pillow parses EXIF while opening, only to learn the dots per inch, and warns on a damaged block: it gets an empty one."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


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
    with decoder_errors():
        image, orientation, notes = _OPENERS[format](data, max_pixels)
        _check_bound(image.size, max_pixels)
        _check_header_is_honest(image, format, data)
        if orientation is None:
            orientation = stored_orientation(image)
        return OpenedImage(image, format, orientation, "; ".join(filter(None, [*notes, profile_note(image)])))


_Opened = tuple[ImageFile.ImageFile, int | None, list[str]]
"""The picture, its orientation where it is not to be looked for in `image.info`, and notes."""


def _jpeg(data: bytes, max_pixels: int) -> _Opened:
    read_scans(data)
    return QuietJpeg(io.BytesIO(data)), None, []


def _png(data: bytes, max_pixels: int) -> _Opened:
    facts = png_facts(data)
    image = PngImageFile(io.BytesIO(facts.data))
    if facts.profile:
        image.info["icc_profile"] = facts.profile
    unused = facts.has_code_points and not facts.profile
    return image, None, [_animated(facts.frames), CODE_POINTS if unused else ""]


def _webp(data: bytes, max_pixels: int) -> _Opened:
    _check_bound(webp_size(data) or (0, 0), max_pixels)
    image = WebPImageFile(io.BytesIO(data))
    return image, None, [_animated(int(getattr(image, "n_frames", 1)))]


def _gif(data: bytes, max_pixels: int) -> _Opened:
    frames, size = gif_frames(data)
    _check_bound(size, max_pixels)
    unused = b"ICCRGBG1012" in data[:4096]  # the application extension that some programs put a profile in
    return GifImageFile(io.BytesIO(data)), 1, [_animated(frames), "its colour profile was not used" if unused else ""]


def _tiff(data: bytes, max_pixels: int) -> _Opened:
    main = main_picture(data)
    image = TiffImageFile(io.BytesIO(main.data))
    if main.profile:
        image.info["icc_profile"] = main.profile
    if main.preview_first:
        note = "its first picture is a preview: the main one was used"
    else:
        note = f"several pages: first of {main.pages} used" if main.pages > 1 else ""
    return image, main.orientation or _xmp_orientation(main.xmp), [note]


def _bmp(data: bytes, max_pixels: int) -> _Opened:
    check_bmp(data)
    image = BmpImageFile(io.BytesIO(data))
    if profile := bmp_profile(data):
        image.info["icc_profile"] = profile
    return image, 1, ["its colour profile lies in another file and was not used" if has_linked_profile(data) else ""]


def _heic(data: bytes, max_pixels: int) -> _Opened:
    try:
        from facestats_pipeline.core.images.heic import HeicImageFile
    except ImportError:
        raise ImageProblem(
            "unsupported", "the file is a HEIC photo, and the package that decodes it is missing: pip install pi-heif"
        ) from None
    image = HeicImageFile(io.BytesIO(data))
    several = f"several pictures: the main one of {image.pictures} used" if image.pictures > 1 else ""
    return image, 1, [several, CODE_POINTS if image.has_code_points else ""]  # libheif turns it upright


_OPENERS = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "GIF": _gif, "TIFF": _tiff, "BMP": _bmp, "HEIC": _heic}


def _animated(frames: int) -> str:
    return f"animated: first of {frames} frames used" if frames > 1 else ""


def stored_orientation(image: Image.Image) -> int:
    """EXIF orientation (1–8) that a picture was stored with; where EXIF says none, XMP's; else 1. Damaged blocks say none."""
    exif = image.info.get("exif")
    if not isinstance(exif, bytes):
        exif = _from_text(image, "exif") or _from_text(image, "APP1")
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or _from_text(image, "xmp")
    xmp = xmp if isinstance(xmp, bytes) else str(xmp).encode("utf-8", "replace")
    return exif_orientation(exif) or _xmp_orientation(xmp)


def _from_text(image: Image.Image, kind: str) -> bytes:
    """The block that ImageMagick writes into a PNG's text, as hexadecimal digits after three lines; empty where there is none."""
    try:
        return bytes.fromhex("".join(str(image.info.get(f"Raw profile type {kind}", "")).split("\n")[3:]))
    except ValueError:
        return b""


def _xmp_orientation(xmp: bytes) -> int:
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1
