"""Colour profiles: used where they fit, left out with a note where they do not."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from facestats_pipeline.core.images.colour import DAMAGED, MAX_PROFILE_BYTES
from facestats_pipeline.core.images.decoding import decode, inspect_image
from facestats_pipeline.core.images.image_files import CODE_POINTS
from facestats_pipeline_tests.core.images.colour_profiles import swapped_profile
from facestats_pipeline_tests.hostile import encoded, picture, png_chunk, srgb_profile

MATRICES = {"rXYZ": "gXYZ", "gXYZ": "rXYZ"}


def grey_profile(gamma: float) -> bytes:
    """An ICC profile (version 2.4) of grey pictures with this gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63_190, 65_536, 54_061)
    words = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\x00" + bytes(78 + 3)
    tags = {b"desc": words, b"cprt": b"text" + bytes(4) + b"CC0\x00", b"wtpt": white, b"kTRC": curve}
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = struct.pack(">I", at + len(body))
    illuminant = struct.pack(">iii", 63_190, 65_536, 54_061)
    head = size + bytes(4) + b"\x02\x40\x00\x00mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28) + illuminant
    return head + bytes(128 - len(head)) + table + body


def bmp_with_profile(image: Image.Image, profile: bytes) -> bytes:
    """A BMP of version 5 with its profile at the end."""
    plain = encoded(image, "BMP")
    info, pixels = bytearray(plain[14:54]), plain[54:]
    info[:4] = struct.pack("<I", 124)
    rest = bytes(16) + b"DEBM" + bytes(36 + 12 + 4) + struct.pack("<III", 124 + len(pixels), len(profile), 0)
    size = 14 + 124 + len(pixels) + len(profile)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, 138) + bytes(info) + rest + pixels + profile


def rgb() -> Image.Image:
    return picture(np.random.default_rng(1), 60, 40)


def test_a_picture_comes_out_in_srgb() -> None:
    image = rgb()
    pixels = np.asarray(image).astype(int)
    out = np.asarray(decode(encoded(image, "PNG", icc_profile=swapped_profile())).image).astype(int)
    assert np.abs(out - pixels[:, :, [1, 0, 2]]).max() <= 3
    assert np.abs(out - pixels).max() > 30


@pytest.mark.parametrize("profile", [srgb_profile(), b""], ids=["srgb", "none"])
def test_srgb_and_no_profile_change_nothing(profile: bytes) -> None:
    image = rgb()
    found = decode(encoded(image, "PNG", icc_profile=profile))
    assert np.array_equal(np.asarray(found.image), np.asarray(image))
    assert found.info.note == ""
    assert "icc_profile" not in found.image.info


@pytest.mark.parametrize(
    "profile",
    [bytes(300), np.random.default_rng(0).bytes(500), srgb_profile()[:200], b"x" * 100],
    ids=["zeros", "random", "cut", "short"],
)
def test_a_damaged_profile_is_left_out_with_a_note(profile: bytes) -> None:
    image = rgb()
    data = encoded(image, "PNG", icc_profile=profile)
    assert np.array_equal(np.asarray(decode(data).image), np.asarray(image))
    assert inspect_image(data).note == DAMAGED


def test_a_profile_for_other_pictures_or_of_absurd_size_is_left_out() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for profile in (lab, srgb_profile() + bytes(MAX_PROFILE_BYTES)):
        buffer = io.BytesIO()
        rgb().save(buffer, "WEBP", lossless=True, icc_profile=profile)
        found = decode(buffer.getvalue())
        assert found.info.note == DAMAGED
        assert np.array_equal(np.asarray(found.image), np.asarray(rgb()))


def exchanged(data: bytes, image: Image.Image, tolerance: int = 4) -> bool:
    """Whether a file with `swapped_profile()` comes out with red and green exchanged, without a note."""
    found = decode(data)
    wanted = np.asarray(image.convert("RGB")).astype(int)[:, :, [1, 0, 2]]
    return found.info.note == "" and int(np.abs(found.pixels.astype(int) - wanted).max()) <= tolerance


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_is_used_in_every_mode_of_every_format(format: str, mode: str) -> None:
    image = rgb().quantize(200) if mode == "P" else rgb().convert(mode)
    shown = image.convert("RGB")
    options = {"lossless": True} if format == "WEBP" else {}
    assert exchanged(encoded(image, format, icc_profile=swapped_profile(), **options), shown)


