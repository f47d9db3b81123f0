"""Previews: small JPEG copies of pictures with a hard size limit, for Dagster's event database."""

import io

from PIL import Image

from facestats_pipeline.core.images.decoding import decode_image

EVENT_BYTES = 50_000
"""Size limit of all previews of one event, in bytes of base64 text."""
SIDES = (720, 600, 480, 360, 240, 160, 96)
"""Lengths of the longer side in pixels, tried from large to small."""
QUALITIES = (80, 60, 40)


def preview(picture: bytes, most: int = EVENT_BYTES) -> bytes:
    """`picture` (the bytes of an image file) as the largest JPEG whose base64 text has at most `most` bytes; it is never enlarged.

    Raises:
        ImageProblem: when the picture cannot be read.
        ValueError: when even the smallest preview exceeds `most`.
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
