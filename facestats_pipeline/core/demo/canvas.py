"""The canvas that a demo face is drawn on: pixels, coordinates of head and body, texture and lighting.

Lengths are in *face units*: 1 is the distance from the eye line to the tip of the chin (about 11 cm). x points right, y down, z to the
viewer; the origin lies between the eyes. Colours are linear-light RGB; only `Canvas.picture` converts to sRGB.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facestats_pipeline.core.demo.latents import FaceLatents

Plane = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]
Window = tuple[slice, slice]
TILE = 512


class Canvas:
    """Pixels `rgb` (3, h, w) float32, linear light, with two coordinates per pixel in face units.

    `x`, `y` belong to the head and roll with it; `bx`, `by` belong to the body and stay upright, up to a shift.
    """

    def __init__(self, face: FaceLatents, size: tuple[int, int], rng: np.random.Generator) -> None:
        width, height = size
        self.face, self.rng = face, rng
        self.size = size
        # Landscape photos show less above and below the head, so the head is drawn a little larger.
        self.unit = face.zoom * min(width, height) * (1.0 if height >= width else 1.12)
        self.px = 1 / self.unit
        self.rgb = np.zeros((3, height, width), np.float32)
        centre_x = width * (0.5 + rng.normal(0, 0.012 if height >= width else 0.05))
        centre_y = height / 2 - self.unit * rng.uniform(0.12, 0.3)
        roll = math.radians(face.roll)
        dx = ((np.arange(width) - centre_x) / self.unit).astype(np.float32)[None, :]
        dy = ((np.arange(height) - centre_y) / self.unit).astype(np.float32)[:, None]
        self.x: Plane = dx * np.float32(math.cos(roll)) + dy * np.float32(math.sin(roll))
        self.y: Plane = dy * np.float32(math.cos(roll)) - dx * np.float32(math.sin(roll))
        # The head rolls about the base of the neck, 1.1 below the eyes: the body is shifted back by what that moves the eyes.
        self.bx: Plane = dx + np.float32(1.1 * math.sin(roll)) + np.zeros_like(dy)
        self.by: Plane = dy + np.float32(1.1 * (1 - math.cos(roll))) + np.zeros_like(dx)
        azimuth, elevation = math.radians(face.light_azimuth), math.radians(face.light_elevation)
        self.light = (
            math.sin(azimuth) * math.cos(elevation),
            -math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        )
        warm = face.light_warmth
        self.light_colour: Colour = (1 + 0.16 * warm, 1.0, 1 - 0.22 * warm)
        self.fill = 0.25 + 0.42 * face.light_softness
        self.key = 1.16 - 0.55 * face.light_softness

    def window(self, x0: float, y0: float, x1: float, y1: float) -> Window:
        """Row and column slices that cover the box with these head coordinates, clipped to the canvas; at least one pixel."""
        height, width = self.rgb.shape[1:]
        corners_x, corners_y = [], []
        roll = math.radians(self.face.roll)
        origin_x = -float(self.bx[0, 0] - 1.1 * math.sin(roll)) * self.unit
        origin_y = -float(self.by[0, 0] - 1.1 * (1 - math.cos(roll))) * self.unit
        for x in (x0, x1):
            for y in (y0, y1):
                corners_x.append(origin_x + self.unit * (x * math.cos(roll) - y * math.sin(roll)))
                corners_y.append(origin_y + self.unit * (x * math.sin(roll) + y * math.cos(roll)))
        left = min(max(int(min(corners_x)), 0), width - 1)
        top = min(max(int(min(corners_y)), 0), height - 1)
        return (
            slice(top, min(max(int(max(corners_y)) + 1, top + 1), height)),
            slice(left, min(max(int(max(corners_x)) + 1, left + 1), width)),
        )

    def inside(self, distance: Plane, soft: float = 1.0) -> Plane:
        """Coverage 0–1 from a signed distance in face units (negative inside); `soft` is the width of the edge in pixels."""
        result: Plane = np.clip(np.float32(0.5) - distance * np.float32(self.unit / soft), 0, 1)
        return result

    def paint(self, where: Window, mask: Plane, colour: Colour | Plane) -> None:
        """Blend `colour` (one colour, or (3, h, w)) over the window with opacity `mask` (h, w)."""
        target = self.rgb[:, where[0], where[1]]
        paint = np.asarray(colour, np.float32)
        if paint.ndim == 1:
            paint = paint[:, None, None]
        target += (paint - target) * mask[None]

    def shade(self, nx: Plane, ny: Plane, nz: Plane, occlusion: Plane | float = 1.0, wrap: float = 0.25) -> Plane:
        """Light (3, h, w) on a surface with the unit normal (nx, ny, nz): hemispheric fill plus one wrapped key light.

        Red wraps further round than blue, because light that scatters under skin or hair reddens the edge of the shadow.
        """
        facing = nx * self.light[0] + ny * self.light[1] + nz * self.light[2]
        ambient = self.fill * (0.78 - 0.22 * ny) * occlusion
        out = np.empty((3, *facing.shape), np.float32)
        for channel, extra in enumerate((0.12, 0.02, 0.0)):
            reach = wrap + extra
            out[channel] = ambient + self.key * self.light_colour[channel] * np.maximum(
                (facing + reach) / (1 + reach), 0
            ) * (0.35 + 0.65 * occlusion)
        return out

    def noise(self, where: Window, kind: str, scale: float = 1.0) -> Plane:
        """Texture (h, w) of unit variance for a window, at a random offset.

        `kind` is a key of `tiles`; `scale` stretches the texture, where 1 stands for 110 pixels per face unit.
        """
        tile = tiles()[kind]
        height, width = where[0].stop - where[0].start, where[1].stop - where[1].start
        step = 110 * self.px / scale
        rows = ((np.arange(height) * step).astype(np.int64) + int(self.rng.integers(TILE))) % TILE
        columns = ((np.arange(width) * step).astype(np.int64) + int(self.rng.integers(TILE))) % TILE
        return tile[rows[:, None], columns[None, :]]

    def picture(self, size: tuple[int, int]) -> Image.Image:
        """The canvas as an sRGB photo of `size` (width, height): exposure, soft highlights, sRGB curve, then downscaling."""
        gain = np.float32(2.0**self.face.exposure * 4095 / _CURVE_TOP)
        index = np.minimum(self.rgb * gain, 4095).astype(np.uint16)
        image = Image.fromarray(np.ascontiguousarray(_tone_curve()[index].transpose(1, 2, 0)))
        return image if image.size == size else image.resize(size, Image.Resampling.HAMMING)


_CURVE_TOP = 2.0  # linear light that becomes full white


@lru_cache(maxsize=1)
def _tone_curve() -> NDArray[np.uint8]:
    # A table of 4,096 levels: the power function per pixel would take longer than the whole drawing of a face.
    linear = np.linspace(0, _CURVE_TOP, 4096)
    linear = np.where(linear < 0.7, linear, 0.7 + 0.3 * np.tanh((linear - 0.7) / 0.45))
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(np.maximum(linear, 1e-9), 1 / 2.4) - 0.055)
    return (srgb * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=1)
def tiles() -> dict[str, Plane]:
    """Kind → seamless texture tile (TILE, TILE) float32 of zero mean and unit variance: filtered white noise from a fixed seed."""
    rng = np.random.default_rng(20260)
    fy = np.fft.fftfreq(TILE)[:, None] * TILE
    fx = np.fft.fftfreq(TILE)[None, :] * TILE
    radius = np.hypot(fx, fy)
    spectra = {
        "clouds": 1 / np.maximum(radius, 2) ** 1.9,
        "skin": np.exp(-(((radius - 70) / 45) ** 2)) + 0.35 / np.maximum(radius, 4),
        "grain": np.exp(-((radius / 190) ** 2)),
        "strands": np.exp(-((fy / 6) ** 2)) * (np.exp(-((fx / 120) ** 2)) + 2.5 * np.exp(-((fx / 14) ** 2))),
        "curls": np.exp(-(((radius - 34) / 16) ** 2)),
    }
    textures = {}
    for kind, spectrum in spectra.items():
        values = np.fft.ifft2(np.fft.fft2(rng.standard_normal((TILE, TILE))) * spectrum).real
        textures[kind] = ((values - values.mean()) / values.std()).astype(np.float32)
    return textures


def linear(red: int, green: int, blue: int) -> Colour:
    """Convert an sRGB colour (0–255) to linear light."""
    r, g, b = (((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in (red, green, blue))
    return (r, g, b)


def blend(a: Colour, b: Colour, t: float) -> Colour:
    """Mix two colours: `t` = 0 gives a, 1 gives b."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def times(colour: Colour, factor: float) -> Colour:
    """The colour multiplied by `factor`: brighter above 1, darker below."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def smooth(x: Plane, low: float, high: float) -> Plane:
    """Smoothstep: 0 at `low`, 1 at `high`; `high` may be smaller than `low`."""
    t = np.clip((x - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    result: Plane = t * t * (3 - 2 * t)
    return result


def polygon(x: Plane, y: Plane, corners: tuple[tuple[float, float], ...]) -> Plane:
    """Signed distance (negative inside) to a convex polygon whose corners run clockwise on the canvas."""
    sides = []
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        length = math.hypot(x1 - x0, y1 - y0)
        sides.append(((y1 - y0) * (x - np.float32(x0)) - (x1 - x0) * (y - np.float32(y0))) * np.float32(1 / length))
    result: Plane = np.maximum.reduce(sides)
    return result


def bump(x: Plane, y: Plane, x0: float, y0: float, sx: float, sy: float) -> Plane:
    """A Gaussian of height 1 at (x0, y0), with the widths sx and sy."""
    return np.exp(
        -(((x - np.float32(x0)) * np.float32(1 / sx)) ** 2) - ((y - np.float32(y0)) * np.float32(1 / sy)) ** 2
    )
