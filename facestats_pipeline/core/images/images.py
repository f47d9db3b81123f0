"""From the bytes of a photo to RGB pixels: upright, over white, 8 bits, and decoded no larger than needed.

Coordinates here and in every module that takes a transform are continuous: pixel i covers [i, i+1), so a picture of width w spans
0 to w whatever its scale. A transform is a 2×3 float64 matrix: [x', y'] = M @ [x, y, 1].
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from facestats_pipeline.core.images.colour import to_srgb
from facestats_pipeline.core.images.image_files import (
    FORMATS,
    MAX_PIXELS,
    ImageInfo,
    ImageProblem,
    OpenedImage,
    decoder_errors,
    open_image,
    stored_orientation,
)

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "DecodedImage",
    "ImageInfo",
    "ImageProblem",
    "Transform",
    "compose",
    "decode",
    "decode_image",
    "encode_jpeg",
    "fit_square",
    "inspect_image",
    "invert",
    "preprocess_image",
]

Transform = npt.NDArray[np.float64]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PAD_GREY = (127, 127, 127)


@dataclass(frozen=True)
class DecodedImage:
    """`image`: upright RGB, perhaps at 1/2, 1/4 or 1/8 scale; `info`: of the whole photo; `transform`: upright photo px → image px."""

    image: Image.Image
    info: ImageInfo
    transform: Transform

    @property
    def reduced(self) -> bool:
        return self.image.size != (self.info.width, self.info.height)

    @property
    def scale(self) -> float:
        """Side of the image as a share of the photo's: 1, 1/2, 1/4 or 1/8."""
        return float(abs(np.linalg.det(self.transform[:, :2])) ** 0.5)


def compose(after: Transform, before: Transform) -> Transform:
    """The transform that applies `before` and then `after`."""
    return np.hstack([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2:] + after[:, 2:]])


def invert(transform: Transform) -> Transform:
    """The transform that undoes `transform`; raises numpy.linalg.LinAlgError when it is singular."""
    inverse = np.linalg.inv(transform[:, :2])
    return np.hstack([inverse, -inverse @ transform[:, 2:]])


def _uprighting(orientation: int, width: float, height: float) -> Transform:
    """Stored px → upright px of a width×height stored picture with this EXIF orientation."""
    rows = {
        1: ((1, 0, 0), (0, 1, 0)),
        2: ((-1, 0, width), (0, 1, 0)),
        3: ((-1, 0, width), (0, -1, height)),
        4: ((1, 0, 0), (0, -1, height)),
        5: ((0, 1, 0), (1, 0, 0)),
        6: ((0, -1, height), (1, 0, 0)),
        7: ((0, -1, height), (-1, 0, width)),
        8: ((0, 1, 0), (-1, 0, width)),
    }
    return np.array(rows[orientation], dtype=np.float64)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey pictures of 16 or 32 bits a pixel, or floating point, brought to 0–255; `convert` would cut them off at 255."""
    pixels = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((pixels >> 8).astype(np.uint8))
    values = np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    if image.mode == "F" and top <= 1.0:
        values *= 255.0
    elif top > 255.0:
        values *= 255.0 / max(top, 65535.0)
    return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow picture as RGB of 8 bits: colours by its profile if it has a usable one, transparent parts over white; no metadata.

    CMYK without a profile goes by Pillow's own inversion.
    """
    image = to_srgb(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    image.info = {}  # EXIF, GPS and comments of a photo never reach what the pipeline writes
    return image


def _load(opened: OpenedImage, shrink_to: int | None) -> tuple[Image.Image, float]:
    """Decode; a JPEG at the smallest of 1, 1/2, 1/4, 1/8 that keeps the short side at least `shrink_to`. Also that scale."""
    image, scale = opened.image, 1.0
    if shrink_to is not None and opened.format == "JPEG":
        width = image.width
        drafted = image.draft("RGB", (shrink_to, shrink_to))
        if drafted is not None:
            scale = drafted[1][2] / width
    image.load()
    return image, scale


def decode(data: bytes, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """`decode_image` with the facts: the photo's own size and format, and where its pixels went. Raises ImageProblem only.

    Scaled decoding happens inside libjpeg's inverse DCT. Against decoding all and resizing to 512 px with Lanczos it took 12 ms
    for 29 (1350²) and 30 for 199 (4000×3000) at SSIM 0.997; OpenCV's reduced decode was no faster at the same SSIM.
    """
    opened = open_image(data, max_pixels=max_pixels)
    info = opened.info
    with decoder_errors():
        stored_size = opened.image.size
        image, scale = _load(opened, min_side)
        image = to_rgb(image)
        upright = _UPRIGHT.get(opened.orientation)
        stored = image.size
        if upright is not None:
            image = image.transpose(upright)
    shrink = np.array([[scale, 0, 0], [0, scale, 0]], dtype=np.float64)
    transform = compose(
        _uprighting(opened.orientation, *stored), compose(shrink, invert(_uprighting(opened.orientation, *stored_size)))
    )
    return DecodedImage(image, info, transform)


def decode_image(data: bytes, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The photo as an upright RGB picture. With `min_side` px, a JPEG may come at 1/2, 1/4 or 1/8 scale, its short side no smaller.

    Raises ImageProblem and nothing else, whatever the bytes are.
    """
    return decode(data, min_side=min_side, max_pixels=max_pixels).image


def inspect_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Size, format and note of a photo whose pixels do decode to the end (a JPEG's at 1/8 scale). Raises ImageProblem only."""
    opened = open_image(data, max_pixels=max_pixels)
    info = opened.info
    with decoder_errors():
        _load(opened, 1)
    return info


def fit_square(image: Image.Image, size: int = 512, fit: str = "crop") -> tuple[Image.Image, Transform]:
    """A size×size picture without squashing, and the transform from `image` px to its px.

    `crop` keeps the middle square; `pad` keeps everything, grey around it. Resampled with Lanczos, which averages when shrinking.
    """
    width, height = image.size
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        out = image.resize(
            (size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side), reducing_gap=3.0
        )
        scale = size / side
        return out, np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], dtype=np.float64)
    if fit == "pad":
        longest = max(width, height)
        w, h = (max(1, round(side * size / longest)) for side in (width, height))
        left, top = (size - w) // 2, (size - h) // 2
        out = Image.new("RGB", (size, size), PAD_GREY)
        out.paste(image.resize((w, h), Image.Resampling.LANCZOS, reducing_gap=3.0), (left, top))
        return out, np.array([[w / width, 0, left], [0, h / height, top]], dtype=np.float64)
    raise ValueError(f"fit is {fit!r}; it must be 'crop' or 'pad'")


def encode_jpeg(image: Image.Image, quality: int = 95) -> bytes:
    """Baseline JPEG bytes, 4:2:0, without any metadata."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, comment=b"", exif=b"")
    return out.getvalue()


def preprocess_image(
    source: bytes | str | Path | Image.Image, *, size: int = 512, fit: str = "crop", max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """One photo (its bytes, its path, or a picture) as an upright RGB size×size picture, not squashed.

    Raises ImageProblem, and OSError when a path cannot be read.
    """
    if isinstance(source, Image.Image):
        orientation = stored_orientation(source)
        with decoder_errors():
            image = to_rgb(source)
        upright = _UPRIGHT.get(orientation)
        image = image.transpose(upright) if upright is not None else image
    else:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        image = decode_image(data, min_side=size, max_pixels=max_pixels)
    return fit_square(image, size, fit)[0]
