"""Drawn faces of the demo as training faces: what the detector is to find there too. Other seeds than the demo's and the tests'.

python -m facestats_pipeline.core.detector.drawn --cache DIR [--photos 1200]
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.demo.drawing import draw_face
from facestats_pipeline.core.demo.latents import sample_latents
from facestats_pipeline.core.progress import track

DRAWN_FILE = "drawn.npy"
SEED = 81_000  # the demo draws with (0, i), tests with small seeds
_SIDE = 128
_SHAPES = ((360, 450), (384, 480), (320, 480), (400, 400), (512, 384))


def draw(index: int, seed: int = SEED) -> npt.NDArray[np.uint8]:
    """Drawn face `index`, uint8 (128, 128, 3): every other one whole, the others cropped around the head as FairFace's photos are."""
    rng = np.random.default_rng((seed, index))
    width, height = _SHAPES[int(rng.integers(len(_SHAPES)))]
    face = sample_latents(rng)
    picture = np.asarray(draw_face(face, (width, height)))
    side = min(width, height)
    if index % 2:
        side = round(min(side, rng.uniform(2.6, 3.4) * face.zoom * side))
    # The head lies in the upper middle of the sheet.
    left, top = (width - side) // 2, max(0, min(height - side, round(0.45 * height - 0.5 * side)))
    crop = picture[top : top + side, left : left + side]
    return np.asarray(cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def draw_once(cache: Path, photos: int, *, processes: int = 1) -> None:
    """Write `cache`/drawn.npy, uint8 (photos, 128, 128, 3); about 0.2 s each. Does nothing where it is there."""
    if (cache / DRAWN_FILE).exists():
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        made = pool.map(partial(draw, seed=SEED), range(photos), chunksize=16)
        drawn = np.stack(list(track(made, "Drawing training faces", total=photos)))
    with (cache / "drawn.part").open("wb") as out:
        np.save(out, drawn)
    (cache / "drawn.part").rename(cache / DRAWN_FILE)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Draw training faces.")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=1200)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    draw_once(arguments.cache, arguments.photos, processes=arguments.processes)


if __name__ == "__main__":
    main()
