"""Photos whose sharpness can be told apart."""

import cv2
import numpy as np
from PIL import Image

from facestats_pipeline_tests import hostile


def detailed_photo(width: int, height: int) -> bytes:
    """Detail at every scale, like a sharp photo: noise whose strength falls with its frequency."""
    rng = np.random.default_rng(3)
    total = np.zeros((height, width, 3))
    for octave in range(1, 9):
        layer = rng.normal(0, 2.0 ** (octave / 1.5), (max(2, height >> octave), max(2, width >> octave), 3))
        total += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(127 + total * 1.5, 0, 255).astype(np.uint8)
    return hostile.encoded(Image.fromarray(pixels), "JPEG", quality=92)
