"""The detector's figures beside YuNet's, in one run: what is found, how exact, what is seen where nothing is, what it costs.

    python -m facestats_pipeline.core.detector.evaluate --data ../shared/data --yunet FILE --face-free DIR [--detector DIR] [--json FILE]

London, Canada, congress_us and fairface_photos are used here alone: no photo of them was trained on or chose anything.
"""

import argparse
import csv
import gzip
import io
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from facestats_pipeline.core.demo.drawing import draw_face
from facestats_pipeline.core.demo.latents import sample_latents
from facestats_pipeline.core.detector import detect
from facestats_pipeline.core.images.decoding import decode
from facestats_pipeline.core.preproc.detection import load_detector, single_threaded_opencv
from facestats_pipeline.core.preproc.faces import SURE_SCORE, Face, FaceDetector
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.statistics.calibration import wilson

SETS = ("london", "canada", "congress_us", "fairface_photos")
_SAME = 0.4  # overlap over union from which on two boxes are one face
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_SHEET = (4000, 3000)  # px of a composed group picture
_FACES = 30

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def share(right: int, n: int) -> dict[str, float]:
    """Percentage with Wilson's 95% interval."""
    low, high = wilson(right, n)
    return {"value": 100 * right / n, "lo": 100 * low, "hi": 100 * high, "n": n}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile in percent, each with a bootstrapped 95% interval."""
    all_values = 100 * np.asarray(values, np.float64)
    drawn = np.random.default_rng(0).integers(0, len(all_values), (1000, len(all_values)))
    out: dict[str, float] = {"n": len(all_values)}
    for name, q in (("median", 50), ("p95", 95)):
        low, high = np.percentile(np.percentile(all_values[drawn], q, axis=1), (2.5, 97.5))
        out |= {name: float(np.percentile(all_values, q)), f"{name}_lo": float(low), f"{name}_hi": float(high)}
    return out


def files_of(data: Path, name: str) -> list[Path]:
    """The photos of one of SETS."""
    return sorted(file for file in (data / name / "images").rglob("*") if file.suffix.lower() in _SUFFIXES)


def pixels_of(file: Path) -> Pixels:
    """A photo as the pipeline's detector gets it."""
    return decode(file.read_bytes(), min_side=512).pixels


def sure(faces: list[Face]) -> list[Face]:
    return [face for face in faces if face.score >= SURE_SCORE]


def overlap(a: Face, b: Face) -> float:
    """Overlap over union of two boxes."""
    low = np.maximum(a.box[:2], b.box[:2])
    high = np.minimum(a.box[:2] + a.box[2:], b.box[:2] + b.box[2:])
    shared = float(np.clip(high - low, 0, None).prod())
    return shared / (a.area + b.area - shared)


def eyes_of(landmarks: npt.NDArray[Any]) -> float:
    return float(np.linalg.norm(landmarks[0] - landmarks[1]))


def against_yunet(photos: list[Pixels], ours: FaceDetector, yunet: FaceDetector, title: str) -> dict[str, Any]:
    """Of the photos in which YuNet is sure: how many of its main faces ours finds surely, and how far apart the landmarks are."""
    found, asked, apart, more = 0, 0, [], 0
    for pixels in track(photos, title, total=len(photos)):
        theirs, mine = sure(yunet.detect(pixels)), sure(ours.detect(pixels))
        more += len(mine) > len(theirs)
        if not theirs:
            continue
        asked += 1
        same = [face for face in mine if overlap(face, theirs[0]) >= _SAME]
        if not same:
            continue
        found += 1
        # Only the first face has exact landmarks, from either detector.
        if same[0] is mine[0]:
            distance = np.linalg.norm(same[0].landmarks - theirs[0].landmarks, axis=1)
            apart.append(distance / max(eyes_of(theirs[0].landmarks), 1e-6))
    each = np.array(apart)
    return {
        "photos": len(photos),
        "yunet_sure": share(asked, len(photos)),
        "found": share(found, asked),
        "landmarks": spread(each.mean(axis=1)),
        "landmarks_each": [float(v) for v in 100 * np.median(each, axis=0)],
        "photos_with_more_sure_faces_than_yunet": more,
    }


def pupils(data: Path, detectors: dict[str, FaceDetector]) -> dict[str, Any]:
    """Mean distance of both pupils from London's hand-placed ones, share of the distance of the eyes."""
    points: dict[str, dict[int, tuple[float, float]]] = {}
    with gzip.open(data / "london" / "landmarks.csv.gz", "rt") as text:
        for row in csv.DictReader(text):
            if row["point"] in ("0", "1"):
                points.setdefault(row["file"], {})[int(row["point"])] = (float(row["x"]), float(row["y"]))
    away: dict[str, list[float]] = {name: [] for name in detectors}
    shifts: dict[str, list[Any]] = {name: [] for name in detectors}
    for file, two in points.items():
        truth = np.array([two[0], two[1]])
        pixels = np.asarray(Image.open(data / "london" / file).convert("RGB"))
        for name, detector in detectors.items():
            if faces := sure(detector.detect(pixels)):
                error = (faces[0].landmarks[:2] - truth) / eyes_of(truth)
                away[name].append(float(np.linalg.norm(error, axis=1).mean()))
                shifts[name].append(error)
    return {
        name: spread(values) | {"mean_shift": (100 * np.mean(shifts[name], axis=(0, 1))).round(2).tolist()}
        for name, values in away.items()
    }