def test_a_profile_is_used_beside_transparency_and_in_files_that_pillow_reads_no_profile_of() -> None:
    image = rgb()
    half = image.convert("RGBA")
    half.putalpha(128)
    for format in ("PNG", "TIFF"):
        found = decode(encoded(half, format, icc_profile=swapped_profile()))
        over_white = np.asarray(image).astype(int)[:, :, [1, 0, 2]] * 128 / 255 + 255 * 127 / 255
        assert np.abs(found.pixels - over_white).max() <= 4
    keyed = encoded(image, "PNG", transparency=(1, 2, 3), icc_profile=swapped_profile())
    assert exchanged(keyed, image)
    palette = image.quantize(200)
    assert exchanged(
        encoded(palette, "PNG", transparency=bytes([255] * 200), icc_profile=swapped_profile()), palette.convert("RGB")
    )
    assert exchanged(bmp_with_profile(image, swapped_profile()), image)
    linked = bmp_with_profile(image, b"c:\\colours.icc").replace(b"DEBM", b"KNIL", 1)
    assert decode(linked).info.note == "its colour profile lies in another file and was not used"


@pytest.mark.parametrize(
    ("format", "mode"), [("JPEG", "L"), *((format, mode) for format in ("PNG", "TIFF") for mode in ("L", "LA", "I;16"))]
)
def test_a_grey_picture_is_brought_to_srgb_by_a_grey_profile(format: str, mode: str) -> None:
    pixels = np.full((16, 16), 128 if mode != "I;16" else 128 << 8, dtype=np.uint8 if mode != "I;16" else np.uint16)
    image = Image.fromarray(pixels) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    found = decode(encoded(image, format, icc_profile=grey_profile(1.0)))
    assert found.info.note == ""
    assert np.abs(found.pixels.astype(int) - 188).max() <= 2, "half the light is 188 in sRGB"
    small = decode(encoded(image, format, icc_profile=grey_profile(1.0)), min_side=4)
    assert np.abs(small.pixels.astype(int) - 188).max() <= 2


def test_a_grey_picture_with_the_rgb_profile_of_its_program_keeps_its_tones() -> None:
    grey = rgb().convert("L")
    found = decode(encoded(grey, "JPEG", quality=95, icc_profile=srgb_profile()))
    assert found.info.note == ""
    assert np.abs(found.pixels[..., 0].astype(int) - np.asarray(grey)).max() <= 6


def test_a_profile_of_which_parts_are_missing_is_said() -> None:
    data = encoded(rgb(), "JPEG", icc_profile=srgb_profile())
    at = data.index(b"ICC_PROFILE\x00") + 12
    assert inspect_image(data[:at] + b"\x01\x02" + data[at + 2 :]).note == DAMAGED


def test_a_grey_profile_does_not_fit_a_coloured_picture() -> None:
    for format in ("PNG", "TIFF", "JPEG"):
        assert inspect_image(encoded(rgb(), format, icc_profile=grey_profile(1.8))).note == DAMAGED


def test_a_profile_that_is_too_large_or_damaged_costs_no_png_its_pixels() -> None:
    image = rgb()
    large = encoded(image, "PNG", icc_profile=bytes(2_000_000))
    at = (whole := encoded(image, "PNG", icc_profile=srgb_profile())).index(b"iCCP")
    for data in (large, whole[: at + 40] + b"\xff\xff\xff\xff" + whole[at + 44 :]):
        found = decode(data)
        assert found.info.note == DAMAGED
        assert np.array_equal(found.pixels, np.asarray(image))


def test_colours_by_numbers_that_are_not_srgbs_are_said() -> None:
    data = encoded(rgb(), "PNG")

    def with_points(points: bytes) -> str:
        return inspect_image(data[:33] + png_chunk(b"cICP", points) + data[33:]).note

    assert with_points(b"\x0c\x0d\x00\x01") == CODE_POINTS
    assert with_points(b"\x01\x0d\x00\x01") == ""


def test_a_profile_of_processing_elements_is_left_out() -> None:
    """Each element is gone through at each point of a table: a profile of 4 MB may have 60,000."""
    profile = srgb_profile() + b"mpet"
    assert inspect_image(encoded(rgb(), "PNG", icc_profile=profile)).note == DAMAGED
