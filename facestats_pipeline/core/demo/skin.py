"""The skin of a demo face: colour, relief with wrinkles, and marks."""

import math

import numpy as np

from facestats_pipeline.core.demo.canvas import Canvas, Colour, Plane, Window, blend, bump, linear, smooth
from facestats_pipeline.core.demo.latents import FaceLatents
from facestats_pipeline.core.demo.layout import Layout

_SKIN = tuple(
    linear(*rgb)
    for rgb in (
        (248, 222, 205), (239, 203, 180), (226, 181, 150), (204, 154, 119), (172, 120, 86), (136, 90, 63), (101, 66, 47), (72, 47, 36),
    )
)  # fmt: skip


def skin_colour(face: FaceLatents) -> Colour:
    """Albedo of the skin in linear light: interpolated along real skin tones from light to dark, tinted pink or golden."""
    red, green, blue = along(_SKIN, face.skin_tone)
    return (red, green * (1 + 0.03 * face.skin_warmth), blue * (1 - 0.13 * face.skin_warmth))


def along(colours: tuple[Colour, ...], share: float) -> Colour:
    """The colour at a position (0 first … 1 last) along a row of colours, interpolated."""
    place = share * (len(colours) - 1)
    low = min(int(place), len(colours) - 2)
    return blend(colours[low], colours[low + 1], place - low)


def relief(face: FaceLatents, layout: Layout, u: Plane, v: Plane) -> tuple[Plane, Plane]:
    """Depth to add to the dome in face units, and ambient occlusion (1 = open); both have the shape of u."""
    male = 1.0 if face.gender == "Male" else 0.0
    grown = 1 - layout.child
    w = np.abs(u)
    nose = layout.nose_y
    mid = u - np.float32(layout.skew[3]) * smooth(v, 0, nose) * smooth(v, nose + 0.25, nose)
    along = np.clip((v + 0.06) / (nose - 0.02), 0, 1)
    bridge = (0.055 + 0.022 * face.nose_bridge) * (1 - 0.5 * layout.child)
    height = (
        (bridge + (0.165 - 0.065 * layout.child - bridge) * along**1.3)
        * smooth(v, -0.24, 0.02)
        * smooth(v, nose + 0.075, nose - 0.075)
    )
    thick = 0.05 + 0.012 * face.nose_width + 0.045 * along
    z = height * np.exp(-((mid / thick) ** 2))
    half = layout.nose_half
    z += 0.05 * bump(mid, v, 0, nose - 0.045, 0.08, 0.07)
    wing = np.abs(mid)
    z += 0.06 * bump(wing, v, half * 0.78, nose - 0.02, 0.05, 0.05)
    z -= 0.02 * bump(wing, v, half * 1.2, nose - 0.01, 0.03, 0.06)
    # Eye sockets, eyeballs, brow ridge.
    flat = 1 - 0.55 * face.eyelid_fold
    z -= 0.075 * flat * (1 - 0.4 * layout.child) * bump(w, v, layout.eye_x - 0.04, -0.02, 0.17, 0.12)
    z += 0.055 * bump(w, v, layout.eye_x, 0.0, 0.115, 0.085)
    z += (0.02 + 0.022 * male) * grown * bump(w, v, 0.26, layout.brow_y + 0.02, 0.2, 0.06)
    z += 0.03 * bump(u, v, 0, -0.48, 0.34, 0.2)
    # Cheeks: full in children, lifted by a smile, hollow with age and low weight.
    z += (0.035 + 0.05 * face.smile + 0.05 * layout.child + 0.01 * face.weight) * bump(
        w, v, 0.36, 0.27 - 0.03 * face.smile, 0.17, 0.14
    )
    z += (0.015 * male - 0.035 * (1 - layout.child) + 0.014 * face.weight) * bump(w, v, 0.44, 0.56, 0.12, 0.16)
    # Rounding of the mouth, lips, the groove under them, chin.
    mouth, corner = layout.mouth_y, layout.mouth_half
    z += 0.05 * bump(u, v, 0, mouth, 0.24, 0.17)
    lips = 0.028 + 0.008 * face.lip_fullness
    z += lips * bump(u, v, 0, mouth - 0.045, corner * 0.7, 0.035) + lips * 1.2 * bump(
        u, v, 0, mouth + 0.06, corner * 0.6, 0.045
    )
    z -= 0.014 * bump(u, v, 0, mouth - 0.13, 0.03, 0.06) - 0.007 * bump(w, v, 0.05, mouth - 0.13, 0.025, 0.06)
    z -= 0.03 * bump(u, v, 0, mouth + 0.155, 0.16, 0.05)
    z += (0.05 + 0.012 * male) * bump(u, v, 0, mouth + 0.26, 0.15, 0.1)
    if male and face.texture % 5 == 0:
        z -= 0.02 * bump(u, v, 0, mouth + 0.28, 0.016, 0.06)
    z -= 0.03 * face.smile * bump(w, v, corner + 0.045, mouth - 0.03, 0.03, 0.05)
    z += _wrinkles(face, layout, u, v, w)
    shut = 0.42 * flat * bump(w, v, layout.eye_x - 0.06, -0.04, 0.15, 0.08)
    shut += 0.38 * bump(wing, v, half * 1.12, nose + 0.01, 0.035, 0.06)
    shut += 0.25 * bump(mid, v, 0, nose + 0.07, half * 0.9, 0.04)
    shut += 0.3 * bump(u, v, 0, mouth + 0.15, 0.15, 0.04)
    shut += 0.35 * bump(w, v, corner + 0.02, mouth, 0.035, 0.04)
    return z, (1 - np.minimum(shut, 0.7)).astype(np.float32)