def drawn(count: int, ours: FaceDetector, yunet: FaceDetector) -> dict[str, Any]:
    """Faces as the demo draws them, with the demo's seed: photos in which exactly one sure face is seen."""
    one = {"ours": 0, "yunet": 0}
    shapes = ((360, 450), (384, 480), (320, 480), (400, 400), (512, 384))
    for index in track(range(count), "Drawn faces", total=count):
        rng = np.random.default_rng((0, index))
        latents = sample_latents(rng)
        pixels = np.asarray(draw_face(latents, shapes[index % len(shapes)]))
        for name, detector in (("ours", ours), ("yunet", yunet)):
            one[name] += len(sure(detector.detect(pixels))) == 1
    return {name: share(n, count) for name, n in one.items()}


def face_free(folder: Path, count: int, ours: FaceDetector, yunet: FaceDetector) -> dict[str, Any]:
    """Pictures of a folder (crops of 512 px and smaller) and drawn textures, a quarter of them: share without any sure face."""
    files = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES and file.stat().st_size > 20_000
    )
    rng = np.random.default_rng(5)
    without, seen_in = {"ours": 0, "yunet": 0}, []
    for number in track(range(count), "Face-free pictures", total=count):
        pixels, name = _face_free(files, number, rng)
        for who, detector in (("ours", ours), ("yunet", yunet)):
            nothing = not sure(detector.detect(pixels))
            without[who] += nothing
            if who == "ours" and not nothing:
                seen_in.append(name)
    return {name: share(n, count) for name, n in without.items()} | {"seen_in": seen_in}


