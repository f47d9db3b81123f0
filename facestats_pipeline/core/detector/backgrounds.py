"""Pictures without faces that training faces are pasted on: square crops of any folder of pictures, kept where no face is seen in them.

    python -m facestats_pipeline.core.detector.backgrounds --pictures DIR… --cache DIR --detector YUNET.onnx

The shipped detector's come from Debian's packages of wallpapers, landscapes, game textures and stamps; its card names them.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facestats_pipeline.core.preproc.detection import load_detector, single_threaded_opencv
from facestats_pipeline.core.preproc.faces import FaceDetector
from facestats_pipeline.core.progress import track

SIDE = 256
BACKGROUNDS_FILE, SOURCES_FILE = "backgrounds.npy", "backgrounds.txt"
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_LEAST_BYTES = 20_000  # icons and buttons are smaller
_MOST_A_PICTURE = 24
_MOST_A_FOLDER = 1600
_SMALLEST_CROP = 160

Pixels = npt.NDArray[np.uint8]


def _read(file: Path, rng: np.random.Generator) -> Pixels | None:
    """RGB pixels; what is see-through lies on a plain colour. None where the file is no picture of a useful size."""
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None or min(image.shape[:2]) < 96:
        return None
    if image.dtype != np.uint8:
        image = (image / 257).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 4:
        alpha = image[:, :, 3:].astype(np.float32) / 255
        image = (image[:, :, :3] * alpha + rng.integers(0, 256, 3) * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(image[:, :, ::-1])


def _crop(image: Pixels, whole: bool, rng: np.random.Generator) -> Pixels:
    """A square of the picture, the largest or one of a random size, SIDE px large."""
    height, width = image.shape[:2]
    largest = min(height, width)
    side = largest if whole else int(max(min(largest, _SMALLEST_CROP), largest * np.exp(rng.uniform(np.log(0.12), 0))))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    return np.asarray(
        cv2.resize(image[top : top + side, left : left + side], (SIDE, SIDE), interpolation=how), np.uint8
    )


def backgrounds_once(folders: list[Path], cache: Path, detector: FaceDetector, *, seed: int = 0) -> None:
    """Write `cache`/backgrounds.npy, uint8 (n, 256, 256, 3), and backgrounds.txt, the picture each comes from, one a line.

    Of every folder at most about 1,600 crops, and 24 of one picture. Crops in which `detector` sees even a doubtful face are left out.
    """
    if (cache / BACKGROUNDS_FILE).exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    kept: list[Pixels] = []
    sources: list[str] = []
    with single_threaded_opencv():
        for folder in folders:
            files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in _SUFFIXES and file.is_file()]
            files = [file for file in files if not file.is_symlink() and file.stat().st_size > _LEAST_BYTES]
            each = int(np.clip(_MOST_A_FOLDER // max(1, len(files)), 1, _MOST_A_PICTURE))
            for file in track(files, f"Backgrounds of {folder.name}", total=len(files)):
                image = _read(file, rng)
                if image is None:
                    continue
                for place in range(each):
                    crop = _crop(image, place == 0, rng)
                    if not detector.detect(crop):
                        kept.append(crop)
                        sources.append(f"{folder.name}/{file.name}")
    (cache / SOURCES_FILE).write_text("\n".join(sources) + "\n")
    with (cache / "backgrounds.part").open("wb") as out:
        np.save(out, np.stack(kept))
    (cache / "backgrounds.part").rename(cache / BACKGROUNDS_FILE)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Cut face-free backgrounds out of folders of pictures.")
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders of pictures")
    parser.add_argument("--cache", type=Path, required=True, help="where backgrounds.npy goes (1.5 GB)")
    parser.add_argument("--detector", type=Path, required=True, help="YuNet's ONNX file, by which faces are found")
    arguments = parser.parse_args()
    backgrounds_once(arguments.pictures, arguments.cache, load_detector(arguments.detector))


if __name__ == "__main__":
    main()
