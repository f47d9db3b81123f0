"""The surroundings of a demo face: background, neck, shoulders and clothes."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from facestats_pipeline.core.demo.canvas import (
    Canvas,
    Colour,
    Plane,
    Window,
    blend,
    bump,
    linear,
    polygon,
    smooth,
    times,
)
from facestats_pipeline.core.demo.layout import Layout

_SHRINK = 6  # backgrounds are out of focus, so they are drawn small and enlarged


def _hsv(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return int(red * 255), int(green * 255), int(blue * 255)


def draw_background(canvas: Canvas) -> None:
    """Fill the canvas with the face's background, out of focus."""
    rng, kind = canvas.rng, canvas.face.background
    height, width = canvas.rgb.shape[1:]
    w, h = width // _SHRINK + 2, height // _SHRINK + 2
    hue = float(rng.random())
    ink = Image.new("RGB", (w, h))
    draw = ImageDraw.Draw(ink)
    blur = 0.026 * h

    def fill(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> None:
        for row in range(h):
            t = row / h
            draw.line((0, row, w, row), fill=tuple(int(a + (b - a) * t) for a, b in zip(top, bottom, strict=True)))

    def blob(x: float, y: float, r: float, colour: tuple[int, int, int]) -> None:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    if kind == "studio":
        value = rng.uniform(0.25, 0.95)
        fill(_hsv(hue, rng.uniform(0, 0.3), value), _hsv(hue, rng.uniform(0, 0.35), value * 0.8))
    elif kind == "wall":
        base = rng.uniform(0.45, 0.92)
        fill(_hsv(hue, 0.22, base), _hsv(hue, 0.2, base * 0.9))
        if rng.random() < 0.5:
            course = max(int(h * 0.07), 3)
            for row in range(0, h, course):
                draw.line((0, row, w, row), fill=_hsv(hue, 0.15, base * 0.72))
                for column in range((row // course % 2) * course, w, course * 2):
                    draw.line((column, row, column, row + course), fill=_hsv(hue, 0.15, base * 0.78))
            blur = 0.006 * h
    elif kind == "garden":
        fill(_hsv(0.24, 0.35, 0.75), _hsv(0.28, 0.6, 0.3))
        for _ in range(90):
            colour = _hsv(rng.normal(0.26, 0.04), rng.uniform(0.25, 0.6), rng.uniform(0.15, 0.8))
            blob(rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.02, 0.1) * h, colour)
        for _ in range(6):
            blob(rng.uniform(0, w), rng.uniform(0, h * 0.7), rng.uniform(0.02, 0.05) * h, _hsv(hue, 0.5, 0.95))
    elif kind == "indoor":
        fill(_hsv(0.09, rng.uniform(0.08, 0.3), rng.uniform(0.5, 0.85)), _hsv(0.07, 0.35, 0.4))
        for _ in range(5):
            x, y = rng.uniform(-0.1, 0.9) * w, rng.uniform(-0.1, 0.7) * h
            right, low = x + rng.uniform(0.12, 0.4) * w, y + rng.uniform(0.12, 0.45) * h
            draw.rectangle((x, y, right, low), fill=_hsv(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.15, 0.98)))
            draw.rectangle((x, y, right, low), outline=_hsv(0.08, 0.4, 0.3))
    elif kind == "street":
        night = rng.random() < 0.4
        fill(_hsv(0.6, 0.25, 0.2 if night else 0.85), _hsv(0.08, 0.1, 0.12 if night else 0.5))
        x = -0.05 * w
        while x < w:
            step = rng.uniform(0.08, 0.25) * w
            tone = rng.uniform(0.12, 0.3) if night else rng.uniform(0.35, 0.8)
            draw.rectangle(
                (x, rng.uniform(0, 0.35) * h, x + step, h * 0.85), fill=_hsv(rng.uniform(0, 0.15), 0.25, tone)
            )
            x += step
        for _ in range(26 if night else 6):
            blob(
                rng.uniform(0, w),
                rng.uniform(0.1, 0.8) * h,
                rng.uniform(0.012, 0.03) * h,
                _hsv(rng.normal(0.1, 0.06), 0.6, 1),
            )
    else:
        fill(_hsv(rng.normal(0.57, 0.02), rng.uniform(0.2, 0.6), 0.95), _hsv(0.57, 0.12, 0.97))
        for _ in range(12):
            blob(rng.uniform(0, w), rng.uniform(0, 0.6) * h, rng.uniform(0.04, 0.12) * h, (238, 241, 245))
        draw.rectangle((0, h * rng.uniform(0.66, 0.85), w, h), fill=_hsv(rng.uniform(0.1, 0.5), 0.35, 0.5))
        blur = 0.035 * h
    soft = ink.filter(ImageFilter.GaussianBlur(blur)).resize((width, height), Image.Resampling.BICUBIC)
    canvas.rgb[:] = _LINEAR[np.asarray(soft)].transpose(2, 0, 1)
    if kind in ("studio", "wall"):  # light falls off away from the lamp
        glow = bump(canvas.bx, canvas.by, -0.8 * canvas.light[0], -0.2, 2.6, 2.8)
        canvas.rgb *= 0.55 + 0.55 * glow


_LINEAR = np.array([linear(v, v, v)[0] for v in range(256)], np.float32)


def draw_body(canvas: Canvas, layout: Layout, skin: Colour) -> None:
    """Draw neck, shoulders and clothes."""
    face, neck = canvas.face, layout.neck
    child = float(np.clip((15 - face.age) / 13, 0, 1))
    where = canvas.window(-4, 0.3, 4, 4)
    x, y = canvas.bx[where], canvas.by[where]
    away = np.abs(x)
    male = face.gender == "Male"
    span = (1.9 if male else 1.66) * (1 - 0.4 * child) + 0.06 * face.weight
    chin = float(layout.outline[180]) - 1.04
    top = 1.16 + 0.5 * chin + (0.02 if male else 0.06) - 0.1 * child
    _draw_neck(canvas, skin, neck, top, chin)
    # The shoulders slope away from the neck, then the arms turn down.
    line = top + 0.12 + 0.16 * away + 0.42 * (away / span) ** 5
    shape = canvas.inside(line - y, 1.5) * canvas.inside(away - span - 0.12 * smooth(y, top, top + 1.5), 3)
    _draw_clothes(canvas, where, x, y, shape, top, neck, span)


def _draw_neck(canvas: Canvas, skin: Colour, neck: float, top: float, chin: float) -> None:
    """Draw the neck: a cylinder that flares into the shoulders, in the shadow of the chin."""
    where = canvas.window(-1.25, 0.3, 1.25, 2.1)
    x, y = canvas.bx[where], canvas.by[where]
    away = np.abs(x)
    half = neck + 0.5 * smooth(y, top - 0.28, top + 0.42) ** 2
    nx = np.clip(x / half, -1, 1)
    nz = np.sqrt(1 - 0.9 * nx * nx)
    occlusion = 0.22 + 0.78 * smooth(y + 0.3 * away + 0.25 * x * canvas.light[0], 0.9 + chin, 1.5 + chin)
    light = canvas.shade(nx * 0.95, np.zeros_like(nx), nz, occlusion, wrap=0.2)
    muscle = bump(away, y, 0.17, top - 0.02, 0.06, 0.35) * 0.07 - bump(x, y, 0, top + 0.06, 0.09, 0.08) * 0.12
    tone = np.asarray(skin, np.float32)[:, None, None] * light * (1 + muscle)
    tone *= 1 + 0.03 * canvas.noise(where, "clouds")
    canvas.paint(where, canvas.inside(away - half), tone)


def _draw_clothes(
    canvas: Canvas, where: Window, x: Plane, y: Plane, shape: Plane, top: float, neck: float, span: float
) -> None:
    face, rng, away = canvas.face, canvas.rng, np.abs(x)
    kind = face.clothes
    muted = 0.15 + 0.45 * float(rng.random())
    value = 0.12 + 0.8 * face.clothes_value
    cloth = linear(*_hsv(face.clothes_hue, muted, value))
    if kind == "suit":
        cloth = linear(*_hsv(0.6 + 0.05 * float(rng.normal()), 0.25, 0.1 + 0.3 * face.clothes_value))
    folds = canvas.noise(where, "clouds", 2.2)
    fold_y, fold_x = np.gradient(folds)
    lean = np.clip(x / (span * 1.25), -1, 1)
    nx = np.clip(lean * 0.85 - fold_x * 2.2, -0.98, 0.98)
    ny = np.clip(-0.35 + 0.3 * (y - top) - fold_y * 2.2, -0.9, 0.5)
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.05))
    occlusion = 0.55 + 0.45 * smooth(y - 0.1 * away, top + 0.02, top + 0.6)
    light = canvas.shade(nx, ny, nz, occlusion, wrap=0.1)
    weave = 1 + 0.05 * canvas.noise(where, "grain", 0.8)
    lit = light * weave
    if face.clothes_hue * 7 % 1 < 0.25 and kind in ("tee", "jumper", "shirt"):
        stripe = np.sin((y - 0.12 * away) * (34 if kind == "shirt" else 19) if kind != "shirt" else x * 60)
        lit = lit * (1 - 0.3 * smooth(stripe, 0.1, 0.4))
    colour = np.asarray(cloth, np.float32)[:, None, None] * lit
    width = neck + (0.16 if kind != "vneck" else 0.2)
    depth = {"tee": 0.22, "jumper": 0.14, "vneck": 0.62, "hoodie": 0.2, "shirt": 0.5, "suit": 0.55}[kind]
    power = 2.4 if kind in ("tee", "jumper", "hoodie") else 1.05
    rim = top + 0.1 + depth * np.maximum(1 - (away / width) ** power, -0.6)
    if kind in ("shirt", "suit"):
        _draw_collar(canvas, where, x, y, shape, top, neck, cloth, lit)
        return
    neckline = canvas.inside(rim - y, 1.5)
    canvas.paint(where, shape * neckline, colour)
    band = canvas.inside(np.abs(y - rim - 0.045) - 0.045, 1.5) * shape * smooth(away, span * 0.5, span * 0.45)
    if kind == "hoodie":
        hood = canvas.inside(np.hypot(x * 1.0, (y - top - 0.1) * 1.9) - neck - 0.42, 2) * neckline
        canvas.paint(where, hood, colour * 0.82)
        canvas.paint(
            where,
            canvas.inside(np.abs(away - 0.13) - 0.017, 1.5) * smooth(y, top + 0.35, top + 0.4),
            blend(cloth, (0.8,) * 3, 0.7),
        )
    else:
        canvas.paint(where, band * 0.55, colour * 0.7)


