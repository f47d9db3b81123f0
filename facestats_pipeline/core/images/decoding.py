"""From the bytes of a photo to RGB pixels: upright, over white, 8 bits, and decoded no larger than needed.

Coordinates here and in every module that takes a transform are continuous: pixel i covers [i, i+1), so a picture of width w spans
0 to w whatever its scale. A transform is a 2×3 float64 matrix: [x', y'] = M @ [x, y, 1].
"""

import io
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from facestats_pipeline.core.images.colour import to_rgb
from facestats_pipeline.core.images.formats import FORMATS
from facestats_pipeline.core.images.image_files import (
    MAX_PIXELS,
    ImageInfo,
    OpenedImage,
    QuietJpeg,
    open_image,
    stored_orientation,
)
from facestats_pipeline.core.images.jpeg_segments import mended
from facestats_pipeline.core.images.problems import ImageProblem, decoder_errors
from facestats_pipeline.core.images.resampling import Pixels, resize

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "DecodedImage",
    "ImageInfo",
    "ImageProblem",
    "Pixels",
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

PAD_GREY = (127, 127, 127)


@dataclass(frozen=True)
class DecodedImage:
    """`pixels`: upright RGB, uint8 (height, width, 3), a JPEG's perhaps at some eighths of its scale; `info`: of the whole photo;
    `transform`: upright photo px → picture px."""

    pixels: Pixels
    info: ImageInfo
    transform: Transform

    @cached_property
    def image(self) -> Image.Image:
        """The pixels as a Pillow picture, copied."""
        return Image.fromarray(self.pixels)

    @property
    def reduced(self) -> bool:
        return self.pixels.shape[:2] != (self.info.height, self.info.width)

    @property
    def scale(self) -> float:
        """Side of the picture as a share of the photo's: 1, or 1/8 to 4/8."""
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


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Stored pixels turned and mirrored as EXIF's orientation (1–8) says; a view where nothing has to move."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _load(opened: OpenedImage, shrink_to: int | None) -> tuple[Image.Image, float]:
    """Decode with Pillow; a JPEG at the smallest of 1, 1/2, 1/4, 1/8 that keeps the short side at least `shrink_to`. Also that scale."""
    image, scale = opened.image, 1.0
    if shrink_to is not None and opened.format == "JPEG":
        width = image.width
        drafted = image.draft("RGB", (shrink_to, shrink_to))
        if drafted is not None:
            scale = drafted[1][2] / width
    image.load()
    return image, scale


def _load_mended(data: bytes, opened: OpenedImage, shrink_to: int | None) -> tuple[Image.Image, float, str]:
    """`_load`, and a note: a JPEG that lacks its end mark or its last blocks is decoded with an end mark of ours."""
    try:
        return *_load(opened, shrink_to), ""
    except OSError as error:
        if opened.format != "JPEG" or "truncated" not in str(error):
            raise
    whole, note = mended(data, lambda file: _load(replace(opened, image=QuietJpeg(file)), None)[0])
    return *_load(replace(opened, image=QuietJpeg(io.BytesIO(whole))), shrink_to), note


