"""Previews: as large as allowed, and never larger."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from facestats_pipeline.core.drawing.preview import EVENT_BYTES, preview
from facestats_pipeline.core.images.decoding import ImageProblem


def noise(width: int, height: int) -> bytes:
    """The picture that compresses worst."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("most", [EVENT_BYTES, EVENT_BYTES // 3, 6_000])
def test_a_preview_takes_no_more_than_allowed(most: int) -> None:
    made = preview(noise(900, 600), most)
    assert len(base64.b64encode(made)) <= most
    shown = Image.open(BytesIO(made))
    assert shown.format == "JPEG" and 1.4 < shown.width / shown.height < 1.6


def test_more_room_gives_a_larger_picture_and_none_is_enlarged() -> None:
    large, small = (Image.open(BytesIO(preview(noise(900, 600), most))) for most in (EVENT_BYTES, 6_000))
    assert large.width > small.width
    assert Image.open(BytesIO(preview(noise(80, 40)))).size == (80, 40)


def test_what_cannot_be_shown_is_said() -> None:
    with pytest.raises(ValueError, match="does not fit into 100 bytes"):
        preview(noise(90, 60), 100)
    with pytest.raises(ImageProblem):
        preview(b"no picture")
