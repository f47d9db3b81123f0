"""From the colours of a photo's own ICC profile to sRGB, which is what every later step takes pixels to be.

A phone's Display P3 read as sRGB is too pale; a CMYK scan without its profile is off altogether. A profile is used in every mode that a
picture can have, on its colours without their transparency. Profiles are data from strangers: they are bounded in size, have to fit the
picture, and one that LittleCMS refuses is left out; then the photo's row says so.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 * 2**20
"""Larger than the largest print profiles in use; the common ones have 0.5 to 3 kB."""
DAMAGED = "its colour profile is damaged or for pictures of another kind, and was not used"
_FITTING = {"RGB": ("RGB",), "CMYK": ("CMYK",), "L": ("GRAY", "RGB")}
"""Mode of the colours → what a profile may describe. Many a grey picture has the RGB profile of the program that made it."""


def profile_note(image: Image.Image) -> str:
    """DAMAGED for a picture whose profile cannot be used, else ""."""
    profile = image.info.get("icc_profile", b"")
    if profile == b"":
        return ""
    try:
        _transform(profile, _mode_of_colours(image.mode))
    except (ValueError, TypeError):  # Pillow gives None for a profile of which parts are missing
        return DAMAGED
    return ""


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow picture as RGB of 8 bits: colours by its profile if it has a usable one, transparent parts over white; no metadata.

    CMYK without a profile goes by Pillow's own inversion.
    """
    profile = image.info.get("icc_profile")
    colours, alpha = _parted(image)
    if isinstance(profile, bytes) and profile:
        try:
            transform, mode = _transform(profile, colours.mode)
            colours = colours if transform is None else transform.apply(colours.convert(mode))
        except ValueError:
            pass  # `profile_note` says so
    colours = colours.convert("RGB")
    if alpha is not None:
        colours.putalpha(alpha)
        colours = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    colours.info = {}  # EXIF, GPS and comments of a photo never reach what the pipeline writes
    return colours


def _mode_of_colours(mode: str) -> str:
    """L, RGB or CMYK: what `_parted` makes of a picture."""
    if mode == "CMYK":
        return mode
    return "L" if mode in ("1", "L", "LA", "La", "F") or mode.startswith("I") else "RGB"


def _parted(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours as L, RGB or CMYK, and their transparency as L, None where there is none."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    grey = _mode_of_colours(image.mode) == "L"
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        *_, alpha = (bands := image.convert("LA" if grey else "RGBA").split())
        return (bands[0] if grey else Image.merge("RGB", bands[:3])), alpha
    mode = _mode_of_colours(image.mode)
    return image if image.mode == mode else image.convert(mode), None


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


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The way to sRGB and the mode that it takes; None for sRGB itself. Raises ValueError for a profile that cannot be used."""
    if len(profile) > MAX_PROFILE_BYTES:
        raise ValueError("too large")
    if b"mpet" in profile:  # as many steps as it likes, over each point of a table: no photo needs them
        raise ValueError("made of processing elements")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space not in _FITTING[mode]:
            raise ValueError("for other pictures")
        if (source.profile.profile_description or "").startswith("sRGB"):
            return None, mode
        mode = "RGB" if space == "RGB" else mode
        # No cache of the last colour: the transform is shared by threads. Perceptual intent, as ICC.1:2022 recommends for photos.
        return ImageCms.buildTransform(
            source, _srgb(), mode, "RGB", ImageCms.Intent.PERCEPTUAL, ImageCms.Flags.NOCACHE
        ), mode
    except (ImageCms.PyCMSError, OSError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
