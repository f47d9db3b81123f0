"""The preprocessing stage: decode a photo, detect and align its largest face, and encode one square JPEG.

An unusable photo becomes a row with the reason. It raises no error and is not dropped.
"""

import hashlib
import json
import math
import stat
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facestats_pipeline.core.images.decoding import (
    MAX_PIXELS,
    DecodedImage,
    ImageProblem,
    Transform,
    compose,
    decode,
    encode_jpeg,
    fit_square,
    invert,
)
from facestats_pipeline.core.in_order import in_order
from facestats_pipeline.core.ingest.identity import PhotosUnavailable
from facestats_pipeline.core.phases import Phases, current
from facestats_pipeline.core.preproc.alignment import TEMPLATE, face_transform, warp
from facestats_pipeline.core.preproc.detection import SURE_SCORE, FaceDetector, single_threaded_opencv
from facestats_pipeline.core.preproc.faces import Face
from facestats_pipeline.core.preproc.preproc_table import (
    HIGHEST_QUALITY,
    LARGEST,
    LOWEST_QUALITY,
    PREPROC,
    QUALITY,
    SIZE,
    SMALLEST,
)
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.single_thread import torch_threads

RawPhoto = tuple[str, str, Callable[[], bytes] | Path]
"""(image_id, filename, source of the bytes: a path or a function)."""

_METHOD = 4  # increase it when code changes the resulting bytes: every preprocessed photo then becomes stale


@dataclass(frozen=True)
class PreprocSettings:
    """Settings of preprocessing; bounds are in `preproc_table`.

    size: side in px. fit: "crop" or "pad", for photos that are not aligned. quality: of the JPEG. align: whether to align by the face.
    min_face_score: below it, a detection counts as no face; on every third FairFace photo and portrait, 99.9% of FairFace crops and all
    portraits score above 0.6. max_pixels, max_bytes: limits above which a photo is refused.

    Raises ValueError for a value out of bounds.
    """

    size: int = SIZE
    fit: str = "crop"
    quality: int = QUALITY
    align: bool = True
    min_face_score: float = SURE_SCORE
    max_pixels: int = MAX_PIXELS
    max_bytes: int = 512 * 2**20  # applies to photos given by path; photos of the collection were checked when listed

    def __post_init__(self) -> None:
        if self.fit not in ("crop", "pad"):
            raise ValueError(f"fit is {self.fit!r}; it must be 'crop' or 'pad'")
        if not SMALLEST <= self.size <= LARGEST:
            raise ValueError(f"size is {self.size}; it must be {SMALLEST} to {LARGEST} pixels")
        if not LOWEST_QUALITY <= self.quality <= HIGHEST_QUALITY:
            raise ValueError(f"quality is {self.quality}; it must be {LOWEST_QUALITY} to {HIGHEST_QUALITY}")

    def preproc_id(self, detector_name: str) -> str:
        """12 hex digits of a hash over everything that affects the bytes or the row of a usable photo.

        `max_pixels` and `max_bytes` are left out, because they only refuse photos and never change an accepted one.
        """
        facts = {key: value for key, value in asdict(self).items() if key not in ("max_pixels", "max_bytes")}
        facts |= {"method": _METHOD, "detector": detector_name, "template": TEMPLATE.round(6).tolist()}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Preprocessed:
    """The result for one photo: `jpeg` bytes (None if it could not be decoded) and its `row` of PREPROC.schema."""

    image_id: str
    filename: str
    jpeg: bytes | None
    row: dict[str, Any]


def run_preprocessing(
    photos: Iterable[RawPhoto], settings: PreprocSettings, detector: FaceDetector | None, *, workers: int = 2
) -> Iterator[Preprocessed]:
    """Preprocess photos on `workers` threads and yield the results in order. At most 2 × workers photos are in memory."""
    total = len(photos) if isinstance(photos, Sized) else None
    return track(_in_threads(photos, settings, detector, workers), "Preprocessing", total=total)


def _in_threads(
    photos: Iterable[RawPhoto], settings: PreprocSettings, detector: FaceDetector | None, workers: int
) -> Iterator[Preprocessed]:
    phases = current()
    # Photos run in parallel already: threads inside OpenCV and torch would only compete for the same cores.
    with single_threaded_opencv(), torch_threads(1) as limit:
        yield from in_order(
            lambda photo: preprocess_photo(photo, settings, detector, phases),
            photos,
            workers,
            name="preproc",
            begin=limit,
        )


