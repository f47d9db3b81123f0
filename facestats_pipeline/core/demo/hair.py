"""The hair of a demo face: colour, strands or curls, hair behind and in front of the shoulders, brows and beard."""

import numpy as np

from facestats_pipeline.core.demo.canvas import (
    TILE,
    Canvas,
    Colour,
    Plane,
    Window,
    blend,
    bump,
    linear,
    smooth,
    tiles,
    times,
)
from facestats_pipeline.core.demo.latents import FaceLatents
from facestats_pipeline.core.demo.layout import Head, Layout
from facestats_pipeline.core.demo.skin import along, beard_area

_HAIR = tuple(
    linear(*rgb) for rgb in ((222, 190, 132), (190, 146, 88), (138, 96, 58), (88, 58, 38), (48, 33, 26), (24, 19, 18))
)


def hair_colour(face: FaceLatents, grey: float) -> Colour:
    """Albedo of the hair in linear light; `grey` is the share of grey hair, 0–1."""
    natural = along(_HAIR, face.hair_darkness)
    natural = blend(natural, linear(150, 66, 30), face.hair_red * 0.75)
    return blend(natural, linear(205, 203, 200), grey)


def _strands(canvas: Canvas, layout: Layout, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Texture (about unit variance) that runs with the hair, and the distance from its roots along it.

    A fringe falls from the crown. Parted hair leaves the parting sideways and bends down: strands are parabolas. Short hair without
    a parting is brushed up and back from the hairline.
    """
    face, rng = canvas.face, canvas.rng
    style = _style(face)
    if style == "parted":
        dx, dy = x - np.float32(0.4 * face.hair_part), y + np.float32(0.95)
        bend = 1.9 if face.hair_length > 0.42 else 1.1
        across = (dy - bend * dx * dx) * 0.62
        reach = np.hypot(dx, np.maximum(dy, 0))
    else:
        root = -1.0 if style == "fringe" else layout.hairline + 0.35
        dx, dy = x - np.float32(0.25 * face.hair_part), y - np.float32(root)
        reach = np.hypot(dx, dy * 0.8)
        across = np.arctan2(dx, dy + 0.35 + 0.5 * reach if style == "fringe" else -dy) * (
            1.0 + 0.35 * np.minimum(reach, 2)
        )
    across = across + 0.09 * face.hair_curl * np.sin(
        reach * (9 + 6 * face.hair_curl) + 2 * across + float(rng.random()) * 6
    )
    rows = (reach * 46 + int(rng.integers(TILE))).astype(np.int32) % TILE
    columns = (across * 260 + int(rng.integers(TILE))).astype(np.int32) % TILE
    return np.clip(tiles()["strands"][rows, columns], -1.7, 1.7), reach


def _style(face: FaceLatents) -> str:
    if face.fringe > 0:
        return "fringe"
    if face.tied or (face.hair_length < 0.42 and face.texture % 5 < 2):
        return "back"
    return "parted"


def _curls(canvas: Canvas, where: Window) -> Plane:
    tight = 1.9 - 1.1 * canvas.face.hair_curl
    return np.clip(canvas.noise(where, "curls", tight), -1.8, 1.8)


def _lit_hair(canvas: Canvas, where: Window, x: Plane, y: Plane, texture: Plane, reach: Plane, behind: bool) -> Plane:
    """Colour (3, h, w) of hair with this texture: a rounded volume with a band of sheen and single grey strands."""
    face = canvas.face
    dark, pale = (np.asarray(hair_colour(face, t), np.float32)[:, None, None] for t in (0, 1))
    grey = np.clip(face.grey + texture * 0.4 * min(face.grey, 1 - face.grey) * (1 - 0.7 * face.hair_curl), 0, 1)
    base = dark if face.grey < 0.01 else dark + (pale - dark) * grey
    nx = np.clip(x / 1.0, -0.95, 0.95)
    ny = np.clip((y + 0.1) / 1.35, -0.9, 0.35)
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.04))
    light = canvas.shade(nx, ny, nz, 0.42 if behind else 0.82, wrap=0.1)
    sheen_at = 0.52 + 0.3 * max(-canvas.light[1], 0) - 0.25 * canvas.light[0] * np.sign(x) * np.minimum(np.abs(x), 1)
    band = np.exp(-(((reach - sheen_at) / 0.2) ** 2)) + 0.5 * np.exp(-(((reach - 1.35) / 0.25) ** 2))
    gloss = (
        band
        * np.maximum(0.55 + 0.6 * texture, 0)
        * (1 - 0.8 * face.hair_curl)
        * (0.02 if behind else 0.085)
        * canvas.key
    )
    contrast = 0.25 if face.hair_curl < 0.6 else 0.38
    light *= np.clip(1 + contrast * texture, 0.12, 2.4)
    return np.asarray(base * (light + 1.5 * gloss) + 0.12 * gloss, np.float32)


def _is_long(face: FaceLatents) -> bool:
    return face.hair_length > 0.42 and not face.tied


def _hang(face: FaceLatents) -> float:
    """The y at which long hair ends, in head coordinates."""
    return 0.55 + 1.9 * (face.hair_length - 0.42)


def _rise(face: FaceLatents) -> float:
    """How far the hair stands off the skull, as a share of the skull's radius."""
    if face.hair_length < 0.12:
        return 0.012 + 0.02 * face.hair_volume
    rise = 0.05 + 0.10 * face.hair_volume + 0.10 * face.hair_curl * (0.4 + face.hair_volume)
    return rise * (0.55 if face.tied else 1) * (1 - 0.75 * face.recession) * (0.6 + 0.4 * min(face.hair_length * 3, 1))


def _sides(layout: Layout, face: FaceLatents, y: Plane) -> Plane:
    """Outer half width of long hair at each height y: it widens below the cheeks with its volume and narrows towards the ends."""
    width = layout.ear_x * (1.06 + 0.3 * _rise(face)) + (
        0.03 + 0.16 * face.hair_volume + 0.22 * face.hair_curl
    ) * smooth(y, -0.5, 0.6)
    return width - 0.14 * smooth(y, _hang(face) - 0.5, _hang(face) + 0.1)


def draw_back_hair(canvas: Canvas, layout: Layout) -> None:
    """Draw the hair behind the neck, or the knot of hair worn up. Call it before the body is drawn."""
    face = canvas.face
    if face.hair_length <= 0.42:
        return
    where = canvas.window(-1.6, -1.9, 1.6, 2.6)
    x, y = canvas.x[where], canvas.y[where]
    texture, reach = _strands(canvas, layout, x, y)
    if face.hair_curl > 0.55:
        texture = 0.45 * texture + 0.75 * _curls(canvas, where)
    if face.tied:
        up = face.texture % 2 == 0
        cx, cy, size = (0.15 * face.hair_part, -1.22, 0.3) if up else (0.5 * np.sign(face.hair_part), 0.75, 0.34)
        distance = np.hypot((x - cx), (y - cy) / (1 if up else 1.7)) - size
    else:
        distance = np.maximum(np.abs(x) - _sides(layout, face, y), np.maximum(y - _hang(face), -y - 0.6))
    mask = canvas.inside(distance + 0.012 * texture, 3)
    canvas.paint(
        where, mask, _lit_hair(canvas, where, x, y, texture, reach, behind=not (face.tied and face.texture % 2 == 0))
    )


def draw_hair(canvas: Canvas, layout: Layout) -> None:
    """Draw the hair on the skull down to the hairline, and long hair that falls beside the face."""
    face = canvas.face
    if face.recession > 0.93 and face.hair_length < 0.12:
        return
    long = _is_long(face)
    wide = 1.45 if long else 1.1
    where = canvas.window(-wide, -1.6, wide, (_hang(face) + 0.2) if long else 0.6)
    x, y = canvas.x[where], canvas.y[where]
    u, v, rho, _, radius = layout.project(x, y)
    part = 0.4 * face.hair_part
    texture, reach = _strands(canvas, layout, x, y)
    if face.hair_curl > 0.55:
        mix = (face.hair_curl - 0.55) / 0.45
        texture = (1 - 0.6 * mix) * texture + (0.3 + 0.6 * mix) * _curls(canvas, where)
    fuzz = (0.010 + 0.016 * face.hair_curl) * (1 if face.hair_length > 0.12 else 0.3)
    # Outer edge: the skull, raised on top and less towards the ears; long hair adds its sides.
    crown = smooth(y, 0.25, -0.55)
    lift = _rise(face) * (0.25 + 0.75 * crown) * (1 + 0.25 * face.hair_part * np.clip(x, -1, 1))
    outer = (rho - 1 - lift) * radius
    if long:
        sides = np.maximum(np.abs(x) - _sides(layout, face, y), np.maximum(y - _hang(face), -y - 0.35))
        outer = np.minimum(outer + 10 * np.maximum(y - 0.2, 0), sides)
    # Inner edge: the face is bare below the hairline and between the sides.
    w = np.abs(u)
    temple = 0.12 + (0.10 if face.gender == "Male" else 0.02) * (1 - layout.child)
    line = (
        layout.hairline + 0.30 * (w / 0.6) ** 3 - temple * bump(w, w, 0.38, 0.38, 0.13, 0.13) * (0.5 + face.recession)
    )
    if face.recession > 0.3:
        line = line - (face.recession - 0.3) * 0.75 * smooth(w, 0.62, 0.36)
    if face.fringe > 0:
        sweep = 0.08 * face.hair_part * u + 0.03 * texture * (1 + face.hair_curl)
        line = np.maximum(
            line, (layout.brow_y - 0.17 + 0.13 * face.fringe - sweep) * smooth(w, 0.66, 0.5) - 2 * smooth(w, 0.5, 0.66)
        )
    if long:
        cover = 0.56 + 0.1 * (1 - face.hair_volume) + 0.05 * smooth(v, 0.3, 0.9)
        swing = 0.09 * face.hair_part * np.sign(u) * smooth(v, -0.5, 0.0)
        aside = w - (cover - swing + 0.02 * np.sin(v * 6 + face.texture % 5)) * (1 + 0.12 * smooth(v, 0.6, 1.3))
        bare = np.minimum(v - line, -aside)
    else:
        burn = 0.02 + 0.28 * min(face.hair_length, 0.4) + (0.08 if face.gender == "Male" else 0)
        side = w - np.interp(v, (-0.6, -0.25, 0.0, 0.3), (0.52, 0.575, 0.60, 0.63)).astype(np.float32)
        bare = np.maximum(np.minimum(v - line, -side), v - burn)
        if face.tied:
            bare = np.maximum(np.minimum(v - line, -(w - 0.60)), v - 0.05)
    edge = 3 + 9 * (face.hair_length < 0.12) + 6 * (face.hair_length < 0.42) * (face.gender == "Male")
    mask = canvas.inside(outer + fuzz * texture, 4) * canvas.inside(
        bare + (0.014 if long or face.fringe > 0 else 0.006) * texture, edge
    )
    if face.hair_length < 0.12:
        mask = mask * 0.82  # cropped hair lets the scalp through
    if face.recession > 0.5 and not long:
        mask = mask * (1 - 0.5 * (face.recession - 0.5) * smooth(y, -0.5, -0.9))
    # The hair casts a soft shadow on the brow and cheeks; without it, hair looks pasted on.
    shadow = smooth(bare, 0.10, 0.0) * smooth(rho, 1.02, 0.97) * (1 - mask) * 0.34
    canvas.paint(where, shadow, (0.015, 0.008, 0.006))
    colour = _lit_hair(canvas, where, x, y, texture, reach, behind=False)
    near = 1 - 0.4 * smooth(bare, -0.16, 0.0) * (0.3 + 0.7 * smooth(v, -0.6, 0.2))
    if _style(face) == "parted" and face.hair_length > 0.12 and face.hair_curl < 0.6:
        near = near * (1 - 0.45 * np.exp(-(((x - part) / 0.018) ** 2)) * smooth(y, -0.55, -0.7))
    canvas.paint(where, mask, colour * near)


def draw_brows(canvas: Canvas, layout: Layout, head: Head) -> None:
    """Draw the brows: two tapered arches of short hairs, on average heavier, lower and straighter in men."""
    face = canvas.face
    colour = times(hair_colour(face, face.grey * 0.65), 0.6)
    head = head.crop(canvas.window(*layout.around(0, layout.brow_y, 0.62)))
    u, v = head.u, head.v
    texture = canvas.noise(head.where, "grain", 0.9)
    for side in (-1, 1):
        x = (u * side - layout.eye_x - 0.01) / 0.215
        arch = 0.05 + 0.012 * face.brow_height + (0.02 if face.gender == "Female" else 0)
        middle = (
            layout.brow_y
            + layout.skew[0] * side * 0.8
            - arch * (1 - (x - 0.12) ** 2)
            + arch * 0.6
            + (0.012 + 0.03 * layout.aged) * x
        )
        thick = (
            (0.030 + 0.0075 * face.brow_weight)
            * (1 - 0.35 * layout.child)
            * np.interp(x, (-1, -0.5, 0.3, 1), (0.85, 1.1, 0.95, 0.3))
        )
        gap = np.abs(v - middle) - thick.astype(np.float32)
        slant = np.sin((u * side * 1.0 - v * 0.75) * 190) * 0.35 + texture * 0.5
        body = canvas.inside(gap + 0.009 * slant, 4.5) * smooth(np.abs(x + 0.02), 1.02, 0.85)
        strength = np.clip(0.74 + 0.07 * face.brow_weight + 0.16 * slant, 0.15, 0.95) * (1 - 0.25 * layout.child)
        canvas.paint(
            head.where,
            body * strength * head.mask,
            np.asarray(colour, np.float32)[:, None, None] * (0.25 + 0.75 * head.light),
        )


def draw_beard(canvas: Canvas, layout: Layout, head: Head) -> None:
    """Draw stubble or a beard over jaw and upper lip; a full beard hides the edge of the jaw."""
    face = canvas.face
    if face.beard <= 0.03:
        return
    area = beard_area(layout, head.u, head.v)
    lip = np.hypot(
        (head.u - layout.skew[1]) / (layout.mouth_half * 1.02),
        (head.v - layout.mouth_y - 0.012) / (0.105 + 0.03 * face.smile),
    )
    area = area * smooth(lip, 0.85, 1.05)
    kind = face.texture % 5
    if kind == 0:  # goatee and moustache
        area = area * smooth(np.abs(head.u), 0.34, 0.24)
    elif kind == 1 and face.beard > 0.3:  # moustache only
        area = area * smooth(head.v, layout.mouth_y + 0.05, layout.mouth_y - 0.02) * smooth(np.abs(head.u), 0.3, 0.2)
    spread = np.arctan2(head.u, head.v + 0.1)
    rows = (head.rho * 90 + int(canvas.rng.integers(TILE))).astype(np.int32) % TILE
    hairs = tiles()["strands"][rows, (spread * 330).astype(np.int32) % TILE]
    hairs = 0.6 * hairs + 0.5 * canvas.noise(head.where, "skin", 0.5)
    wanted = 0.1 + 1.25 * face.beard
    density = np.clip(area * wanted + 0.22 * hairs * np.minimum(area * 2, 1) * (1.1 - 0.7 * face.beard), 0, 0.93) * (
        area > 0.02
    )
    colour = np.asarray(hair_colour(face, min(face.grey * 1.15, 1)), np.float32)[:, None, None]
    shade = (0.18 + 0.62 * head.light) * np.clip(0.85 + 0.3 * hairs, 0.3, 1.6)[None]
    reach = canvas.inside((head.rho - 1 - 0.07 * max(face.beard - 0.3, 0) * (1 + hairs * 0.5)) * 0.9, 3)
    canvas.paint(head.where, density * np.maximum(head.mask, reach * (kind > 1)), colour * shade)