def _draw_collar(
    canvas: Canvas, where: Window, x: Plane, y: Plane, shape: Plane, top: float, neck: float, cloth: Colour, lit: Plane
) -> None:
    """Draw an open shirt with collar and buttons, or a jacket with lapels over a shirt, some with a tie."""
    face, away = canvas.face, np.abs(x)
    suit = face.clothes == "suit"
    shirt = linear(*_hsv(float(canvas.rng.random()), 0.1, 0.94)) if suit else cloth
    fabric = np.asarray(shirt, np.float32)[:, None, None] * lit
    notch = 0.3 if suit else 0.42
    opening = top + notch - (notch + 0.1) * away / (neck + 0.06)
    canvas.paint(where, shape * canvas.inside(opening - y, 1.5), fabric)
    if not suit:
        placket = np.maximum(away - 0.012, top + notch - y)
        canvas.paint(where, canvas.inside(placket, 1.5) * 0.5, times(shirt, 0.25))
        for button in (0.55, 0.85, 1.15):
            canvas.paint(
                where,
                canvas.inside(np.hypot(x - 0.035, y - top - button) - 0.022, 1.5),
                blend(shirt, (0.5, 0.5, 0.5), 0.6),
            )
    elif face.gender == "Male" and face.clothes_hue < 0.75:
        silk = np.asarray(linear(*_hsv(face.clothes_hue * 3, 0.55, 0.45)), np.float32)[:, None, None] * lit
        knot = polygon(away, y, ((0.0, top + 0.2), (0.1, top + 0.2), (0.06, top + 0.37), (0.0, top + 0.37)))
        blade = np.maximum(away - 0.05 - 0.09 * np.maximum(y - top - 0.36, 0), top + 0.36 - y)
        canvas.paint(where, canvas.inside(blade, 1.5), silk)
        canvas.paint(where, canvas.inside(knot, 1.5), silk * 1.15)
    if suit:
        lapel = top + 1.5 - 1.5 * away / 0.5
        jacket = np.asarray(cloth, np.float32)[:, None, None] * lit
        canvas.paint(where, shape * canvas.inside(lapel - y, 1.5), jacket)
        turned = polygon(
            away, y, ((0.5, top - 0.02), (0.66, top + 0.1), (0.62, top + 0.55), (0.02, top + 1.5), (0.0, top + 1.5))
        )
        canvas.paint(where, canvas.inside(turned + 0.0, 5) * shape * 0.55, times(cloth, 0.2))
        canvas.paint(where, canvas.inside(turned + 0.012, 1.5) * shape, jacket * 1.12)
    leaf = polygon(
        away,
        y,
        ((neck + 0.02, top - 0.1), (neck + 0.2, top + 0.14), (0.2, top + notch + 0.16), (0.015, top + notch - 0.02)),
    )
    canvas.paint(where, canvas.inside(leaf - 0.012, 7) * 0.45, times(shirt, 0.12))
    canvas.paint(where, canvas.inside(leaf, 1.5), fabric * 1.1)
