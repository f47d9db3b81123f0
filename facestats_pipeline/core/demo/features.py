"""The features of a demo face: eyes, mouth, nostrils and glasses."""

import math

import numpy as np

from facestats_pipeline.core.demo.canvas import Canvas, Colour, blend, bump, linear, smooth, times
from facestats_pipeline.core.demo.layout import Head, Layout
from facestats_pipeline.core.demo.skin import along

_IRISES = tuple(linear(*rgb) for rgb in ((128, 160, 180), (118, 138, 112), (128, 94, 52), (84, 54, 32), (50, 31, 22)))


def draw_nostrils(canvas: Canvas, layout: Layout, head: Head) -> None:
    """Draw two soft dark openings under the tip of the nose and the crease of each wing."""
    head = head.crop(canvas.window(*layout.around(0, layout.nose_y, 0.34)))
    u, v = head.u - layout.skew[3] * 0.6, head.v
    w = np.abs(u)
    half, y = layout.nose_half, layout.nose_y
    hole = np.hypot((w - half * 0.47) / (half * 0.29), (v - y - 0.018 + 0.25 * (w - half * 0.47)) / 0.021)
    canvas.paint(head.where, smooth(hole, 1.35, 0.35) * 0.8 * head.mask, (0.03, 0.012, 0.008))
    crease = np.abs(np.hypot((w - half * 0.74) / 0.85, v - y + 0.035) - 0.062)
    crease = smooth(crease, 0.016, 0.003) * smooth(w, half * 0.85, half * 1.08) * smooth(v, y - 0.11, y - 0.03) * 0.38
    canvas.paint(head.where, crease * head.mask, (0.06, 0.025, 0.018))


def draw_eyes(canvas: Canvas, layout: Layout, head: Head, skin: Colour) -> None:
    """Draw the eyes: sclera, iris with a dark ring, pupil, highlights, lashes, crease and caruncle."""
    face = canvas.face
    iris = along(_IRISES, face.eye_darkness)
    gaze_x = -math.sin(layout.yaw) * 0.25 + float(canvas.rng.normal(0, 0.05))
    for side in (-1, 1):
        raise_by = layout.skew[0] * side * 0.5
        eye = head.crop(canvas.window(*layout.around(side * layout.eye_x, raise_by, 0.34)))
        where, light = eye.where, eye.light
        half = layout.eye_half
        tilt = 0.02 + 0.05 * face.eye_tilt - 0.04 * layout.aged
        x = (eye.u - side * layout.eye_x) * side / half  # 1 at the outer corner, -1 at the inner
        y = (eye.v - raise_by) / half + tilt * x
        open_by = layout.eye_open
        arch = np.maximum(1 - np.abs(x - 0.06 * (1 - x * x)) ** 2.2, 0) ** 0.85
        hood = 0.05 * layout.aged * smooth(x, 0.2, 1.0)
        upper = -open_by * 1.18 * arch + hood
        lower = open_by * 0.72 * np.maximum(1 - x * x, 0) ** 0.7
        span = (np.abs(x) - 1) * 0.6
        gap = np.maximum(np.maximum(upper - y, y - lower), span) * half
        opening = canvas.inside(gap, 1.3)
        # The eyeball is shaded as a sphere, darkened by the shadow of the upper lid.
        white = blend((0.74, 0.70, 0.67), (0.66, 0.56, 0.46), 0.25 + 0.5 * layout.aged)
        ball = np.clip(1.06 - 0.45 * x * x - 0.2 * y * y, 0.3, 1.1) * (0.38 + 0.62 * smooth(y - upper, 0.0, 0.3))
        mean_light = light.mean(axis=0)
        canvas.paint(
            where, opening, np.asarray(white, np.float32)[:, None, None] * (ball * (0.3 + 0.62 * mean_light))[None]
        )
        pink = smooth(x, -0.78, -0.96) * opening
        canvas.paint(where, pink * 0.7, np.asarray((0.42, 0.17, 0.14), np.float32)[:, None, None] * light)
        radius = 0.41 * (1 + 0.05 * layout.child)
        ix, iy = x - gaze_x * side, y + 0.03
        r = np.hypot(ix, iy) / radius
        fibres = 1 + 0.22 * np.sin(np.arctan2(iy, ix) * 23 + 3 * r) * smooth(r, 0.3, 0.6)
        depth = (0.55 + 0.6 * smooth(iy, -0.3, 0.35)) * fibres * (1 - 0.65 * smooth(r, 0.78, 1.0))
        shadow = 0.4 + 0.6 * smooth(y - upper, 0.0, 0.22)
        disc = opening * smooth(r, 1.06, 0.94)
        canvas.paint(
            where,
            disc,
            np.asarray(iris, np.float32)[:, None, None] * (depth * shadow * (0.45 + 0.75 * mean_light))[None],
        )
        canvas.paint(where, opening * smooth(r, 0.46, 0.38), (0.006, 0.005, 0.005))
        glint_x = ix - 0.15 * (1 if canvas.light[0] >= 0 else -1)
        glint = smooth(np.hypot(glint_x, iy + 0.14), 0.105, 0.06) * opening
        canvas.paint(where, glint * 0.92, (1.35, 1.35, 1.35))
        canvas.paint(where, smooth(np.hypot(ix + 0.14, iy - 0.17), 0.07, 0.02) * opening * 0.3, (0.8, 0.8, 0.85))
        # Lashes and liner above, a thin line below.
        dark = times(blend((0.02, 0.014, 0.012), (0.12, 0.07, 0.045), (1 - face.hair_darkness) * 0.7), 1.0)
        reach = smooth(np.abs(x), 1.12, 0.98)
        thick = 0.035 + (0.012 if face.gender == "Female" else 0.0) + 0.05 * face.makeup
        lash = (
            canvas.inside((np.abs(y - upper + thick * 0.3) - thick * (0.7 + 0.5 * smooth(x, -0.8, 0.6))) * half, 1.6)
            * reach
        )
        canvas.paint(where, lash * 0.9, dark)
        if face.gender == "Female" and face.age > 6:
            flick = np.hypot((x - 1.05) * 0.8, (y + 0.05 + 0.35 * (x - 1)) * 2.4)
            canvas.paint(where, smooth(flick, 0.17, 0.05) * (0.25 + 0.65 * face.makeup), dark)
        rim = canvas.inside((np.abs(y - lower - 0.02) - 0.018) * half, 2.0) * reach * (0.3 + 0.35 * face.makeup)
        canvas.paint(where, rim, times(skin, 0.22))
        shine = canvas.inside((np.abs(y - lower - 0.06) - 0.02) * half, 2.4) * reach * 0.25
        canvas.paint(where, shine, np.asarray(times(skin, 1.15), np.float32)[:, None, None] * light)
        # The crease is high and long on an open lid, and close to the lashes or absent on a folded one.
        lift = 0.24 - 0.15 * face.eyelid_fold - 0.07 * layout.aged
        crease = np.abs(y - (upper * (1.02 + 0.1 * (1 - face.eyelid_fold)) - lift))
        strength = (0.62 - 0.42 * face.eyelid_fold) * smooth(np.abs(x - 0.05), 1.2, 0.85)
        canvas.paint(
            where,
            smooth(crease, 0.075, 0.015) * strength,
            np.asarray(times(skin, 0.3), np.float32)[:, None, None] * light,
        )


