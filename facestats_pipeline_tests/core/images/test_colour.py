"""Colour profiles: used where they fit, left out with a note where they do not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from facestats_pipeline.core.images.colour import DAMAGED, MAX_PROFILE_BYTES
from facestats_pipeline.core.images.decoding import decode, inspect_image
from facestats_pipeline_tests.hostile import encoded, picture, srgb_profile

MATRICES = {"rXYZ": "gXYZ", "gXYZ": "rXYZ"}


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and green exchanged: a picture in it has its red and green exchanged in sRGB."""
    data = bytearray(srgb_profile())
    table = {bytes(data[132 + 12 * i : 136 + 12 * i]).decode(): 132 + 12 * i for i in range(data[131])}
    red, green = (data[table[name] + 4 : table[name] + 12] for name in ("rXYZ", "gXYZ"))
    data[table["rXYZ"] + 4 : table["rXYZ"] + 12], data[table["gXYZ"] + 4 : table["gXYZ"] + 12] = green, red
    at = int.from_bytes(data[table["desc"] + 4 : table["desc"] + 8], "big")
    return bytes(data).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")) if at else bytes(data)


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
