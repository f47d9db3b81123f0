"""From the colours of a photo's own ICC profile to sRGB, which is what every later step takes pixels to be.

A phone's Display P3 read as sRGB is too pale; a CMYK scan without its profile is off altogether. Profiles are data from strangers: they
are bounded in size, have to fit the picture, and one that LittleCMS refuses is left out.
"""

import io
from functools import lru_cache

from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 * 2**20
"""Larger than the largest print profiles in use; the common ones have 0.5 to 3 kB."""
DAMAGED = "its colour profile is damaged and was not used"
_SPACES = {"RGB": "RGB", "CMYK": "CMYK"}  # mode of the picture → what its profile must describe


def profile_note(image: Image.Image) -> str:
    """DAMAGED for a picture whose profile cannot be used, else ""."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or image.mode not in _SPACES:
        return ""
    try:
        _transform(profile, image.mode)
    except ValueError:
        return DAMAGED
    return ""


def to_srgb(image: Image.Image) -> Image.Image:
    """An RGB or CMYK picture with a usable profile as sRGB; every other one unchanged."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or image.mode not in _SPACES or "transparency" in image.info:
        return image
    try:
        transform = _transform(profile, image.mode)
    except ValueError:
        return image
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way to sRGB; None for sRGB itself. Raises ValueError for a profile that does not fit or cannot be read."""
    if len(profile) > MAX_PROFILE_BYTES:
        raise ValueError("too large")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            raise ValueError("for other pictures")
        if (source.profile.profile_description or "").startswith("sRGB"):
            return None
        # No cache of the last colour: the transform is shared by threads. Perceptual intent, as ICC.1:2022 recommends for photos.
        return ImageCms.buildTransform(source, _srgb(), mode, "RGB", ImageCms.Intent.PERCEPTUAL, ImageCms.Flags.NOCACHE)
    except (ImageCms.PyCMSError, OSError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