def _wrinkles(face: FaceLatents, layout: Layout, u: Plane, v: Plane, w: Plane) -> Plane:
    """Depth of folds beside the mouth, bags under the eyes, crow's feet, forehead lines and jowls; age and smiling deepen them."""
    old, grown = layout.aged, 1 - layout.child
    nose, mouth = layout.nose_y, layout.mouth_y
    # From the wing of the nose to beside the corner of the mouth.
    t = np.clip((v - nose + 0.05) / (mouth - nose + 0.12), 0, 1)
    fold = w - (layout.nose_half + 0.02 + (layout.mouth_half - layout.nose_half + 0.075) * t**0.8)
    depth = 0.003 * grown + 0.024 * old + 0.013 * face.smile * (0.3 + 0.7 * grown)
    z: Plane = (
        -depth * np.exp(-((fold / 0.024) ** 2)) * smooth(v, nose - 0.08, nose) * smooth(v, mouth + 0.13, mouth - 0.02)
    )
    z += (
        depth
        * 0.8
        * np.exp(-(((fold - 0.07) / 0.06) ** 2))
        * smooth(v, nose - 0.1, nose)
        * smooth(v, mouth + 0.18, mouth)
    )
    if old <= 0.02:
        return z
    bag = np.hypot((w - layout.eye_x) / 1.15, v + 0.02)
    lower = smooth(v, 0.05, 0.1)
    z += (
        0.016 * old * np.exp(-(((bag - 0.13) / 0.035) ** 2)) * lower
        - 0.02 * old * np.exp(-(((bag - 0.195) / 0.018) ** 2)) * lower
    )
    wave = 0.022 * np.sin(u * 7 + face.texture % 7) + 0.05 * u * u
    for i in range(4):
        line = v - wave - (layout.brow_y - 0.13 - 0.085 * i) - 0.006 * math.sin(i * 2.4 + face.texture % 11)
        z -= (0.010 * old * (1 - 0.12 * i)) * np.exp(-((line / 0.0135) ** 2)) * smooth(w, 0.46, 0.18)
    angle = np.arctan2(v - 0.01, w - layout.eye_x - 0.06)
    reach = np.hypot(v - 0.01, w - layout.eye_x - 0.06)
    feet = np.cos(angle * 13 + 0.6) * smooth(np.abs(angle), 0.95, 0.55) * bump(reach, reach, 0.17, 0.17, 0.1, 0.1)
    z += 0.006 * old * (0.55 + 0.45 * face.smile) * feet
    z -= 0.013 * old * bump(w, v, 0.035, layout.brow_y + 0.0, 0.014, 0.07)
    droop = w - (layout.mouth_half + 0.045 + 0.25 * (v - mouth))
    z -= (
        0.018
        * old**1.5
        * np.exp(-((droop / 0.02) ** 2))
        * smooth(v, mouth, mouth + 0.06)
        * smooth(v, mouth + 0.27, mouth + 0.12)
    )
    z += 0.025 * old**1.5 * bump(w, v, 0.42, mouth + 0.14, 0.09, 0.09)
    return z


