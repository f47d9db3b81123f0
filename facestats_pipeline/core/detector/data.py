"""Training pictures, composed as they are needed: labelled faces of all sizes and angles on backgrounds without faces.

Everything is drawn from one random generator, so a step's pictures follow from its number. About 3 ms a picture on one thread.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.detector.backgrounds import BACKGROUNDS_FILE
from facestats_pipeline.core.detector.disturb import disturb
from facestats_pipeline.core.detector.drawn import DRAWN_FILE
from facestats_pipeline.core.detector.labels import FIVE, POINTS_FILE, SPREAD_FILE

PICTURE_PX = 192
"""Side of a training picture: what the finder's first look sees of a photo."""
SMALLEST_FACE, LARGEST_FACE = (
    9.0,
    250.0,
)  # px, mean side of the box; a larger face than the picture is cut at its borders
_HIDDEN = 0.45  # a face of which more than this share lies outside counts neither as face nor as background
_FLIPPED = [1, 0, 2, 4, 3]  # which landmark each becomes in a mirrored picture

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Faces:
    """What is known of the one labelled face in each of n square photos; all points in px of the photo."""

    boxes: Floats  # (n, 4) left, top, right, bottom; a guess where no landmarks are known
    landmarks: Floats  # (n, 5, 2); NaN where none are known
    hulls: Floats  # (n, m, 2) points over the whole face, for its box when it is turned
    spread: Floats  # (n,) how unsure the landmarks are, share of the distance of the eyes; 1 where none are known


@dataclass(frozen=True)
class Sets:
    """What pictures are composed of. Pixels stay in the files' memory maps: rows say which of them belong to this set."""

    faces: Faces
    photos: Pixels  # (…, 128, 128, 3)
    drawn: Pixels  # (…, 128, 128, 3)
    rows: npt.NDArray[np.int64]  # (n,) in `photos`, from `drawn_from` on in `drawn`
    drawn_from: int
    backgrounds: Pixels  # (…, 256, 256, 3)
    background_rows: npt.NDArray[np.int64]

    def photo(self, face: int) -> Pixels:
        """The pixels of a face's photo."""
        return np.asarray((self.drawn if face >= self.drawn_from else self.photos)[self.rows[face]])

    def background(self, place: int) -> Pixels:
        """The pixels of a background."""
        return np.asarray(self.backgrounds[self.background_rows[place]])


@dataclass(frozen=True)
class Picture:
    """One composed picture and what is in it, in its px."""

    pixels: Pixels  # (side, side, 3) RGB
    boxes: Floats  # (k, 4) left, top, right, bottom
    landmarks: Floats  # (k, 5, 2); NaN where they are not known
    ignored: Floats  # (j, 4) boxes in which a face is neither asked for nor forbidden


def _faces(points: Floats, spread: Floats) -> Faces:
    """A face whose landmarks are not known (turned far away) is taken to lie where the others do in the median."""
    hulls = points[:, ::6].copy()
    boxes = np.concatenate([points[:, :468].min(axis=1), points[:, :468].max(axis=1)], axis=1)
    known = np.isfinite(spread)
    usual = np.median(boxes[known], axis=0)
    left, top, right, bottom = usual
    boxes[~known] = usual
    corners = np.array([(left, top), (right, top), (left, bottom), (right, bottom)], np.float32)
    hulls[~known] = np.resize(corners, (hulls.shape[1], 2))
    return Faces(boxes, points[:, list(FIVE)].copy(), hulls, np.where(known, spread, 1).astype(np.float32))


