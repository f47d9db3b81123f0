"""Loading a face detector, and finding faces with YuNet through OpenCV.

YuNet: Wu et al. 2023, doi:10.1007/s11633-023-1423-y; its model is from opencv_zoo, MIT.

YuNet's scores fall when a face is much larger than those it was trained on, so a photo is looked at small: at most 320 px on its
long side, and never enlarged. Measured on 1,000 FairFace crops of 224 px, share with a score of at least 0.6: 99.9% at 224 px,
99.6% enlarged to 320, 93.6% enlarged to 640.
"""

import hashlib
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.preproc.alignment import TEMPLATE, align_face
from facestats_pipeline.core.preproc.faces import FLOOR_SCORE, SURE_SCORE, Face, FaceDetector

__all__ = [
    "FLOOR_SCORE",
    "SURE_SCORE",
    "TEMPLATE",
    "DetectorUnavailable",
    "Face",
    "FaceDetector",
    "YuNet",
    "align_face",
    "load_detector",
    "single_threaded_opencv",
]

LOOK_PX = 320
"""Long side at which a photo is looked at first."""
CLOSER_LOOK_PX = 640
"""Long side of a second look at a larger photo in which the first found no sure face: small faces in the distance."""
_SMALLEST_SIDE = 16  # a strip thinner than this holds no face and OpenCV's network does not accept it
CLOSE_PX = 256
"""Side of the square in which the chosen face is looked at again for exact landmarks."""
_FRAMING = 1.2  # side of that square, in longer sides of the face box
_MOST_TURNS = 4
_STEADY_DEGREES = 3.0
_MIRRORED = [1, 0, 2, 4, 3]  # which landmark each becomes in a mirrored picture

Pixels = npt.NDArray[np.uint8]

_opencv_lock = threading.Lock()
_single_threaded_users = 0
_threads_before = 0


class DetectorUnavailable(Exception):
    """The face detection model cannot be used; the message names the file and what to do."""


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """OpenCV works on the calling thread alone inside the block: whoever runs several threads of photos already uses all cores.

    OpenCV knows this setting per process only, so users are counted and the last one out puts back what was there.
    """
    global _single_threaded_users, _threads_before
    with _opencv_lock:
        if _single_threaded_users == 0:
            _threads_before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _single_threaded_users += 1
    try:
        yield
    finally:
        with _opencv_lock:
            _single_threaded_users -= 1
            if _single_threaded_users == 0:
                cv2.setNumThreads(_threads_before)


