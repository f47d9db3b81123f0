"""The layout of a demo face: the outline of the head and the positions of its features, computed from the latent factors."""

import math
from dataclasses import dataclass

import numpy as np

from facestats_pipeline.core.demo.canvas import Plane, Window
from facestats_pipeline.core.demo.latents import FaceLatents

_ANGLES = 720


@dataclass(frozen=True)
class Layout:
    """Positions and sizes in face units (see `canvas.py`); `*_x` are distances from the midline."""

    outline: Plane  # (720,) radius of the head's outline by angle, 0 = right, a quarter = down
    depth: float
    yaw: float  # radians
    pitch: float  # radians
    child: float  # 1 infant … 0 grown
    aged: float  # 0 young … 1 old
    eye_x: float
    eye_half: float  # half width of an eye
    eye_open: float  # half height of the opening, of the half width
    nose_y: float
    nose_half: float
    mouth_y: float
    mouth_half: float
    brow_y: float
    hairline: float
    ear_x: float
    ear_y: float
    neck: float
    skew: tuple[float, float, float, float]  # asymmetry: eye height, mouth shift, mouth tilt, nose bend

    def project(self, x: Plane, y: Plane) -> tuple[Plane, Plane, Plane, Plane, Plane]:
        """Map head coordinates to (u, v on the face, rho, depth of the bare dome, radius of the outline in this direction)."""
        x = x - np.float32(self.skew[1] * 0.5) * np.maximum(y, 0)
        angle = np.arctan2(y, x) * np.float32(_ANGLES / (2 * math.pi))
        low = np.floor(angle).astype(np.int32)
        part = angle - low
        radius = self.outline[low % _ANGLES] * (1 - part) + self.outline[(low + 1) % _ANGLES] * part
        rho = np.hypot(x, y) / radius
        dome = self.depth * np.sqrt(np.maximum(1 - np.minimum(rho, 1) ** 2.7, 0))
        turn, nod = math.sin(self.yaw), math.sin(self.pitch)
        u = x * math.cos(self.yaw) - dome * turn
        v = y * math.cos(self.pitch) - dome * nod * 0.9
        # The nose is nearer to the viewer, so its points move further when the head turns.
        ridge = np.exp(-((u / 0.13) ** 2) - ((v - 0.28) / 0.22) ** 2)
        u = u - ridge * np.float32(0.22 * turn)
        v = v - ridge * np.float32(0.16 * nod)
        return u.astype(np.float32), v.astype(np.float32), rho, dome, radius

    def around(self, u: float, v: float, reach: float) -> tuple[float, float, float, float]:
        """The box (x0, y0, x1, y1) in head coordinates that holds everything within `reach` of the point (u, v) of the face."""
        x = u * math.cos(self.yaw) + 0.9 * self.depth * math.sin(self.yaw)
        y = v * math.cos(self.pitch) + 0.9 * self.depth * math.sin(self.pitch)
        return (x - reach, y - reach, x + reach, y + reach)


@dataclass(frozen=True)
class Head:
    """The head in its window: `u`, `v` are coordinates on the face, which turn with it; `rho` is 0 at the centre, 1 at the outline."""

    where: Window
    u: Plane
    v: Plane
    rho: Plane
    mask: Plane  # coverage, 0–1
    light: Plane  # (3, h, w), what falls on the skin

    def crop(self, window: Window) -> "Head":
        """The part of the head inside a window of the canvas; the window is clipped to the head's own."""
        rows, columns = (
            slice(
                min(max(w.start - own.start, 0), own.stop - own.start - 1),
                min(max(w.stop - own.start, 1), own.stop - own.start),
            )
            for w, own in zip(window, self.where, strict=True)
        )
        where = tuple(
            slice(own.start + w.start, own.start + w.stop) for w, own in zip((rows, columns), self.where, strict=True)
        )
        part = (rows, columns)
        light = self.light[:, rows, columns]
        return Head((where[0], where[1]), self.u[part], self.v[part], self.rho[part], self.mask[part], light)


def layout_of(face: FaceLatents, rng: np.random.Generator) -> Layout:
    """Proportions of an average adult, modified by the latents. Infants get a high forehead, large eyes and a short lower face."""
    child = float(np.clip((15 - face.age) / 14, 0, 1)) ** 0.8
    aged = float(np.clip((face.age - 32) / 46, 0, 1.15))
    wide = 1 + 0.035 * face.face_width + 0.012 * face.weight + 0.03 * child
    jaw = 1 + 0.055 * face.jaw_width + 0.03 * face.weight + 0.03 * aged + 0.01 * child
    chin = 1.0 + 0.04 * face.chin_length - 0.19 * child
    blunt = 1 + 0.09 * face.jaw_width
    right = [
        (0.0, -1.10), (0.35, -1.02), (0.60, -0.76), (0.672, -0.42), (0.668, -0.1), (0.645 + 0.045 * child, 0.2),
        (0.598 * jaw, 0.48), (0.500 * jaw, 0.745 * chin), (0.325 * jaw * blunt**0.5, 0.945 * chin),
        (0.165 * blunt, 1.02 * chin), (0.0, 1.045 * chin),
    ]  # fmt: skip
    points = [(x * wide, y) for x, y in right]
    points += [(-x, y) for x, y in reversed(points[1:-1])]
    angles = np.array([math.atan2(y, x) for x, y in points]) % (2 * math.pi)
    radii = np.array([math.hypot(x, y) for x, y in points])
    order = np.argsort(angles)
    grid = np.arange(_ANGLES) * 2 * math.pi / _ANGLES
    table = np.interp(grid, angles[order], radii[order], period=2 * math.pi)
    taps = np.hanning(33)
    taps /= taps.sum()
    table = np.convolve(np.concatenate((table[-30:], table, table[:30])), taps, mode="same")[30:-30]
    uneven = (1 - face.symmetry) * rng.choice((-1.0, 1.0), 4) * rng.uniform(0.6, 1.0, 4)
    male = face.gender == "Male"
    return Layout(
        outline=table.astype(np.float32),
        depth=0.68,
        yaw=math.radians(face.yaw),
        pitch=math.radians(face.pitch),
        child=child,
        aged=aged,
        eye_x=(0.295 + 0.014 * face.eye_spacing) * (1 + 0.02 * face.face_width) + 0.005 * child,
        eye_half=0.156 * (1 + 0.05 * face.eye_size + 0.22 * child),
        eye_open=(
            0.40 + 0.03 * face.eye_size + 0.12 * child - 0.05 * aged - 0.05 * face.eyelid_fold - 0.09 * face.smile
        ),
        nose_y=(0.42 + 0.025 * face.nose_length - 0.145 * child + 0.015 * aged),
        nose_half=0.135 * (1 + 0.10 * face.nose_width - 0.22 * child + 0.05 * aged) * (1 + 0.07 * face.smile),
        mouth_y=(0.665 + 0.015 * face.chin_length + 0.012 * face.nose_length - 0.17 * child),
        mouth_half=(0.222 + 0.014 * face.mouth_width - 0.035 * child) * (1 + 0.26 * face.smile),
        brow_y=-(0.215 + 0.018 * face.brow_height) + 0.01 * child,
        hairline=-0.66 - 0.03 * child - 0.34 * face.recession,
        ear_x=0.658 * wide,
        ear_y=0.1,
        neck=((0.40 if male else 0.325) + 0.02 * face.weight) * (1 - 0.36 * child),
        skew=(0.035 * uneven[0], 0.03 * uneven[1], 0.10 * uneven[2], 0.045 * uneven[3]),
    )
