"""What cameras and files do to a picture: light, colour, blur, coarse pixels, noise, JPEG. For training pictures."""

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def _light(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Brightness, contrast, gamma and a cast, as one table a channel."""
    ramp = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.06, 3))
    contrast, shift = np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.08) + rng.normal(0, 0.02, 3)
    table = np.clip(((ramp**gamma - 0.5) * contrast + 0.5 + shift) * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table.reshape(1, 256, 3)), np.uint8)


def _shadow(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A soft slope of light across the picture."""
    height, width = pixels.shape[:2]
    knots = np.exp(rng.normal(0, 0.4, (2, 2))).astype(np.float32)
    slope = cv2.resize(knots, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(pixels * slope[..., None], 0, 255), np.uint8)


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    kind, height, width = rng.random(), *pixels.shape[:2]
    if kind < 0.4:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.8)), np.uint8)
    if kind < 0.6:  # moved camera
        length, angle = int(rng.integers(3, 9)), rng.uniform(0, np.pi)
        kernel = np.zeros((length, length), np.float32)
        middle, reach = (length - 1) / 2, np.array((np.cos(angle), np.sin(angle))) * (length - 1) / 2
        ends = [tuple(round(middle + sign * v) for v in reach) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0)
        return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)
    scale = rng.uniform(0.35, 0.8)
    small = cv2.resize(pixels, (max(8, int(width * scale)), max(8, int(height * scale))), interpolation=cv2.INTER_AREA)
    how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)[int(rng.integers(3))]
    return np.asarray(cv2.resize(small, (width, height), interpolation=how), np.uint8)


def disturb(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """RGB pixels (h, w, 3) as another camera might have taken and stored them; the same size."""
    if rng.random() < 0.8:
        pixels = _light(pixels, rng)
    if rng.random() < 0.2:
        pixels = _shadow(pixels, rng)
    if rng.random() < 0.12:
        pixels = np.asarray(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    if rng.random() < 0.25:
        pixels = _blur(pixels, rng)
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(2, 16), pixels.shape[:2] + ((3,) if rng.random() < 0.5 else (1,)))
        pixels = np.clip(pixels + noise.astype(np.float32), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 95))])
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return pixels
