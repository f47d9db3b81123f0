"""A small picture of a picture, for a page that keeps it in a database: at most as large as allowed, whatever it shows."""

import io

from PIL import Image

from facestats_pipeline.core.images.decoding import decode_image

EVENT_BYTES = 50_000
"""Most bytes of all previews of one event, as text."""
SIDES = (720, 600, 480, 360, 240, 160, 96)
"""Pixels of the longer side, tried in turn."""
QUALITIES = (80, 60, 40)


def preview(picture: bytes, most: int = EVENT_BYTES) -> bytes:
    """`picture` (a JPEG or PNG file) as a JPEG that takes at most `most` bytes in base 64: the largest that fits, never enlarged.

    Raises:
        ImageProblem: when it cannot be read.
        ValueError: when even the smallest is larger than `most`.
    """
    full = decode_image(picture)
    for side in SIDES:
        small = full.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=quality, optimize=True)
            if -(-buffer.tell() // 3) * 4 <= most:
                return buffer.getvalue()
    raise ValueError(f"a preview of {full.width}×{full.height} pixels does not fit into {most} bytes")
