"""What each way of a single step costs: `python -m facestats_pipeline_tests.benchmarks.bench_steps [--repeat N]`.

Milliseconds of one thread's processor time, the least of several, for decoding, resizing and encoding, ours beside what else there is;
and the SSIM of a resized picture to a full Lanczos resize from the whole photo. This is where the choices in docs/performance.md are from.
"""

import argparse
import io
from collections.abc import Callable
from time import thread_time
from typing import TypeVar

import cv2
import numpy as np
import simplejpeg
import torch
from PIL import Image

from facestats_pipeline.core.images.resampling import resize
from facestats_pipeline_tests.benchmarks.bench_preproc import photos
from facestats_pipeline_tests.benchmarks.side_by_side import machine
from facestats_pipeline_tests.core.images.similarity import ssim

T = TypeVar("T")
FILTERS = ("LANCZOS", "BICUBIC", "HAMMING", "BILINEAR", "BOX")
OPENCV = ("INTER_AREA", "INTER_LINEAR", "INTER_CUBIC", "INTER_LANCZOS4")


def drafted(data: bytes, side: int) -> Image.Image:
    """Pillow's scaled decoding."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (side, side))
    image.load()
    return image


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    def timed(what: str, work: Callable[[], T], seen: Callable[[T], str] = lambda result: "") -> T:
        best = float("inf")
        for _ in range(options.repeat):
            started = thread_time()
            result = work()
            best = min(best, thread_time() - started)
        print(f"  {what:44}{best * 1e3:8.2f} ms  {seen(result)}", flush=True)
        return result

    print(machine())
    data = photos(1, (1350, 1350))[0]
    whole = Image.open(io.BytesIO(data)).convert("RGB").resize((512, 512), Image.Resampling.LANCZOS)
    print("1350² JPEG, decoded at half its scale")
    half = timed("Pillow, draft", lambda: drafted(data, 512))
    pixels = timed("simplejpeg", lambda: simplejpeg.decode_jpeg(data, "RGB", min_height=512, min_width=512))
    fast = {"fastdct": True, "fastupsample": True}
    timed("simplejpeg, fast", lambda: simplejpeg.decode_jpeg(data, "RGB", min_height=512, min_width=512, **fast))
    timed("OpenCV, reduced", lambda: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_2))

    print("675² to 512²; SSIM to Lanczos from all pixels")
    timed("ours", lambda: resize(pixels, 512, 512), lambda out: f"{ssim(Image.fromarray(out), whole):.4f}")
    for name in FILTERS:
        how = Image.Resampling[name]
        timed(
            f"Pillow, {name.lower()}",
            lambda how=how: half.resize((512, 512), how),
            lambda out: f"{ssim(out, whole):.4f}",
        )
    for name in OPENCV:
        flag = getattr(cv2, name)
        timed(
            f"OpenCV, {name}",
            lambda flag=flag: cv2.resize(pixels, (512, 512), interpolation=flag),
            lambda out: f"{ssim(Image.fromarray(out), whole):.4f}",
        )

    print("512² at quality 95")
    square = np.asarray(whole)
    stored = timed("encoded by simplejpeg", lambda: simplejpeg.encode_jpeg(square, 95, "RGB", "420"))
    timed("encoded by Pillow", lambda: whole.save(io.BytesIO(), "JPEG", quality=95))
    again = timed("decoded whole by simplejpeg", lambda: simplejpeg.decode_jpeg(stored, "RGB"))
    image = timed("decoded whole by Pillow", lambda: drafted(stored, 512))
    for side in (112, 224):
        timed(f"to {side}² by ours", lambda side=side: resize(again, side, side))
        timed(f"to {side}² by Pillow, bicubic", lambda side=side: image.resize((side, side), Image.Resampling.BICUBIC))

    print("1600² JPEG at each eighth of its scale, simplejpeg")
    large = photos(1, (1600, 1600))[0]
    for n in range(1, 9):
        timed(f"{n}/8", lambda n=n: simplejpeg.decode_jpeg(large, "RGB", min_height=200 * n, min_width=200 * n))


if __name__ == "__main__":
    main()
