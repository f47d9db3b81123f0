"""Eye sharpness: the same for the same picture at another size or angle, less for a blurred one."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from facestats_pipeline.core.composites.sharpness import eye_sharpness


def eyes(scale: int) -> tuple[Image.Image, np.ndarray]:
    down, across = np.mgrid[0 : 120 * scale, 0 : 200 * scale] / scale
    centres = np.array([[60.0, 60.0], [140.0, 60.0]])
    dark = sum(np.exp(-((across - x) ** 2 + (down - y) ** 2) / 60) for x, y in centres)
    return Image.fromarray(np.rint(200 - 180 * dark).astype(np.uint8)).convert("RGB"), centres * scale


def test_size_and_roll_do_not_matter_and_blur_does() -> None:
    picture, (right, left) = eyes(1)
    sharp = eye_sharpness(picture, right, left)
    large, (big_right, big_left) = eyes(3)
    assert eye_sharpness(large, big_right, big_left) == pytest.approx(sharp, rel=0.03)
    upside = picture.transpose(Image.Transpose.ROTATE_180)
    assert eye_sharpness(upside, (140, 60), (60, 60)) == pytest.approx(sharp, rel=0.03)
    assert eye_sharpness(picture.filter(ImageFilter.GaussianBlur(6)), right, left) < 0.6 * sharp


def test_eyes_at_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="one point"):
        eye_sharpness(eyes(1)[0], (60, 60), (60, 60))