def draw_mouth(canvas: Canvas, layout: Layout, head: Head, skin: Colour) -> None:
    """Draw the lips, closed or open over teeth; the corners rise with the smile."""
    face, smile = canvas.face, canvas.face.smile
    head = head.crop(canvas.window(*layout.around(0, layout.mouth_y, 0.44)))
    half, middle = layout.mouth_half, layout.mouth_y
    u = (head.u - layout.skew[1]) / half
    lifted = 0.13 * smile + 0.014
    v = head.v - middle - layout.skew[2] * (head.u - layout.skew[1])
    inside = np.clip(np.abs(u), 0, 1)
    seam = -lifted * (inside**1.8 - 0.3) + 0.008 * np.cos(u * 6)
    gape = max(smile - 0.36, 0) / 0.64
    body = np.maximum(1 - inside**2.2, 0)
    full = 1 + 0.16 * face.lip_fullness - 0.28 * layout.aged - 0.1 * layout.child
    bow = 1 - 0.26 * np.exp(-((u / 0.13) ** 2)) - 0.35 * inside
    top = seam - 0.07 * full * (1 - 0.22 * smile) * bow * np.minimum(body * 1.9, 1)
    opening = 0.108 * gape * body**0.75
    upper_edge = seam - 0.25 * opening
    lower_edge = seam + 0.9 * opening
    bottom = lower_edge + 0.098 * full * (1 - 0.2 * smile) * body**0.9
    rouge = np.array(skin, np.float32) * np.array((0.86, 0.52, 0.52), np.float32)
    if face.skin_tone > 0.6:
        rouge = rouge * np.array((0.92, 0.95, 1.0), np.float32)
    rouge = rouge * (1 - 0.18 * (face.gender == "Male")) + (
        0.08 * np.array(skin, np.float32) if face.gender == "Male" else 0
    )
    stick = np.array(
        ((0.42, 0.05, 0.06), (0.5, 0.13, 0.14), (0.3, 0.03, 0.07), (0.48, 0.16, 0.10))[face.texture % 4], np.float32
    )
    strength = 0.7 * max(face.makeup - 0.2, 0)
    rouge = rouge * (1 - strength) + stick * strength
    light = head.light
    shape = np.maximum(np.maximum(top - v, v - bottom), (np.abs(u) - 1) * half)
    mask = canvas.inside(shape, 2.2) * head.mask
    above = smooth(v - upper_edge, 0.01, -0.01)
    roundness = np.where(
        above > 0.5, 0.80 + 0.16 * np.clip((v - top) / 0.05, 0, 1), 1.08 - 0.34 * np.clip((v - lower_edge) / 0.1, 0, 1)
    ).astype(np.float32)
    lines = 1 + 0.045 * np.sin(u * 55 + 4 * np.sin(u * 9))
    gloss = bump(u, v - lower_edge, -0.2 * canvas.light[0], 0.032, 0.4, 0.018) * (0.10 + 0.22 * strength) * canvas.key
    canvas.paint(head.where, mask * 0.93, rouge[:, None, None] * light * (roundness * lines)[None] + gloss[None])
    # The seam between the lips is darkest at the corners.
    seam_mask = (
        canvas.inside(np.abs(v - seam) - 0.008 - 0.004 * inside, 2.2) * smooth(np.abs(u), 1.08, 0.96) * head.mask
    )
    canvas.paint(head.where, seam_mask * (0.75 if gape == 0 else 0.3), (0.06, 0.018, 0.016))
    if gape > 0.02:
        cavity = np.maximum(np.maximum(upper_edge - v, v - lower_edge), (np.abs(u) - 0.93) * half)
        hollow = canvas.inside(cavity, 1.8) * head.mask
        canvas.paint(head.where, hollow, (0.035, 0.010, 0.010))
        teeth_low = (
            upper_edge + np.minimum(0.094, (lower_edge - upper_edge) * 0.95) - 0.006 * np.abs(np.sin(u * half * 26))
        )
        teeth = canvas.inside(np.maximum(cavity, v - teeth_low), 2.0) * smooth(np.abs(u), 0.92, 0.72)
        gap = 1 - 0.22 * smooth(np.abs(np.sin(u * half * 26)), 0.16, 0.0) - 0.5 * inside**2.2
        ivory = np.array(blend((0.78, 0.76, 0.70), (0.62, 0.55, 0.40), 0.9 * layout.aged), np.float32)
        lit = 0.30 + 0.62 * light.mean(axis=0)
        rim = 0.68 + 0.32 * smooth(v - upper_edge, 0.0, 0.03)
        canvas.paint(head.where, teeth * head.mask, ivory[:, None, None] * (lit * gap * rim)[None])
    corner = bump(np.abs(u), v - seam, 1.02, 0.0, 0.07, 0.02) * (0.35 + 0.35 * smile)
    canvas.paint(head.where, corner * head.mask, times(skin, 0.12))