def open_sets(cache: Path) -> tuple[Sets, Sets]:
    """(training, held out) over what `labels`, `drawn` and `backgrounds` wrote into `cache`; every 18th photo is held out.

    Neighbouring backgrounds are crops of one picture: of them every 20th block of 50 is held out. Drawn faces without a label are left out.
    """
    real, drawn = (
        _faces(np.load(cache / (prefix + POINTS_FILE)), np.load(cache / (prefix + SPREAD_FILE)))
        for prefix in ("", "drawn_")
    )
    photos, drawn_photos, backgrounds = (
        np.load(cache / name, mmap_mode="r") for name in ("photos.npy", DRAWN_FILE, BACKGROUNDS_FILE)
    )
    rows, drawn_rows = np.arange(len(real.boxes)), np.flatnonzero(np.isfinite(drawn.landmarks[:, 0, 0]))
    places = np.arange(len(backgrounds))
    held_out_places = places // 50 % 20 == 7
    sets = []
    for held_out in (False, True):
        mine, mine_drawn = (each[(each % 18 == 5) == held_out] for each in (rows, drawn_rows))
        faces = Faces(
            *(
                np.concatenate([getattr(real, name)[mine], getattr(drawn, name)[mine_drawn]])
                for name in ("boxes", "landmarks", "hulls", "spread")
            )
        )
        both = np.concatenate([mine, mine_drawn])
        sets.append(
            Sets(faces, photos, drawn_photos, both, len(mine), backgrounds, places[held_out_places == held_out])
        )
    return sets[0], sets[1]


def _pick(sets: Sets, rng: np.random.Generator) -> int:
    """A photo's row; one face in twelve is a drawn one."""
    drawn = len(sets.rows) - sets.drawn_from
    if drawn and rng.random() < 1 / 12:
        return sets.drawn_from + int(rng.integers(drawn))
    return int(rng.integers(sets.drawn_from))


def _angle(rng: np.random.Generator) -> float:
    """Radians by which a face is turned in the picture's plane: mostly little, often up to 45°, some any angle."""
    kind = rng.random()
    degrees = rng.normal(0, 12) if kind < 0.6 else rng.uniform(-50, 50) if kind < 0.9 else rng.uniform(-180, 180)
    return float(np.radians(degrees))