def _face_free(files: list[Path], number: int, rng: np.random.Generator) -> tuple[Pixels, str]:
    if number % 4 == 3:
        knots = rng.integers(0, 256, (*rng.integers(2, 40, 2), 3)).astype(np.uint8)
        how = cv2.INTER_CUBIC if number % 8 == 3 else cv2.INTER_NEAREST
        return np.asarray(cv2.resize(knots, (512, 384), interpolation=how), np.uint8), "texture"
    while True:
        file = files[int(rng.integers(len(files)))]
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is not None and min(image.shape[:2]) >= 96:
            break
    height, width = image.shape[:2]
    side = int(np.exp(rng.uniform(np.log(min(256, height, width)), np.log(min(height, width)))))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    crop = image[top : top + side, left : left + side, ::-1]
    if side > 512:
        crop = cv2.resize(np.ascontiguousarray(crop), (512, 512), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(crop), file.name


def groups(data: Path, count: int, detectors: dict[str, FaceDetector]) -> dict[str, Any]:
    """Pictures of 4000 × 3000 px with 30 portraits, faces of 60–300 px, decoded as the pipeline does: faces found, and false ones."""
    files = [*files_of(data, "london"), *files_of(data, "fairface_photos")[:600]]
    right, wrong = dict.fromkeys(detectors, 0), {name: list[int]() for name in detectors}
    for number in track(range(count), "Group pictures", total=count):
        sheet, middles = _group(files, np.random.default_rng((9, number)))
        buffer = io.BytesIO()
        Image.fromarray(sheet).save(buffer, "JPEG", quality=92)
        decoded = decode(buffer.getvalue(), min_side=512)
        scale = decoded.pixels.shape[1] / sheet.shape[1]
        for name, detector in detectors.items():
            faces = sure(detector.detect(decoded.pixels))
            taken = [_nearest(face, middles * scale) for face in faces]
            hits = {i for i in taken if i is not None}
            right[name] += len(hits)
            wrong[name].append(len(faces) - len(hits))
    return {
        name: {
            "found": share(right[name], count * _FACES),
            "most_false_in_one": max(wrong[name]),
            "false": sum(wrong[name]),
        }
        for name in detectors
    }


def _group(files: list[Path], rng: np.random.Generator) -> tuple[Pixels, Floats]:
    """A sheet of portraits, and (30, 3) the middle x, y and side of the box of each face by where its photo was laid."""
    knots = rng.integers(30, 226, (3, 4, 3)).astype(np.uint8)
    sheet = np.asarray(cv2.resize(knots, _SHEET, interpolation=cv2.INTER_CUBIC), np.uint8)
    middles = []
    for place in range(_FACES):
        file = files[int(rng.integers(len(files)))]
        photo = np.asarray(Image.open(file).convert("RGB"))
        part = 0.3 if "london" in str(file) else 0.55  # what a face's box takes of the photo's side
        face = float(np.exp(rng.uniform(np.log(60), np.log(300))))
        side = min(590, round(face / part))
        cell_x, cell_y = (place % 6) * 666, (place // 6) * 600
        left, top = cell_x + int(rng.integers(0, 660 - side)), cell_y + int(rng.integers(0, 600 - side))
        how = cv2.INTER_AREA if side < photo.shape[0] else cv2.INTER_CUBIC
        sheet[top : top + side, left : left + side] = cv2.resize(photo, (side, side), interpolation=how)
        middles.append((left + side / 2, top + side * (0.5 if part > 0.5 else 0.53), side))
    return sheet, np.array(middles)


def _nearest(face: Face, middles: Floats) -> int | None:
    """Which portrait's middle third a face's middle lies in."""
    middle = face.box[:2] + face.box[2:] / 2
    away = np.abs(middles[:, :2] - middle).max(axis=1) / middles[:, 2]
    best = int(away.argmin())
    return best if away[best] < 0.25 and 0.1 < math.sqrt(face.area) / middles[best, 2] < 1 else None


def cost(photos: list[Pixels], detectors: dict[str, FaceDetector]) -> dict[str, Any]:
    """Processor milliseconds a photo, one thread, the detectors in turn on each photo: median and quarter over the photos."""
    spent: dict[str, list[float]] = {name: [] for name in detectors}
    for pixels in [photos[0], *photos]:  # the first is to warm up
        for name, detector in detectors.items():
            begun = time.thread_time()
            detector.detect(pixels)
            spent[name].append(1000 * (time.thread_time() - begun))
    return {
        name: {
            "median_ms": float(np.median(values[1:])),
            "mean_ms": float(np.mean(values[1:])),
            "least_ms": min(values[1:]),
        }
        for name, values in spent.items()
    }


def measure(
    data: Path, ours: FaceDetector, yunet: FaceDetector, face_free_folder: Path | None, few: int
) -> dict[str, Any]:
    """All figures. `few` > 1 takes every few-th photo, for a quick look."""
    both = {"ours": ours, "yunet": yunet}
    figures: dict[str, Any] = {"detector": ours.name, "yunet": yunet.name, "every": few}
    for name in SETS:
        photos = [pixels_of(file) for file in files_of(data, name)[::few]]
        figures[name] = against_yunet(photos, ours, yunet, name)
        if name == "london":
            large = [pixels for pixels in photos if max(pixels.shape) == 512]
            figures["cost"] = cost(large[:100], both)
    figures["pupils"] = pupils(data, both)
    figures["drawn"] = drawn(400 // few, ours, yunet)
    figures["groups"] = groups(data, max(1, 10 // few), both)
    if face_free_folder is not None:
        figures["face_free"] = face_free(face_free_folder, 500 // few, ours, yunet)
    return figures


def lines(figures: dict[str, Any]) -> Iterator[str]:
    """The acceptance table as text."""

    def text(part: dict[str, float]) -> str:
        return f"{part['value']:.1f}% ({part['lo']:.1f}–{part['hi']:.1f}) of {part['n']}"

    def bent(part: dict[str, float]) -> str:
        return f"median {part['median']:.2f}% ({part['median_lo']:.2f}–{part['median_hi']:.2f}), p95 {part['p95']:.2f}%"

    for name in SETS:
        one = figures[name]
        yield f"{name}: found {text(one['found'])} where YuNet is sure; landmarks from YuNet's {bent(one['landmarks'])}"
        each = [round(value, 1) for value in one["landmarks_each"]]
        yield f"   each landmark {each}; more faces than YuNet in {one['photos_with_more_sure_faces_than_yunet']}"
    for name, part in figures["pupils"].items():
        yield f"pupils of London, {name}: {bent(part)}, mean shift {part['mean_shift']}"
    for name in ("ours", "yunet"):
        yield f"drawn faces, {name}: {text(figures['drawn'][name])}"
        if "face_free" in figures:
            yield f"face-free, {name}: none seen in {text(figures['face_free'][name])}"
        group = figures["groups"][name]
        yield f"groups, {name}: found {text(group['found'])}, false {group['false']}, most in one {group['most_false_in_one']}"
        part = figures["cost"][name]
        yield f"cost, {name}: median {part['median_ms']:.2f} ms, mean {part['mean_ms']:.2f}, least {part['least_ms']:.2f}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure the face detector beside YuNet.")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds london, canada, congress_us, fairface_photos"
    )
    parser.add_argument("--yunet", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("--detector", type=Path, default=Path("models/facestats-detector"))
    parser.add_argument("--face-free", type=Path, help="folder of pictures without faces that were not trained on")
    parser.add_argument("--every", type=int, default=1, help="take every n-th photo only")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with single_threaded_opencv():
        figures = measure(
            arguments.data,
            detect.load(arguments.detector),
            load_detector(arguments.yunet),
            arguments.face_free,
            arguments.every,
        )
    for line in lines(figures):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
