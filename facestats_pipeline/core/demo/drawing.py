"""Draws a demo face from its latent factors: a shaded relief of the head with skin, hair, clothes and a background.

The head is a dome over a polar outline. Nose, eye sockets, cheeks, lips and wrinkles are added to its depth, and one key light shades the
normals of the sum. Features use coordinates that turn with the head, so yaw moves them as on a solid.
"""

import math

import numpy as np
from PIL import Image

from facestats_pipeline.core.demo.canvas import Canvas, Colour, bump
from facestats_pipeline.core.demo.features import draw_eyes, draw_glasses, draw_mouth, draw_nostrils
from facestats_pipeline.core.demo.hair import draw_back_hair, draw_beard, draw_brows, draw_hair
from facestats_pipeline.core.demo.latents import FaceLatents
from facestats_pipeline.core.demo.layout import Head, Layout, layout_of
from facestats_pipeline.core.demo.scene import draw_background, draw_body
from facestats_pipeline.core.demo.skin import relief, skin_colour, skin_marks

_SUPERSAMPLE = 1.15  # drawn a little larger, then scaled down: that anti-aliases hair and lashes


def draw_face(face: FaceLatents, size: tuple[int, int] = (360, 450)) -> Image.Image:
    """Draw the face as an RGB photo of `size` (width, height) pixels. The same latents and size give the same pixels."""
    rng = np.random.default_rng(face.texture)
    canvas = Canvas(face, (round(size[0] * _SUPERSAMPLE), round(size[1] * _SUPERSAMPLE)), rng)
    layout = layout_of(face, rng)
    skin = skin_colour(face)
    # From back to front: every layer paints over those before it.
    draw_background(canvas)
    draw_back_hair(canvas, layout)
    draw_body(canvas, layout, skin)
    _draw_ears(canvas, layout, skin)
    _draw_head(canvas, layout, skin)
    draw_hair(canvas, layout)
    _finish(canvas)
    return canvas.picture(size)


def _draw_ears(canvas: Canvas, layout: Layout, skin: Colour) -> None:
    yaw = math.radians(canvas.face.yaw)
    for side in (-1, 1):
        cx = side * layout.ear_x * math.cos(yaw) + 0.12 * math.sin(yaw)
        where = canvas.window(cx - 0.25, -0.35, cx + 0.25, 0.7)
        x, y = (canvas.x[where] - cx) * side, canvas.y[where] - layout.ear_y
        x = x - 0.12 * y * -1  # ears lean outwards at the top
        rim = np.hypot(x / 0.125, y / (0.25 - 0.03 * np.sign(y))) - 1
        nx = np.clip(x * 5 * side, -0.9, 0.9)
        tone = canvas.shade(nx, np.full_like(nx, -0.1), np.sqrt(1 - nx * nx * 0.9), 0.72)
        hollow = bump(x, y, -0.01, 0.0, 0.06, 0.13) * 0.42 + bump(x, y, 0.05, -0.1, 0.02, 0.12) * 0.15
        colour = np.asarray((skin[0], skin[1] * 0.88, skin[2] * 0.85), np.float32)[:, None, None] * tone * (1 - hollow)
        canvas.paint(where, canvas.inside(rim * 0.13, 1.5), colour)


def _draw_head(canvas: Canvas, layout: Layout, skin: Colour) -> None:
    face = canvas.face
    where = canvas.window(-0.84, -1.18, 0.84, 1.2)
    u, v, rho, dome, outline = layout.project(canvas.x[where], canvas.y[where])
    shape, occlusion = relief(face, layout, u, v)
    depth = dome + shape
    zy, zx = np.gradient(depth, canvas.px)
    bound = 2.6  # the dome is vertical at its rim
    zx, zy = np.clip(zx, -bound, bound), np.clip(zy, -bound, bound)
    grain = canvas.noise(where, "skin", 1.0) * (0.012 + 0.04 * (1 - face.skin_evenness) + 0.012 * layout.aged)
    zx, zy = zx + grain, zy + np.roll(grain, 7, axis=1)
    nz = 1 / np.sqrt(1 + zx * zx + zy * zy)
    nx, ny = -zx * nz, -zy * nz
    # A relief casts no shadows by itself: the nose's shadow, on the side away from the key light, is added by hand.
    cast = bump(u, v, -0.16 * canvas.light[0], layout.nose_y + 0.07, 0.10, 0.07) * max(-canvas.light[1], 0.0) * 0.5
    cast = (
        cast
        + bump(u, v, -0.15 * math.copysign(1, canvas.light[0]), layout.nose_y - 0.12, 0.08, 0.16)
        * min(abs(canvas.light[0]), 0.8)
        * 0.55
    )
    occlusion = np.clip(occlusion * (1 - cast * (1 - face.light_softness)), 0.1, 1.1)
    light = canvas.shade(nx, ny, nz, occlusion)
    albedo = skin_marks(canvas, layout, where, u, v, skin)
    lx, ly, lz = canvas.light
    length = math.sqrt(lx * lx + ly * ly + (lz + 1) ** 2)
    gloss = np.maximum((nx * lx + ny * ly + nz * (lz + 1)) / length, 0) ** 22
    oily = 0.05 + 0.10 * (
        bump(u, v, 0, -0.4, 0.3, 0.2) + bump(u, v, 0, 0.2, 0.08, 0.3) + bump(np.abs(u), v, 0.34, 0.22, 0.13, 0.12)
    )
    tone = albedo * light + gloss * oily * canvas.key * 0.7
    mask = canvas.inside((rho - 1) * outline, 1.6)
    canvas.paint(where, mask, tone)
    head = Head(where, u, v, rho, mask, light)
    draw_nostrils(canvas, layout, head)
    draw_mouth(canvas, layout, head, skin)
    draw_eyes(canvas, layout, head, skin)
    draw_brows(canvas, layout, head)
    draw_beard(canvas, layout, head)
    if face.glasses:
        draw_glasses(canvas, layout, head)


def _finish(canvas: Canvas) -> None:
    """Imitate the camera: darker corners, and sensor noise that shows most in the shadows."""
    away = (canvas.bx / canvas.bx.max()) ** 2 + ((canvas.by - 0.3) / canvas.by.max()) ** 2
    canvas.rgb *= 1 - 0.09 * away
    everything = (slice(0, canvas.rgb.shape[1]), slice(0, canvas.rgb.shape[2]))
    noise = canvas.noise(everything, "grain", 110 * canvas.px)
    amount = 0.012 + 0.02 * float(canvas.rng.random()) ** 2
    canvas.rgb *= 1 + amount * noise
    canvas.rgb += np.float32(0.0008) * (1 + noise)
    np.maximum(canvas.rgb, 0, out=canvas.rgb)