def preprocess_photo(
    photo: RawPhoto, settings: PreprocSettings, detector: FaceDetector | None, phases: Phases | None = None
) -> Preprocessed:
    """Preprocess one photo. A problem becomes the row's status and reason; timings are added to `phases`.

    Raises only PhotosUnavailable, which is not the photo's fault.
    """
    image_id, filename, source = photo
    phases = phases or current()
    phases.count()
    name = detector.name if detector is not None else "none"
    row: dict[str, Any] = dict.fromkeys(PREPROC.schema)
    row |= {
        "image_id": image_id,
        "filename": filename,
        "preproc_id": settings.preproc_id(name),
        "detector": name,
        "reason": "",
    }
    try:
        with phases.timing("read"):
            data = _read_file(source, settings.max_bytes) if isinstance(source, Path) else source()
    except PhotosUnavailable:
        raise
    except ImageProblem as problem:
        return Preprocessed(image_id, filename, None, row | {"status": problem.status, "reason": problem.reason})
    except Exception as error:  # a store may raise any type; its message is left out, because it may contain the path
        cause = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        row |= {"status": "unreadable", "reason": f"the file could not be read: {cause}"}
        return Preprocessed(image_id, filename, None, row)
    try:
        jpeg, facts = _preprocess(data, settings, detector, phases)
    except ImageProblem as problem:
        return Preprocessed(image_id, filename, None, row | {"status": problem.status, "reason": problem.reason})
    return Preprocessed(image_id, filename, jpeg, row | facts)


def _read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a user-supplied path. Pipes and devices, which may never end, and files above `max_bytes` raise ImageProblem."""
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise ImageProblem("unsupported", "not a regular file")
    if info.st_size > max_bytes:
        raise ImageProblem("too_large", f"{info.st_size} bytes are more than ingest.max_bytes ({max_bytes})")
    return path.read_bytes()


def _preprocess(
    data: bytes, settings: PreprocSettings, detector: FaceDetector | None, phases: Phases
) -> tuple[bytes, dict[str, Any]]:
    with phases.timing("decode"):
        decoded = decode(data, min_side=settings.size, max_pixels=settings.max_pixels)
    with phases.timing("compute"):
        faces = detector.detect(decoded.pixels) if detector is not None else []
    good = [face for face in faces if face.score >= settings.min_face_score]
    # The detector may have seen a JPEG decoded at a reduced scale: the face goes back to pixels of the original photo.
    face = max(good, key=lambda each: each.area).moved(invert(decoded.transform)) if good else None
    alignment = face_transform(face, settings.size) if face is not None and settings.align else None
    if alignment is not None and _needs_larger(decoded, alignment):
        with phases.timing("decode"):
            decoded = _decode_larger(data, decoded, alignment, settings)
    with phases.timing("compute"):
        if alignment is not None:
            transform = alignment
            pixels = warp(decoded.pixels, compose(transform, invert(decoded.transform)), settings.size)
        else:
            pixels, fitting = fit_square(decoded.pixels, settings.size, settings.fit)
            transform = compose(fitting, decoded.transform)
        return encode_jpeg(pixels, settings.quality), _facts(faces, len(good), face, transform, detector is not None)


def _facts(faces: list[Face], good: int, face: Face | None, transform: Transform, has_detector: bool) -> dict[str, Any]:
    """The row's columns about faces.

    faces: all detections. good: how many reach min_face_score. face: the one used, in pixels of the original photo.
    """
    facts: dict[str, Any] = {"status": "ok", "transform": transform.reshape(6).tolist()}
    if has_detector:
        facts["face_count"] = good
    if face is not None:
        placed = face.moved(transform)
        facts |= {
            "face_score": face.score,
            "face_box": placed.box.tolist(),
            "landmarks": placed.landmarks.reshape(10).tolist(),
        }
    elif faces:
        best = max(each.score for each in faces)
        facts |= {
            "status": "no_face",
            "face_score": best,
            "reason": f"no sure face: the best candidate scores {best:.2f}",
        }
    elif has_detector:
        facts |= {"status": "no_face", "reason": "no face was found"}
    return facts


def _needs_larger(decoded: DecodedImage, transform: Transform) -> bool:
    """Whether the photo was decoded at a smaller scale than its aligned picture needs, as with a small face in a large photo."""
    return decoded.reduced and _scale(transform) > decoded.scale


def _decode_larger(data: bytes, decoded: DecodedImage, transform: Transform, settings: PreprocSettings) -> DecodedImage:
    """Decode the photo again, at the scale that the aligned picture needs."""
    short = min(decoded.info.width, decoded.info.height)
    return decode(data, min_side=math.ceil(short * min(1.0, _scale(transform))), max_pixels=settings.max_pixels)


def _scale(transform: Transform) -> float:
    return math.sqrt(abs(float(np.linalg.det(transform[:, :2]))))