class YuNet:
    """YuNet for any number of threads: cv2.FaceDetectorYN is not thread-safe, so each thread gets its own (3 ms to make)."""

    def __init__(self, model: bytes) -> None:
        self.name = f"yunet-{hashlib.sha256(model).hexdigest()[:8]}"
        self._model = np.frombuffer(model, dtype=np.uint8)
        self._local = threading.local()

    def detect(self, rgb: Pixels) -> list[Face]:
        """Faces in an RGB uint8 picture (height, width, 3) with a score of at least FLOOR_SCORE: the sure ones (SURE_SCORE), largest
        first, then the doubtful ones. The first face gets the most exact landmarks."""
        height, width = rgb.shape[:2]
        faces = self._look(rgb, LOOK_PX)
        if max(height, width) > LOOK_PX and not any(face.score >= SURE_SCORE for face in faces):
            faces = self._look(rgb, CLOSER_LOOK_PX) or faces
        faces.sort(key=lambda face: (face.score < SURE_SCORE, -face.area))
        if faces:
            faces[0] = self._exact(rgb, faces[0])
        return faces

    def _look(self, rgb: Pixels, long_side: int) -> list[Face]:
        height, width = rgb.shape[:2]
        scale = min(1.0, long_side / max(height, width))
        w, h = round(width * scale), round(height * scale)
        if min(w, h) < _SMALLEST_SIDE:
            return []
        small = rgb if (w, h) == (width, height) else _pixels(cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA))
        detector = self._for_this_thread()
        detector.setInputSize((w, h))
        _, rows = detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        to_picture = np.array([width / w, height / h], dtype=np.float32)
        return [
            Face(
                box=(row[:4].reshape(2, 2) * to_picture).reshape(4).astype(np.float32),
                landmarks=(row[4:14].reshape(5, 2) * to_picture).astype(np.float32),
                score=float(row[14]),
            )
            for row in rows
            if np.isfinite(row).all()
        ]

    def _exact(self, rgb: Pixels, face: Face) -> Face:
        """The same face with landmarks from close looks, each turned by the tilt that the one before it saw.

        The model's landmarks stay near those of an upright face: of a tilt of 15° they show 3° when the face is 80 px large and
        13° when it is 200 px. So the face is looked at large, turned upright by what was seen, and looked at again until the
        tilt stays; the last look is averaged with its mirror image. Against hand-placed pupils of 26 London portraits turned by 0,
        15 and 30°, the eyes are then off by 4.7, 4.9 and 5.1% of their distance; the first look alone is off by 7.6, 13 and 25%.
        It costs two looks at 256 px for an upright face and one more for each correction. Two more looks would bring 0.3%.
        """
        patch, to_patch = _patch_around(rgb, face)
        tilt, points = 0.0, None
        for _ in range(_MOST_TURNS):
            seen = self._close_look(patch, tilt, mirrored=False)
            if seen is None:
                break
            points = seen
            across = points[1] - points[0]
            before, tilt = tilt, math.atan2(float(across[1]), float(across[0]))
            if abs(math.degrees(tilt - before)) < _STEADY_DEGREES:
                tilt = before
                break
        if points is None:
            return face
        mirrored = self._close_look(patch, tilt, mirrored=True)
        points = points if mirrored is None else (points + mirrored) / 2
        return replace(face, landmarks=((points - to_patch[:, 2]) / to_patch[0, 0]).astype(np.float32))

    def _close_look(self, patch: Pixels, tilt: float, mirrored: bool) -> npt.NDArray[np.float64] | None:
        """Landmarks (5, 2) in px of the patch from its middle turned upright by `tilt` radians; None when no sure face is seen."""
        c, s, half = math.cos(tilt), math.sin(tilt), patch.shape[0] / 2
        turn = np.array([[c, s], [-s, c]])
        matrix = np.hstack([turn, (np.full(2, CLOSE_PX / 2) - turn @ (half, half))[:, None]])
        shifted = (
            matrix.copy()
        )  # OpenCV puts pixel centres at whole numbers, the landmarks are counted from pixel corners
        shifted[:, 2] += turn @ (0.5, 0.5) - 0.5
        view = _pixels(cv2.warpAffine(patch, shifted, (CLOSE_PX, CLOSE_PX), borderMode=cv2.BORDER_REPLICATE))
        looks = self._look(np.ascontiguousarray(view[:, ::-1]) if mirrored else view, CLOSE_PX)
        if not looks or (best := max(looks, key=lambda look: look.score)).score < SURE_SCORE:
            return None
        points = best.landmarks.astype(np.float64)
        if mirrored:
            points = (CLOSE_PX, 0) + points[_MIRRORED] * (-1, 1)
        return np.asarray((points - matrix[:, 2]) @ turn)

    def _for_this_thread(self) -> Any:
        detector = getattr(self._local, "detector", None)
        if detector is None:
            with _opencv_lock:
                level = cv2.utils.logging.getLogLevel()
                cv2.utils.logging.setLogLevel(
                    cv2.utils.logging.LOG_LEVEL_ERROR
                )  # OpenCV 5.0 says at each load that targets are ignored
                try:
                    detector = cv2.FaceDetectorYN.create(
                        "onnx", self._model, np.empty(0, np.uint8), (LOOK_PX, LOOK_PX), FLOOR_SCORE, 0.3, 5000
                    )
                finally:
                    cv2.utils.logging.setLogLevel(level)
            self._local.detector = detector
        return detector


def _pixels(array: object) -> Pixels:
    return np.asarray(array, dtype=np.uint8)


def _patch_around(rgb: Pixels, face: Face) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """A square around a face, large enough to be turned, in which the framed face is CLOSE_PX large; and picture px → its px."""
    height, width = rgb.shape[:2]
    framed = _FRAMING * float(max(face.box[2:]))
    left, top = (math.floor(value) for value in face.box[:2] + face.box[2:] / 2 - framed * math.sqrt(0.5))
    reach = max(2, math.ceil(framed * math.sqrt(2)))
    beyond = (max(0, -top), max(0, top + reach - height), max(0, -left), max(0, left + reach - width))
    crop = rgb[max(0, top) : max(0, top + reach), max(0, left) : max(0, left + reach)]
    if any(beyond):
        crop = _pixels(cv2.copyMakeBorder(crop, *beyond, cv2.BORDER_REPLICATE))
    side = max(2, round(reach * CLOSE_PX / framed))
    patch = _pixels(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if side < reach else cv2.INTER_LINEAR))
    scale = side / reach
    return patch, np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], dtype=np.float64)


def load_detector(model: Path) -> YuNet:
    """YuNet from its ONNX file. Raises DetectorUnavailable, naming the file, when it is missing, damaged or something else."""
    advice = "take face_detection_yunet_*.onnx from OpenCV's model zoo, or leave the setting empty to work without a detector"
    try:
        data = model.read_bytes()
    except OSError as error:
        raise DetectorUnavailable(
            f"{model}: cannot read the face detection model ({error.strerror}); {advice}"
        ) from None
    try:
        detector = YuNet(data)
        detector.detect(np.full((64, 64, 3), 127, dtype=np.uint8))
    except cv2.error as error:
        detail = " ".join(str(error).split())[:160]
        raise DetectorUnavailable(f"{model}: not a YuNet face detection model ({detail}); {advice}") from None
    return detector
