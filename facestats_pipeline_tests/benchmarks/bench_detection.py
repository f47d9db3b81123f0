"""Finding and aligning faces against YuNet called one photo at a time: `python -m facestats_pipeline_tests.benchmarks.bench_detection`.

From decoded photos (../shared/data/london, else fairface_photos). Ways, all with the same model:

- *YuNet at the photo's size, one at a time*: OpenCV's detector as its example calls it, on all of OpenCV's threads, then the similarity
  transform by its five landmarks and one `warpAffine`.
- *the same work, one at a time*: our looks and warp, one photo after another.
- *ours*: the same on threads, as the stage does.

The last lines say what is left: the share of processor time that is inside YuNet, which no code around it can save.
"""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import thread_time

import cv2
import numpy as np

from facestats_pipeline.core.images.decoding import decode
from facestats_pipeline.core.images.resampling import Pixels
from facestats_pipeline.core.preproc.alignment import TEMPLATE, face_transform, similarity, warp
from facestats_pipeline.core.preproc.detection import FaceDetector, YuNet, load_detector, single_threaded_opencv
from facestats_pipeline_tests.benchmarks.side_by_side import compare, machine, show_against

SHARED = Path(__file__).resolve().parents[3] / "shared"
SIZE = 512


def as_in_the_example(model: Path, photos: list[Pixels]) -> int:
    """YuNet on each whole photo, its best face aligned; how many were found."""
    found = 0
    for rgb in photos:
        detector = cv2.FaceDetectorYN.create(str(model), "", rgb.shape[1::-1], 0.6, 0.3, 5000)
        _, rows = detector.detect(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        if rows is not None:
            matrix = similarity(rows[0][4:14].reshape(5, 2), TEMPLATE * SIZE)
            cv2.warpAffine(rgb, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC)
            found += 1
    return found


def one(detector: FaceDetector, rgb: Pixels) -> bool:
    """What the stage does with one photo between decoding and encoding."""
    faces = detector.detect(rgb)
    if faces:
        warp(rgb, face_transform(faces[0], SIZE), SIZE)
    return bool(faces)


def on_threads(detector: FaceDetector, photos: list[Pixels], threads: int) -> None:
    """As the stage: OpenCV with one thread each."""
    with single_threaded_opencv(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda rgb: one(detector, rgb), photos))


class Counted(YuNet):
    """Adds up the processor seconds inside YuNet."""

    inside = 0.0
    looks = 0

    def _for_this_thread(self):  # type: ignore[no-untyped-def]
        detector, counted = super()._for_this_thread(), self

        class Timed:
            def setInputSize(self, size: tuple[int, int]) -> None:
                detector.setInputSize(size)

            def detect(self, image: Pixels) -> object:
                started = thread_time()
                result = detector.detect(image)
                counted.inside += thread_time() - started
                counted.looks += 1
                return result

        return Timed()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    models = sorted((SHARED / "models").glob("face_detection_yunet*.onnx"))
    paths = sorted((SHARED / "data" / "london" / "images").glob("*.jpg"))[: options.photos]
    if not models or not paths:
        print(f"skipped: this needs photos in {SHARED / 'data' / 'london'} and a YuNet model in {SHARED / 'models'}")
        return
    photos = [decode(path.read_bytes()).pixels for path in paths]
    detector = load_detector(models[0])
    print(f"{len(photos)} photos of {photos[0].shape[1]}×{photos[0].shape[0]}, {options.threads} threads; {machine()}")
    seconds = compare(
        {
            "YuNet at the photo's size, one at a time": lambda: as_in_the_example(models[0], photos),
            "the same work, one at a time": lambda: [one(detector, rgb) for rgb in photos],
            "ours": lambda: on_threads(detector, photos, options.threads),
        },
        len(photos),
        options.rounds,
    )
    show_against("ours", seconds)
    counted = Counted(models[0].read_bytes())
    with single_threaded_opencv():
        started = thread_time()
        found = np.array([one(counted, rgb) for rgb in photos])
        whole = thread_time() - started
    print(
        f"found in {found.mean():.1%}; {counted.looks / len(photos):.2f} looks a photo, {counted.inside / counted.looks * 1e3:.2f} ms each"
    )
    print(f"of {whole / len(photos) * 1e3:.2f} ms a photo, {counted.inside / whole:.0%} is inside YuNet")


if __name__ == "__main__":
    main()