def skin_marks(canvas: Canvas, layout: Layout, where: Window, u: Plane, v: Plane, skin: Colour) -> Plane:
    """Albedo of the face (3, h, w): flushed and shaded zones, blotches, freckles, age spots, beard shadow, make-up."""
    face, w = canvas.face, np.abs(u)
    tone = np.empty((3, *u.shape), np.float32)
    for channel in range(3):
        tone[channel] = skin[channel]
    fair = 1 - 0.65 * face.skin_tone

    def tint(mask: Plane, red: float, green: float, blue: float) -> None:
        for channel, factor in enumerate((red, green, blue)):
            tone[channel] *= 1 + (factor - 1) * mask

    flush = (
        bump(w, v, 0.4, 0.3, 0.18, 0.15)
        + 0.8 * bump(u, v, 0, layout.nose_y - 0.05, 0.1, 0.1)
        + 0.4 * bump(u, v, 0, 0.93, 0.15, 0.1)
    )
    blush = 0.35 + 0.3 * layout.child + 0.55 * face.makeup
    tint(flush * blush * fair, 1.03, 0.80, 0.80)
    under = bump(w, v, layout.eye_x - 0.02, 0.12, 0.14, 0.05)
    tint(np.minimum(under * (0.15 + 0.85 * layout.aged + 0.35 * (1 - face.skin_evenness)), 1), 0.84, 0.78, 0.84)
    tint(bump(w, v, layout.eye_x, -0.06, 0.15, 0.05) * 0.5, 0.9, 0.84, 0.83)
    coarse, fine = canvas.noise(where, "clouds", 0.55), canvas.noise(where, "skin", 1.1)
    uneven = 1 - face.skin_evenness
    dark = face.skin_tone  # marks on dark skin are darker, on light skin redder
    tint(np.clip(coarse * 0.5, -1, 1) * (0.06 + 0.32 * uneven), 1.0 - 0.2 * dark, 0.84, 0.82)
    for channel in range(3):
        tone[channel] *= 1 + fine * np.float32(0.012 + 0.03 * uneven)
    # Blemishes are separate red or dark spots; uneven skin has more and stronger ones, since the rating depends on evenness.
    spots = smooth(canvas.noise(where, "curls", 2.2), 2.25 - 0.75 * uneven, 2.9 - 0.75 * uneven) * uneven
    tint(np.minimum(spots * 1.25, 1), 0.95 - 0.4 * dark, 0.62 - 0.12 * dark, 0.62 - 0.1 * dark)
    if face.freckles > 0.1:
        dots = smooth(canvas.noise(where, "curls", 0.8), 1.3, 2.2) * bump(w, v, 0.2, 0.22, 0.3, 0.2) * face.freckles
        tint(np.minimum(dots * 1.3, 1), 0.72, 0.58, 0.48)
    if layout.aged > 0.55:
        stains = smooth(canvas.noise(where, "curls", 2.6), 1.9, 2.3) * (layout.aged - 0.5) * 0.9
        tint(np.minimum(stains, 1), 0.78, 0.68, 0.6)
    if face.gender == "Male" and face.age > 16:
        shadow = (
            beard_area(layout, u, v) * (0.2 + 0.35 * face.hair_darkness) * (1 - 0.7 * face.grey) * (1 + 0.25 * fine)
        )
        tint(np.clip(shadow, 0, 1), 0.68, 0.72, 0.78)
    if face.makeup > 0.15:
        lid = bump(w, v, layout.eye_x + 0.01, -0.075, 0.13, 0.045) * face.makeup
        tint(lid, *((0.62, 0.52, 0.55), (0.72, 0.55, 0.45), (0.6, 0.6, 0.7))[face.texture % 3])
    return tone


def beard_area(layout: Layout, u: Plane, v: Plane) -> Plane:
    """Beard density, 0–1: jaw and chin below a line from the ear to the nose, and the upper lip."""
    w = np.abs(u)
    line = np.interp(
        w, (0.0, 0.14, 0.24, 0.34, 0.45, 0.53, 0.58, 0.62, 0.7), (0.49, 0.5, 0.58, 0.62, 0.56, 0.4, 0.2, -0.05, -0.1)
    ).astype(np.float32)
    line = line + np.float32(layout.nose_y - 0.42)
    bare = (
        bump(u, v, 0, layout.mouth_y + 0.13, 0.12, 0.035) * 0.4
        + bump(w, v, 0.26, layout.mouth_y + 0.1, 0.07, 0.08) * 0.25
    )
    result: Plane = smooth(v - line, -0.01, 0.13) * (1 - bare)
    return result