def _background(sets: Sets, side: int, rng: np.random.Generator) -> Pixels:
    kind = rng.random()
    if kind < 0.72:
        photo = sets.background(int(rng.integers(len(sets.background_rows))))
        part = int(rng.uniform(0.35, 1) * photo.shape[0])
        top, left = rng.integers(0, photo.shape[0] - part + 1, 2)
        crop = photo[top : top + part, left : left + part]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        how = cv2.INTER_AREA if part > side else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(np.ascontiguousarray(crop), (side, side), interpolation=how), np.uint8)
    if kind < 0.86:  # drawn: smooth colours between random knots, some with grain
        knots = rng.integers(0, 256, (int(rng.integers(2, 7)), int(rng.integers(2, 7)), 3)).astype(np.uint8)
        made = cv2.resize(
            knots, (side, side), interpolation=cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
        )
        return np.asarray(made, np.uint8)
    if kind < 0.93:
        return np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)
    made = rng.integers(0, 256, (max(2, side // int(rng.integers(1, 16))),) * 2 + (3,)).astype(np.uint8)
    return np.asarray(cv2.resize(made, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _scraps(canvas: Pixels, sets: Sets, rng: np.random.Generator) -> None:
    """Pieces of training photos that show no more than a corner of the face: hair, ears, necks, hands, clothes; and plain blobs of skin."""
    side = canvas.shape[0]
    for _ in range(int(rng.integers(1, 7))):
        row = _pick(sets, rng)
        photo, box = sets.photo(row), sets.faces.boxes[row]
        size = photo.shape[0]
        width, height = (int(v) for v in rng.uniform(0.15, 0.6, 2) * size)
        left, top = int(rng.integers(0, size - width)), int(rng.integers(0, size - height))
        shared = np.clip(min(left + width, box[2]) - max(left, box[0]), 0, None) * np.clip(
            min(top + height, box[3]) - max(top, box[1]), 0, None
        )
        if shared > 0.15 * (box[2] - box[0]) * (box[3] - box[1]):
            # Inside the face: one colour of its skin as a blob.
            colour = photo[
                int(np.clip((box[1] + box[3]) / 2, 0, size - 1)), int(np.clip(box[0] * 0.7 + box[2] * 0.3, 0, size - 1))
            ]
            centre = tuple(int(v) for v in rng.uniform(0, side, 2))
            axes = tuple(int(v) for v in np.exp(rng.uniform(np.log(4), np.log(side / 2), 2)))
            shade = tuple(int(v) for v in colour)
            cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, shade, -1, cv2.LINE_AA)
            for _ in range(int(rng.integers(0, 5))):  # dark spots, some where eyes and a mouth would be
                spot = (int(centre[0] + rng.normal(0, 0.4) * axes[0]), int(centre[1] + rng.normal(0, 0.4) * axes[1]))
                dark = tuple(int(v) for v in colour * rng.uniform(0.1, 0.8))
                cv2.circle(canvas, spot, max(1, int(rng.uniform(0.03, 0.2) * min(axes))), dark, -1, cv2.LINE_AA)
            continue
        scale = float(np.exp(rng.uniform(np.log(0.2), np.log(2.0))))
        w, h = max(2, min(side, round(width * scale))), max(2, min(side, round(height * scale)))
        piece = cv2.resize(photo[top : top + height, left : left + width], (w, h), interpolation=cv2.INTER_AREA)
        piece = np.rot90(piece, int(rng.integers(4)))
        h, w = piece.shape[:2]
        y, x = int(rng.integers(0, side - h + 1)), int(rng.integers(0, side - w + 1))
        canvas[y : y + h, x : x + w] = piece


def _mask(side: int, box: Floats, whole: bool, rng: np.random.Generator) -> Floats:
    """What of a photo is pasted, 0–1 (side, side): all of it, its edges hard or soft, or an ellipse around the head."""
    if whole:
        mask = np.ones((side, side), np.float32)
        soft = 0 if rng.random() < 0.5 else int(rng.integers(2, 16))
        if soft:
            mask[:soft] = mask[-soft:] = mask[:, :soft] = mask[:, -soft:] = 0
            return np.asarray(cv2.blur(mask, (2 * soft + 1, 2 * soft + 1)), np.float32)
        return mask
    mask8 = np.zeros((side, side), np.uint8)
    width, height = box[2] - box[0], box[3] - box[1]
    middle = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2 - 0.08 * height)
    reach = (width * rng.uniform(0.55, 0.8), height * rng.uniform(0.58, 0.75))
    cv2.ellipse(mask8, (middle, (2 * reach[0], 2 * reach[1]), 0.0), 255, -1, cv2.LINE_AA)
    soft = int(rng.integers(0, 8)) * 2 + 1
    return np.asarray(cv2.blur(mask8, (soft, soft)), np.float32) / np.float32(255)


def _place(face: int, sets: Sets, matrix: Floats, mirrored: bool) -> tuple[Floats, Floats]:
    """The box (4,) and landmarks (5, 2) of a face whose photo (mirrored or not) is moved by `matrix` (2, 3)."""
    size = sets.photos.shape[1]
    hull, points = sets.faces.hulls[face], sets.faces.landmarks[face]
    if mirrored:
        hull, points = hull * (-1, 1) + (size, 0), points[_FLIPPED] * (-1, 1) + (size, 0)
    moved = hull @ matrix[:, :2].T + matrix[:, 2]
    box = np.concatenate([moved.min(axis=0), moved.max(axis=0)]).astype(np.float32)
    return box, (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def _warp(photo: Pixels, matrix: Floats, side: int, border: int) -> Pixels:
    """The photo moved by `matrix` onto a square; shrunk with antialiasing first."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.7:
        small = max(4, round(photo.shape[0] * scale))
        matrix = matrix.copy()
        matrix[:, :2] *= photo.shape[0] / small
        photo = np.asarray(cv2.resize(photo, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
    shifted = matrix.copy()  # OpenCV puts pixel centres at whole numbers, points count from pixel corners
    shifted[:, 2] += matrix[:, :2] @ np.array((0.5, 0.5), np.float32) - 0.5
    how = cv2.INTER_LINEAR if scale < 1.5 else cv2.INTER_CUBIC
    return np.asarray(cv2.warpAffine(photo, shifted, (side, side), flags=how, borderMode=border), np.uint8)


def _similarity(scale: float, angle: float, source: Floats, target: Floats) -> Floats:
    """Turns by `angle`, scales, and takes the point `source` to `target`."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[c, -s], [s, c]], np.float32)
    return np.hstack([linear, (target - linear @ source)[:, None]]).astype(np.float32)


def _photo_alone(sets: Sets, side: int, rng: np.random.Generator) -> Picture:
    """One photo that fills the picture, as FairFace's do, a little larger or smaller than the picture."""
    face = _pick(sets, rng)
    mirrored = rng.random() < 0.5
    photo = sets.photo(face)
    photo = np.ascontiguousarray(photo[:, ::-1]) if mirrored else photo
    size = photo.shape[0]
    scale = side / size * float(np.exp(rng.uniform(np.log(0.6), np.log(1.4))))
    angle = _angle(rng) * (1.0 if rng.random() < 0.5 else 0.3)
    middle = np.full(2, size / 2, np.float32)
    slack = abs(scale * size - side) / 2
    target = (side / 2 + rng.uniform(-slack, slack, 2)).astype(np.float32)
    matrix = _similarity(scale, angle, middle, target)
    border = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE)[int(rng.integers(3))]
    pixels = _warp(photo, matrix, side, border)
    return _picture(disturb(pixels, rng), [_place(face, sets, matrix, mirrored)], rng)


def _picture(pixels: Pixels, placed: list[tuple[Floats, Floats]], rng: np.random.Generator) -> Picture:
    """Faces that are to be found, and those that are hidden or too small to tell. Of some pictures one border is grey, as where a photo
    that is not square is filled up for the finder."""
    width = height = pixels.shape[0]
    kind = rng.random()
    if kind < 0.1:
        width -= int(rng.integers(1, 32))
    elif kind < 0.2:
        height -= int(rng.integers(1, 32))
    pixels[height:] = pixels[:, width:] = 127
    found: list[tuple[Floats, Floats]] = []
    ignored: list[tuple[Floats, Floats]] = []
    for box, landmarks in placed:
        inside = np.clip(box, 0, (width, height, width, height))
        area = max(1e-6, float((box[2] - box[0]) * (box[3] - box[1])))
        seen = float((inside[2] - inside[0]) * (inside[3] - inside[1])) / area
        if seen > 0.02:
            (found if seen >= 1 - _HIDDEN and area >= SMALLEST_FACE**2 else ignored).append((box, landmarks))
    return Picture(
        pixels,
        np.array([box for box, _ in found], np.float32).reshape(-1, 4),
        np.array([points for _, points in found], np.float32).reshape(-1, 5, 2),
        np.array([box for box, _ in ignored], np.float32).reshape(-1, 4),
    )


def _many(sets: Sets, side: int, rng: np.random.Generator) -> Picture:
    """Faces pasted on a background, largest first, none over more than a quarter of another; a fifth of these pictures has none."""
    canvas = _background(sets, side, rng)
    if rng.random() < 0.5:
        _scraps(canvas, sets, rng)
    kind = rng.random()
    count = (
        0 if kind < 0.2 else 1 if kind < 0.5 else int(rng.integers(2, 5)) if kind < 0.8 else int(rng.integers(5, 16))
    )
    most = LARGEST_FACE if count <= 1 else min(LARGEST_FACE, 1.3 * side / np.sqrt(count))
    sizes = np.sort(np.exp(rng.uniform(np.log(SMALLEST_FACE), np.log(most), count)))[::-1]
    placed: list[tuple[Floats, Floats]] = []
    for size in sizes:
        face, mirrored, angle = _pick(sets, rng), rng.random() < 0.5, _angle(rng)
        photo, box = sets.photo(face), sets.faces.boxes[face]
        mask = _mask(photo.shape[0], box, bool(rng.random() < 0.55), rng)
        if mirrored:
            photo, mask = np.ascontiguousarray(photo[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
            box = np.array([photo.shape[0] - box[2], box[1], photo.shape[0] - box[0], box[3]], np.float32)
        middle = (box[:2] + box[2:]) / 2
        scale = float(size / np.sqrt(max(1.0, (box[2] - box[0]) * (box[3] - box[1]))))
        edge = 0.35 * size if size < side else 0.15 * side
        target = rng.uniform(min(edge, side / 2), max(side - edge, side / 2), 2).astype(np.float32)
        matrix = _similarity(scale, angle, middle, target)
        new_box, landmarks = _place(face, sets, matrix, mirrored)
        if any(_overlap(new_box, other) > 0.25 for other, _ in placed):
            continue
        _paste(canvas, photo, mask, matrix)
        placed.append((new_box, landmarks))
    return _picture(disturb(canvas, rng), placed, rng)


def _overlap(a: Floats, b: Floats) -> float:
    """What two boxes share, as a share of the smaller one."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / max(1e-6, min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod())))


def _paste(canvas: Pixels, photo: Pixels, mask: Floats, matrix: Floats) -> None:
    """Lay the masked photo, moved by `matrix`, over the canvas; only the part of the canvas that it touches is worked on."""
    size, side = photo.shape[0], canvas.shape[0]
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)], np.float32) @ matrix[:, :2].T + matrix[:, 2]
    left, top = (int(v) for v in np.clip(np.floor(corners.min(axis=0)), 0, side))
    right, bottom = (int(v) for v in np.clip(np.ceil(corners.max(axis=0)), 0, side))
    extent = max(right - left, bottom - top)
    if min(right - left, bottom - top) < 2:
        return
    moved = matrix.copy()
    moved[:, 2] -= (left, top)
    layer = _warp(photo, moved, extent, cv2.BORDER_REPLICATE)[: bottom - top, : right - left]
    cover = _warp((mask * 255).astype(np.uint8), moved, extent, cv2.BORDER_CONSTANT)[: bottom - top, : right - left]
    part = canvas[top:bottom, left:right]
    weight = cover.astype(np.float32) / 255
    part[:] = cv2.blendLinear(layer, np.ascontiguousarray(part), weight, 1 - weight)


def compose(sets: Sets, rng: np.random.Generator, side: int = PICTURE_PX) -> Picture:
    """One training picture with light, blur, noise and compression of its own."""
    return _photo_alone(sets, side, rng) if rng.random() < 0.3 else _many(sets, side, rng)


def single_face(sets: Sets, rng: np.random.Generator) -> tuple[Pixels, Floats, float]:
    """A photo whose landmarks are known, disturbed, mirrored and turned by any angle: pixels, landmarks (5, 2), their spread."""
    while np.isnan(sets.faces.landmarks[face := _pick(sets, rng)]).any():
        pass
    mirrored = rng.random() < 0.5
    photo = sets.photo(face)
    photo = np.ascontiguousarray(photo[:, ::-1]) if mirrored else photo
    size = photo.shape[0]
    middle = np.full(2, size / 2, np.float32)
    if rng.random() < 0.3:  # looked at from farther away: less detail
        scale = float(np.exp(rng.uniform(np.log(0.3), 0)))
        photo = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        photo = np.asarray(cv2.resize(photo, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    angle = _angle(rng) if rng.random() < 0.2 else 0.0  # turning twice blurs, so most are not turned
    matrix = _similarity(1.0, angle, middle, middle)
    _, landmarks = _place(face, sets, np.eye(2, 3, dtype=np.float32), mirrored)
    pixels = disturb(_warp(photo, matrix, size, cv2.BORDER_REPLICATE) if angle else photo, rng)
    return pixels, (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32), float(sets.faces.spread[face])