def _eighths(short: int, shrink_to: int | None) -> int:
    """The least n of 1, 2, 3, 4, 8 for which a short side at n/8 is at least `shrink_to`.

    libjpeg-turbo has 5/8 to 7/8 too, but without vector instructions: a 1600² JPEG takes 17–23 ms at these, 14 ms at full scale.
    """
    return next((n for n in (1, 2, 3, 4) if shrink_to is not None and -(-short * n // 8) >= shrink_to), 8)


def _load_turbo(data: bytes, opened: OpenedImage, shrink_to: int | None) -> tuple[Pixels, float] | None:
    """Pixels and scale of an ordinary JPEG, straight from libjpeg-turbo; None for whatever it has a remark on, which Pillow judges."""
    if opened.format != "JPEG" or opened.image.mode not in ("RGB", "L"):
        return None
    width, height = opened.image.size
    n = _eighths(min(width, height), shrink_to)
    wanted = (-(-height * n // 8), -(-width * n // 8))
    least = wanted if n < 8 else (0, 0)
    try:
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=least[0], min_width=least[1], strict=True)
    except (ValueError, TypeError):
        return None
    if pixels.shape != (*wanted, 3):
        return None
    if opened.image.info.get("icc_profile"):
        image = Image.fromarray(pixels if opened.image.mode == "RGB" else np.ascontiguousarray(pixels[..., 0]))
        image.info = {"icc_profile": opened.image.info["icc_profile"]}
        pixels = np.array(to_rgb(image))
    return pixels, n / 8


def decode(data: bytes, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """`decode_image` with the facts: the photo's own size and format, and where its pixels went. Raises ImageProblem only.

    Scaled decoding happens inside libjpeg-turbo's inverse DCT: `bench_preproc` has what it saves, and how like the plain way it looks.
    """
    opened = open_image(data, max_pixels=max_pixels)
    info = opened.info
    with decoder_errors():
        stored_size = opened.image.size
        loaded = _load_turbo(data, opened, min_side)
        if loaded is None:
            image, scale, note = _load_mended(data, opened, min_side)
            loaded = np.array(to_rgb(image)), scale
            info = info.noted(note)
        stored, scale = loaded
        pixels = _upright(stored, opened.orientation)
    shrink = np.array([[scale, 0, 0], [0, scale, 0]], dtype=np.float64)
    transform = compose(
        _uprighting(opened.orientation, stored.shape[1], stored.shape[0]),
        compose(shrink, invert(_uprighting(opened.orientation, *stored_size))),
    )
    return DecodedImage(pixels, info, transform)


def decode_image(data: bytes, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The photo as an upright RGB picture. With `min_side` px, a JPEG may come at 1/8 to 4/8 scale, its short side no smaller.

    Raises ImageProblem and nothing else, whatever the bytes are.
    """
    return decode(data, min_side=min_side, max_pixels=max_pixels).image


def inspect_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Size, format and note of a photo whose pixels do decode to the end (a JPEG's at 1/8 scale). Raises ImageProblem only."""
    opened = open_image(data, max_pixels=max_pixels)
    info = opened.info
    with decoder_errors():
        _, _, note = _load_mended(data, opened, 1)
    return info.noted(note)


def fit_square(pixels: Pixels, size: int = 512, fit: str = "crop") -> tuple[Pixels, Transform]:
    """A size×size picture, uint8 (size, size, 3), without squashing, and the transform from px of `pixels` to its px.

    `crop` keeps the middle square; `pad` keeps everything, grey around it. Resampled with `resampling.resize`.
    """
    height, width = pixels.shape[:2]
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        scale = size / side
        out = resize(pixels[top : top + side, left : left + side], size, size)
        return out, np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], dtype=np.float64)
    if fit == "pad":
        longest = max(width, height)
        w, h = (max(1, round(side * size / longest)) for side in (width, height))
        left, top = (size - w) // 2, (size - h) // 2
        out = np.full((size, size, 3), PAD_GREY, dtype=np.uint8)
        out[top : top + h, left : left + w] = resize(pixels, w, h)
        return out, np.array([[w / width, 0, left], [0, h / height, top]], dtype=np.float64)
    raise ValueError(f"fit is {fit!r}; it must be 'crop' or 'pad'")


def encode_jpeg(image: Image.Image | Pixels, quality: int = 95) -> bytes:
    """Baseline JPEG bytes, 4:2:0, without any metadata, of an RGB picture or uint8 pixels (height, width, 3)."""
    pixels = np.ascontiguousarray(np.asarray(image))
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="420"))


def preprocess_image(
    source: bytes | str | Path | Image.Image, *, size: int = 512, fit: str = "crop", max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """One photo (its bytes, its path, or a picture) as an upright RGB size×size picture, not squashed.

    Raises ImageProblem, and OSError when a path cannot be read.
    """
    if isinstance(source, Image.Image):
        orientation = stored_orientation(source)
        with decoder_errors():
            pixels = _upright(np.array(to_rgb(source)), orientation)
    else:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        pixels = decode(data, min_side=size, max_pixels=max_pixels).pixels
    return Image.fromarray(fit_square(pixels, size, fit)[0])
