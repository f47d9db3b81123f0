"""What a file is: by its bytes, named so that the reason helps."""

import struct

import pytest

from facestats_pipeline.core.images.formats import sniff_format
from facestats_pipeline.core.images.problems import ImageProblem


def box(brand: bytes, *others: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16 + 4 * len(others), b"ftyp", brand, 0) + b"".join(others) + bytes(40)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (box(b"avif", b"mif1", b"miaf"), "an AVIF picture"),
        (box(b"mif1", b"mif1", b"avif", b"miaf"), "an AVIF picture"),
        (box(b"avis", b"msf1"), "an AVIF picture"),
        (box(b"crx ", b"crx ", b"isom"), "raw file (Canon CR3)"),
        (box(b"jxl ", b"jxl "), "a JPEG XL picture"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + box(b"jxl "), "a JPEG XL picture"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL picture"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40), "a JPEG 2000 picture"),
        (box(b"qt  "), "a video"),
        (box(b"isom", b"iso2", b"mp41"), "a video"),
        (struct.pack(">I4s", 8, b"wide") + bytes(40), "a video"),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(60), "raw file (Canon CR2)"),
        (b"II\x1a\x00\x00\x00HEAPCCDR" + bytes(60), "raw file (Canon CRW)"),
        (b"IIRO\x08\x00\x00\x00" + bytes(60), "raw file (Olympus ORF)"),
        (b"IIU\x00\x18\x00\x00\x00" + bytes(60), "raw file (Panasonic RW2)"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(60), "raw file (Fujifilm RAF)"),
        (b"FOVb" + bytes(60), "raw file (Sigma X3F)"),
        (b"\x00MRM" + bytes(60), "raw file (Minolta MRW)"),
    ],
)
def test_what_is_not_decoded_is_named(data: bytes, name: str) -> None:
    with pytest.raises(ImageProblem) as problem:
        sniff_format(data)
    assert problem.value.status == "unsupported"
    assert name in problem.value.reason
    assert ("develop it" if "raw" in name else "convert it") in problem.value.reason


@pytest.mark.parametrize(
    "data",
    [box(b"heic", b"mif1", b"heic"), box(b"mif1", b"heic", b"miaf"), box(b"heix"), box(b"msf1", b"hevc"), box(b"mif1")],
)
def test_heic_is_heic_whichever_brand_comes_first(data: bytes) -> None:
    assert sniff_format(data) == "HEIC"