def draw_glasses(canvas: Canvas, layout: Layout, head: Head) -> None:
    """Draw glasses: a frame of one of four shapes, a bridge, side pieces and a faint reflection."""
    face, rng = canvas.face, canvas.rng
    kind = face.texture % 4
    colour = ((0.012, 0.012, 0.014), (0.10, 0.045, 0.02), (0.22, 0.2, 0.18), (0.06, 0.01, 0.02))[int(rng.integers(4))]
    wide, tall = ((0.235, 0.165), (0.205, 0.195), (0.245, 0.15), (0.23, 0.185))[kind]
    power = (4.0, 2.0, 3.0, 2.6)[kind]
    rim = (0.017, 0.011, 0.02, 0.008)[kind]
    u, v = head.u, head.v - 0.035
    w = np.abs(u)
    x, y = (w - layout.eye_x - 0.005) / wide, v / (tall * (1 + (0.08 if kind == 2 else 0) * np.sign(-v)))
    ring = (np.abs(x) ** power + np.abs(y) ** power + 1e-9) ** (1 / power) - 1
    edge = np.abs(ring) * tall
    lens = smooth(ring, 0.02, -0.02)
    canvas.paint(head.where, lens * head.mask * 0.05, (0.5, 0.55, 0.6))
    streak = smooth(np.abs(x * 0.8 + y * 0.6 - 0.35 * np.sign(u)), 0.2, 0.1) * lens * 0.09
    canvas.paint(head.where, streak * head.mask, (1.1, 1.15, 1.2))
    below = canvas.inside(np.abs(ring - 0.10) * tall - rim * 0.8, 6) * smooth(v, -0.02, 0.08) * 0.25
    canvas.paint(head.where, below * head.mask, (0.03, 0.015, 0.01))
    frame = canvas.inside(edge - rim, 1.4)
    bridge = canvas.inside(np.maximum(np.abs(v + 0.05 + 0.5 * w * w) - rim * 1.1, w - layout.eye_x + wide * 0.9), 1.4)
    side = canvas.inside(np.maximum(np.abs(v + 0.05 - 0.08 * (w - 0.5)) - rim * 1.2, layout.eye_x + wide - w), 1.4)
    shine = 0.6 + 0.9 * smooth(v, 0.1, -0.16)
    paint = np.asarray(colour, np.float32)[:, None, None] * shine[None] + 0.02 * head.light
    canvas.paint(head.where, np.maximum(np.maximum(frame, bridge), side) * head.mask * 0.96, paint)
