"""How alike two pictures are."""

import cv2
import numpy as np
from PIL import Image


def ssim(a: Image.Image, b: Image.Image) -> float:
    """Structural similarity on the luma (Wang et al. 2004), Gaussian window of 11 px."""
    x, y = (np.asarray(image.convert("L"), dtype=np.float64) for image in (a, b))

    def blur(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return float((((2 * mx * my + 6.5) * (2 * vxy + 58.5)) / ((mx**2 + my**2 + 6.5) * (vx + vy + 58.5))).mean())
