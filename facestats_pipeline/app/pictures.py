"""Small pictures for pages: thumbnails, faces on the map, and a photo with the detected face."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image, ImageDraw

from facestats_pipeline.core.drawing.palette import BLUE
from facestats_pipeline.core.images.decoding import Transform, decode, invert

BOX = (0, 158, 115)
"""Green of the Okabe-Ito palette: visible on every skin tone, also to colour-blind readers."""


def thumbnail(path: Path, side: int) -> bytes | None:
    """A square JPEG thumbnail of a preprocessed photo; None when the photo is missing or unreadable."""
    try:
        with Image.open(path) as photo:
            photo.draft("RGB", (side, side))
            small = photo.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    except OSError:
        return None
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def icon() -> Image.Image:
    """The page's icon. It is drawn here, because a named icon would be downloaded from the internet."""
    picture = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((6, 2, 58, 62), fill=BLUE)
    for box in ((20, 22, 27, 29), (37, 22, 44, 29)):
        draw.ellipse(box, fill="white")
    draw.arc((20, 28, 44, 50), 20, 160, fill="white", width=4)
    return picture


def as_png(image: Image.Image) -> bytes:
    """A picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def data_uri(jpeg: bytes) -> str:
    """A JPEG as a data URI, so that the page makes no request for it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def spread_out(sample: pl.DataFrame, across: int) -> pl.DataFrame:
    """Rows of a map sample that are spread out: in an `across` × `across` grid, the row nearest to the middle of each cell."""
    if sample.is_empty():
        return sample
    cells = []
    for axis in ("pca_x", "pca_y"):
        low, high = sample[axis].min(), sample[axis].max()
        place = (pl.col(axis) - low) / max(float(high) - float(low), 1e-9) * (across - 1e-6)  # type: ignore[arg-type]
        cells.append((place.floor().alias(f"{axis}_cell"), (place - place.floor() - 0.5).abs()))
    (x, dx), (y, dy) = cells
    return (
        sample.with_columns(x, y, (dx + dy).alias("off"))
        .sort("off", "image_id")
        .unique(["pca_x_cell", "pca_y_cell"], keep="first", maintain_order=True)
        .drop("pca_x_cell", "pca_y_cell", "off")
    )


def with_face_drawn(photo: bytes, row: dict[str, Any], *, side: int = 640) -> Image.Image:
    """The upright photo, at most `side` pixels wide or high, with the face box and five landmarks from a row of the table `preproc`.

    Raises ImageProblem when the photo cannot be decoded.
    """
    decoded = decode(photo, min_side=side)
    picture = decoded.image
    scale = min(1.0, side / max(picture.size))
    small = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    if row["face_box"] is None:
        return small
    to_photo = invert(np.asarray(row["transform"], dtype=np.float64).reshape(2, 3))
    x, y, w, h = row["face_box"]
    corners = _moved(_moved([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], to_photo), decoded.transform)
    points = _moved(_moved(np.asarray(row["landmarks"]).reshape(5, 2), to_photo), decoded.transform)
    draw = ImageDraw.Draw(small)
    width = max(2, small.width // 160)
    draw.line([tuple(p) for p in np.vstack([corners, corners[:2]]) * scale], fill=BOX, width=width, joint="curve")
    for px, py in points * scale:
        draw.ellipse((px - width, py - width, px + width, py + width), fill=BOX)
    return small


def _moved(points: Sequence[Any] | np.ndarray[Any, Any], transform: Transform) -> np.ndarray[Any, Any]:
    return np.asarray(points, dtype=np.float64) @ transform[:, :2].T + transform[:, 2]
