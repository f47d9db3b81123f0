"""Which format a file has, by its first bytes and never by its name. What is not decoded is named, so that the reason helps."""

import re

from facestats_pipeline.core.images.problems import ImageProblem

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIC")
_DECODED = "JPEG, PNG, WebP, BMP, TIFF, GIF or HEIC"

# Brands of ISO base media files (ISO/IEC 14496-12), from the most to the least telling: mif1 alone says only "a HEIF container".
RAW = "a camera's raw file"
_BRANDS: tuple[tuple[str, frozenset[bytes]], ...] = (
    (f"{RAW} (Canon CR3)", frozenset({b"crx "})),
    ("an AVIF picture", frozenset({b"avif", b"avis", b"avio"})),
    ("HEIC", frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})),
    ("a JPEG XL picture", frozenset({b"jxl "})),
    ("a JPEG 2000 picture", frozenset({b"jp2 ", b"jpx ", b"jpm ", b"j2ki", b"j2is"})),
    ("HEIC", frozenset({b"mif1", b"mif2", b"mif3", b"msf1"})),
)
_KNOWN_BUT_REFUSED = (
    (re.compile(rb"II\*\x00\x10\x00\x00\x00CR\x02"), f"{RAW} (Canon CR2)"),
    (re.compile(rb"II\x1a\x00\x00\x00HEAP"), f"{RAW} (Canon CRW)"),
    (re.compile(rb"II\*\x00.{4}IIII.waR|MM\x00\*.{4}MMMMRaw", re.S), f"{RAW} (Phase One IIQ)"),
    (re.compile(rb"II(?:RO|RS)|MMOR"), f"{RAW} (Olympus ORF)"),
    (re.compile(rb"IIU\x00"), f"{RAW} (Panasonic RW2)"),
    (re.compile(rb"FUJIFILMCCD-RAW"), f"{RAW} (Fujifilm RAF)"),
    (re.compile(rb"FOVb"), f"{RAW} (Sigma X3F)"),
    (re.compile(rb"\x00MRM"), f"{RAW} (Minolta MRW)"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "a JPEG XL picture"),
    (re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000 picture"),
    (re.compile(rb"....(?:moov|mdat|wide|free|skip)|\x1a\x45\xdf\xa3|RIFF....AVI ", re.S), "a video"),
    (re.compile(rb"%PDF"), "a PDF document"),
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"\x00\x00\x01\x00"), "an icon"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf"), "an archive"),
    (re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<svg", re.S | re.I), "an SVG drawing"),
    (re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.I), "a web page"),
)


def sniff_format(data: bytes) -> str:
    """The format that the first bytes show, one of FORMATS; raises ImageProblem for everything else, naming it where known."""
    if not data:
        raise ImageProblem("corrupt", "the file is empty")
    for pattern, what in _KNOWN_BUT_REFUSED:  # first: raw files of some makers begin as TIFF does
        if pattern.match(data[:1024]):
            raise refused(what)
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
    if head[4:8] == b"ftyp":
        what = _branded(data)
        if what == "HEIC":
            return what
        raise refused(what)
    if not data.strip(b"\x00"):
        raise ImageProblem("corrupt", "the file holds nothing but zero bytes")
    raise ImageProblem("unsupported", f"the file is not a {_DECODED} picture")


def refused(what: str) -> ImageProblem:
    """The problem of a file that is known and not decoded."""
    remedy = "develop it to JPEG or TIFF" if "raw file" in what else f"convert it to {_DECODED}"
    return ImageProblem("unsupported", f"the file is {what}; {remedy}")


def _branded(data: bytes) -> str:
    """What the brands in the `ftyp` box say: the main one, after four bytes of version the compatible ones."""
    end = max(16, min(int.from_bytes(data[:4], "big"), 1024))
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    main = next(
        (what for what, names in _BRANDS if data[8:12] in names and not data[8:12].startswith((b"mif", b"msf"))), ""
    )
    return main or next((what for what, names in _BRANDS if brands & names), "a video")
